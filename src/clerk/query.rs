//! Which sessions a list is to hold.

use reqwest::Url;

use super::{
    Error, InvalidArgument,
    id::{ClientId, UserId},
};
use crate::session::SessionStatus;

/// The largest page, in sessions.
pub(super) const MAX_LIMIT: u16 = 500;

/// What `GET /sessions` is asked for: every part narrows, none is needed.
///
/// Clerk says that a client or a user should be given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct SessionQuery {
    client_id: Option<String>,
    user_id: Option<String>,
    status: Option<SessionStatus>,
    limit: Option<u16>,
    offset: Option<u64>,
    paginated: Option<bool>,
}

impl SessionQuery {
    /// Asks for everything, in Clerk's page of 10.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for one client's sessions, by `client_…`.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = Some(id.into());
        self
    }

    /// Asks for one user's sessions, by `user_…`.
    pub fn user_id(mut self, id: impl Into<String>) -> Self {
        self.user_id = Some(id.into());
        self
    }

    /// Asks for one status; Clerk takes all but `pending`.
    pub fn status(mut self, status: SessionStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Asks for pages of 1 to 500 sessions.
    pub fn limit(mut self, limit: u16) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Leaves out the first sessions, newest first.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Asks for the shape with a total count, or for the bare array; either is read.
    pub fn paginated(mut self, paginated: bool) -> Self {
        self.paginated = Some(paginated);
        self
    }

    /// Asks for whole pages with the total count, as a walk over all of them wants it.
    pub(super) fn for_all_pages(mut self) -> Self {
        self.limit.get_or_insert(MAX_LIMIT);
        self.paginated = Some(true);
        self
    }

    /// Moves on past `count` sessions; returns the new offset.
    pub(super) fn advance(&mut self, count: u64) -> u64 {
        let offset = self.offset.unwrap_or(0).saturating_add(count);
        *self.offset.insert(offset)
    }

    pub(super) fn page_len(&self) -> u64 {
        self.limit.unwrap_or(MAX_LIMIT).into()
    }

    /// Writes the query into a URL, every part checked.
    pub(super) fn write(&self, url: &mut Url) -> Result<(), Error> {
        let client = self.client_id.as_deref().map(ClientId::parse).transpose()?;
        let user = self.user_id.as_deref().map(UserId::parse).transpose()?;
        if self
            .limit
            .is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit))
        {
            return Err(InvalidArgument::Limit.into());
        }
        let status = self.status.as_ref().map(SessionStatus::as_str);
        let parts = [
            ("client_id", client.map(|id| id.as_str().to_owned())),
            ("user_id", user.map(|id| id.as_str().to_owned())),
            ("status", status.map(str::to_owned)),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("offset", self.offset.map(|offset| offset.to_string())),
            (
                "paginated",
                self.paginated.map(|paginated| paginated.to_string()),
            ),
        ];
        // `query_pairs_mut` leaves a lone `?` behind where nothing is written.
        for (name, value) in parts {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, &value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(query: &SessionQuery) -> Option<String> {
        let mut url = Url::parse("https://h/v1/sessions").unwrap();
        query.write(&mut url).ok()?;
        Some(url.query().unwrap_or_default().to_owned())
    }

    #[test]
    fn only_what_was_asked_for_is_written() {
        assert_eq!(written(&SessionQuery::new()).unwrap(), "");
        let query = SessionQuery::new()
            .client_id("client_1")
            .user_id("user_1")
            .status(SessionStatus::Active)
            .limit(500)
            .offset(0)
            .paginated(false);
        assert_eq!(
            written(&query).unwrap(),
            "client_id=client_1&user_id=user_1&status=active&limit=500&offset=0&paginated=false"
        );
    }

    #[test]
    fn a_status_cannot_add_a_part_of_its_own() {
        let query = SessionQuery::new().status(SessionStatus::Unknown("a&limit=9".to_owned()));
        assert_eq!(written(&query).unwrap(), "status=a%26limit%3D9");
    }

    #[test]
    fn what_is_out_of_range_is_not_written() {
        assert!(written(&SessionQuery::new().limit(0)).is_none());
        assert!(written(&SessionQuery::new().limit(501)).is_none());
        assert!(written(&SessionQuery::new().user_id("user_&x")).is_none());
        assert!(written(&SessionQuery::new().client_id("user_1")).is_none());
    }
}
