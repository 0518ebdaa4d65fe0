//! Hasura's webhook: who the caller is, in Hasura's session variables.
//!
//! Hasura knows two answers: 200 with variables, and 401. Anything else it reports as a failure of its own, so a
//! refusal is 401 whatever the proxy would have said, and only what is no fault of the caller is another status.

mod roles;
mod status;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use crate::{
    credential::Carrier,
    mutate::{
        managed_headers::{HeaderSet, HeaderSource, SessionField},
        role_wish::X_HASURA_ROLE,
    },
    policy::cross_site,
    reject::Rejection,
    request::check_cookies,
    rule::{RequestHead, Rule},
    session::Session,
    time::Timestamp,
};

pub(crate) use roles::{RoleNames, RoleSource, Roles};
pub(crate) use status::status;

/// The webhook's policy: it has no path or method to find a route by.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) rule: Rule,
    pub(crate) roles: Roles,
    /// The variables beside the role.
    pub(crate) variables: HeaderSet,
    /// How long an answer may be believed at most; `None`: as long as the session's proof.
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_body_bytes: usize,
}

/// What Hasura is told of a caller that may pass.
#[derive(Debug)]
pub(crate) struct Variables {
    /// `None`: the caller is anonymous.
    pub(crate) session: Option<Session>,
    /// A JSON object of texts.
    pub(crate) body: Bytes,
}

/// Returns the variables of every session, and those that the configuration adds.
pub(crate) fn variables(more: &[(HeaderName, HeaderSource)]) -> HeaderSet {
    let own = [
        ("x-hasura-user-id", SessionField::UserId),
        ("x-hasura-org-id", SessionField::OrgId),
    ];
    let own = own.map(|(name, field)| {
        let name = HeaderName::from_static(name);
        (name, HeaderSource::Field(field))
    });
    HeaderSet::new(own.into_iter().chain(more.iter().cloned()).collect())
}

impl Webhook {
    /// Decides on a caller by the headers that it sent to Hasura.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] where it may not pass, or not in the role that it wishes for.
    pub(crate) async fn decide(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Variables, Rejection> {
        check_cookies(headers)?;
        // Who speaks to us is Hasura, whoever the caller is: no bare session ID counts.
        let head = RequestHead {
            headers,
            query: None,
            peer: None,
        };
        let decision = match self.rule.decide_at_hand(head, now) {
            Some(decided) => decided,
            None => self.rule.decide(head, now).await,
        }?;
        let session = decision.session;
        // Hasura keeps `Origin` and `Host` to itself, so this is all that can be judged.
        if session.is_some() && matches!(self.rule.presented(head), Ok(Some(Carrier::Cookie))) {
            cross_site::refuse_other_sites(headers)?;
        }
        let role = self.roles.choose(headers, session.as_ref())?;
        let body = self.body(role, session.as_ref(), now)?;
        Ok(Variables { session, body })
    }

    fn body(
        &self,
        role: String,
        session: Option<&Session>,
        now: Timestamp,
    ) -> Result<Bytes, Rejection> {
        let mut variables = HeaderMap::new();
        if let Some(session) = session {
            self.variables.set(session, &mut variables)?;
        }
        let mut body: Map<String, Value> = variables
            .iter()
            .filter_map(|(name, value)| Some((title(name.as_str()), value.to_str().ok()?.into())))
            .collect();
        body.insert(title(X_HASURA_ROLE.as_str()), role.into());
        if let Some(session) = session {
            // In whole seconds, rounded down: never longer than the proof holds.
            let left = session.expires_at().since(now);
            let left = left.min(self.max_age.unwrap_or(left)).as_secs();
            // Hasura looks for this member under this spelling.
            body.insert("Cache-Control".to_owned(), format!("max-age={left}").into());
        }
        Ok(Bytes::from(Value::Object(body).to_string()))
    }
}

/// Writes a name the way that Hasura's documentation does, as in `X-Hasura-User-Id`.
fn title(name: &str) -> String {
    let mut title = String::with_capacity(name.len());
    let mut begins = true;
    for c in name.chars() {
        title.push(match begins {
            true => c.to_ascii_uppercase(),
            false => c,
        });
        begins = c == '-';
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_hasura_writes_them() {
        for (name, titled) in [
            ("x-hasura-user-id", "X-Hasura-User-Id"),
            ("x-hasura-a--1b", "X-Hasura-A--1b"),
        ] {
            assert_eq!(title(name), titled);
        }
    }
}
