//! The headers that only the gateway sets: dropped from every request, then set from the session.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::claim_header::ClaimHeader;
use crate::{
    request::{same_name, same_prefix},
    session::Session,
};

/// The names that begin so are ours: Hasura believes its own from whoever speaks for the user.
const NAMESPACES: [&str; 2] = ["x-clerk-", "x-hasura-"];

/// The names that no client may set, in any spelling, on any route.
#[derive(Clone, Debug)]
pub(crate) struct ManagedNames {
    /// Folded names beside the namespaces.
    names: Vec<String>,
}

/// What one route tells its upstream about the session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HeaderSet(Arc<[(HeaderName, HeaderSource)]>);

/// What a set has made of one session, in the set's order.
struct Ready {
    set: HeaderSet,
    values: Box<[Option<HeaderValue>]>,
}

/// What a header carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum HeaderSource {
    /// A custom claim of the session token.
    Claim(ClaimHeader),
    /// A field of the session.
    Field(SessionField),
}

/// A field of the session that a header can carry.
#[derive(
    Clone, Copy, Debug, Eq, PartialEq, schemars::JsonSchema, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionField {
    /// Who impersonates the user.
    Actor,
    /// The client's ID.
    ClientId,
    /// The organization's ID.
    OrgId,
    /// The member's permissions, comma-separated.
    OrgPermissions,
    /// The member's role.
    OrgRole,
    /// The organization's slug.
    OrgSlug,
    /// The session's ID.
    SessionId,
    /// The session's status.
    Status,
    /// The user's ID.
    UserId,
}

/// Why a header cannot be set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// The token lacks a claim that the upstream must be told.
    #[error("the token lacks a claim that a managed header must carry")]
    ClaimMissing,
    /// The field or claim has bytes or a type that no header may carry.
    #[error("a field or claim for a managed header is nothing that a header can carry")]
    Unrepresentable,
}

impl HeaderError {
    /// Returns the reason's slug.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::ClaimMissing => "claim-missing",
            Self::Unrepresentable => "claim-not-representable",
        }
    }
}

impl ManagedNames {
    /// Takes the names that any route's `headers` sets, beside `X-Clerk-*` and `X-Hasura-*`.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a HeaderName>) -> Self {
        let mut names: Vec<_> = names
            .into_iter()
            .map(|name| name.as_str().replace(['_', '.'], "-"))
            .filter(|name| !NAMESPACES.iter().any(|ours| name.starts_with(ours)))
            .collect();
        names.sort_unstable();
        names.dedup();
        Self { names }
    }

    /// Tells whether `name` is one of ours under some spelling (`_` and `.` read as `-`, any case).
    pub(crate) fn contains(&self, name: &str) -> bool {
        NAMESPACES.iter().any(|ours| same_prefix(name, ours))
            || self.names.iter().any(|ours| same_name(name, ours))
    }

    /// Returns the managed names among `headers`, as they are spelled there.
    pub(crate) fn found_in(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        let ours = |name: &&HeaderName| self.contains(name.as_str());
        headers.keys().filter(ours).cloned().collect()
    }

    /// Drops every managed name from `headers`.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) {
        let forged = |headers: &HeaderMap| {
            headers
                .keys()
                .find(|name| self.contains(name.as_str()))
                .cloned()
        };
        while let Some(name) = forged(headers) {
            headers.remove(&name);
        }
    }
}

impl HeaderSet {
    pub(crate) fn new(sources: Vec<(HeaderName, HeaderSource)>) -> Self {
        Self(sources.into())
    }

    /// Sets the session's headers; a field that the session lacks sets none.
    pub(crate) fn set(
        &self,
        session: &Session,
        headers: &mut HeaderMap,
    ) -> Result<(), HeaderError> {
        if let Some(values) = self.recall(session) {
            self.insert(values, headers);
            return Ok(());
        }
        let values = self.values(session)?;
        self.insert(&values, headers);
        let set = self.clone();
        // Where another set was first, its values stay.
        let _ = session.memo().set(Box::new(Ready { set, values }));
        Ok(())
    }

    /// Returns what an equal set has made of this very session.
    ///
    /// A value hangs on the session's data and on its source in the set, and on nothing else: the
    /// sets are compared, so that another route's or a replaced configuration's are not taken for
    /// ours.
    fn recall<'a>(&self, session: &'a Session) -> Option<&'a [Option<HeaderValue>]> {
        let ready: &Ready = session.memo().get()?.downcast_ref()?;
        let is_equal = Arc::ptr_eq(&ready.set.0, &self.0) || ready.set == *self;
        is_equal.then_some(&ready.values)
    }

    fn values(&self, session: &Session) -> Result<Box<[Option<HeaderValue>]>, HeaderError> {
        let claims = self.claims(session);
        let value = |(_, source): &(_, HeaderSource)| match source {
            HeaderSource::Claim(claim) => claim.value(&claims),
            HeaderSource::Field(field) => field.value(session),
        };
        let values: Result<Vec<_>, _> = self.0.iter().map(value).collect();
        together(&values?)
    }

    fn insert(&self, values: &[Option<HeaderValue>], headers: &mut HeaderMap) {
        for ((name, _), value) in self.0.iter().zip(values) {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }

    /// Reads the token's claims where a header carries one; a session without a token has none.
    fn claims(&self, session: &Session) -> Map<String, Value> {
        let wanted = |(_, source): &(_, HeaderSource)| matches!(source, HeaderSource::Claim(_));
        match self.0.iter().any(wanted) {
            true => session.claims().unwrap_or_default(),
            false => Map::new(),
        }
    }
}

/// Lays the values out in a row: for a session that is not at hand, each piece of memory costs a wait of its own.
fn together(values: &[Option<HeaderValue>]) -> Result<Box<[Option<HeaderValue>]>, HeaderError> {
    let present = || values.iter().flatten().map(HeaderValue::as_bytes);
    let mut bytes = Vec::with_capacity(present().map(<[u8]>::len).sum());
    present().for_each(|value| bytes.extend_from_slice(value));
    let mut rest = Bytes::from(bytes);
    let mut part = |value: &HeaderValue| {
        let bytes = rest.split_to(value.len());
        HeaderValue::from_maybe_shared(bytes).map_err(|_| HeaderError::Unrepresentable)
    };
    let parts = values
        .iter()
        .map(|value| value.as_ref().map(&mut part).transpose());
    parts.collect()
}

impl SessionField {
    fn value(self, session: &Session) -> Result<Option<HeaderValue>, HeaderError> {
        let organization = session.organization();
        let text = match self {
            Self::Actor => session.actor().map(|actor| actor.sub.as_str()),
            Self::ClientId => session.client_id(),
            Self::OrgId => organization.map(|organization| organization.id.as_str()),
            Self::OrgPermissions => {
                let Some(organization) = organization else {
                    return Ok(None);
                };
                return header_value(&organization.permissions.join(",")).map(Some);
            }
            Self::OrgRole => organization.and_then(|org| org.role.as_deref()),
            Self::OrgSlug => organization.and_then(|org| org.slug.as_deref()),
            Self::SessionId => Some(session.id()),
            Self::Status => Some(session.status().as_str()),
            Self::UserId => Some(session.user_id()),
        };
        text.map(header_value).transpose()
    }
}

// Never raw: a control or non-ASCII byte out of a claim is refused rather than encoded, because
// upstreams disagree on how to read such bytes.
pub(super) fn header_value(text: &str) -> Result<HeaderValue, HeaderError> {
    // Without a branch for each byte: this runs on every request.
    let is_visible = |byte: u8| byte.wrapping_sub(b' ') < 95;
    let visible = text.bytes().fold(true, |all, byte| all & is_visible(byte));
    if !visible || text.starts_with(' ') || text.ends_with(' ') {
        return Err(HeaderError::Unrepresentable);
    }
    HeaderValue::from_str(text).map_err(|_| HeaderError::Unrepresentable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mutate::claim_header::{Absent, ClaimForm},
        session::SessionData,
    };

    const TENANT: HeaderName = HeaderName::from_static("x-tenant");

    fn session() -> Session {
        Session::new(SessionData::plain())
    }

    fn tenant(field: SessionField) -> HeaderSet {
        HeaderSet::new(vec![(TENANT, HeaderSource::Field(field))])
    }

    fn sent(set: &HeaderSet, session: &Session) -> HeaderValue {
        let mut headers = HeaderMap::new();
        set.set(session, &mut headers).unwrap();
        headers.remove(TENANT).unwrap()
    }

    fn managed() -> ManagedNames {
        ManagedNames::new([&TENANT])
    }

    #[test]
    fn every_spelling_of_a_managed_name_is_ours() {
        for (name, ours) in [
            ("x-clerk-user-id", true),
            ("X-CLERK-USER-ID", true),
            ("x_clerk_user_id", true),
            ("x.clerk.user.id", true),
            ("x_clerk-user.id", true),
            ("x-clerk-", true),
            ("x-clerk-anything-at-all", true),
            ("X-Hasura-Role", true),
            ("x_hasura_admin_secret", true),
            ("x-tenant", true),
            ("X_Tenant", true),
            ("x-clerkish", false),
            ("x-tenants", false),
            ("x-tenan", false),
            ("clerk-user-id", false),
            ("", false),
        ] {
            assert_eq!(managed().contains(name), ours, "{name}");
        }
    }

    #[test]
    fn a_long_name_in_our_namespace_is_ours() {
        let long = format!("x-clerk-{}", "a".repeat(200));
        assert!(managed().contains(&long));
    }

    #[test]
    fn stripping_drops_every_copy_and_nothing_else() {
        let mut headers = HeaderMap::new();
        for name in ["x-clerk-user-id", "x_clerk_user_id", "x-tenant", "accept"] {
            let name = HeaderName::from_static(name);
            headers.append(&name, HeaderValue::from_static("a"));
            headers.append(&name, HeaderValue::from_static("b"));
        }
        managed().strip(&mut headers);
        assert_eq!(headers.get_all("accept").iter().count(), 2);
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn managed_names_are_found_as_they_are_spelled() {
        let mut headers = HeaderMap::new();
        for name in ["x_clerk_user_id", "x.tenant", "accept"] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("a"));
        }
        let mut found = managed().found_in(&headers);
        found.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        assert_eq!(found, ["x.tenant", "x_clerk_user_id"]);
    }

    #[test]
    fn a_claim_of_the_token_is_told() {
        let session = Session::new(SessionData {
            claims: Some(r#"{"tier":"gold"}"#.into()),
            ..SessionData::plain()
        });
        let claim = ClaimHeader {
            path: vec!["tier".to_owned()],
            absent: Absent::Refuse,
            form: ClaimForm::Text,
        };
        let set = HeaderSet::new(vec![(TENANT, HeaderSource::Claim(claim))]);
        assert_eq!(sent(&set, &session), "gold");
    }

    #[test]
    fn each_refusal_has_its_slug() {
        assert_eq!(HeaderError::ClaimMissing.slug(), "claim-missing");
        assert_eq!(
            HeaderError::Unrepresentable.slug(),
            "claim-not-representable"
        );
    }

    #[test]
    fn a_field_that_no_header_can_carry_is_refused() {
        for text in [
            "a\r\nX-Hasura-Role: admin",
            "a\0",
            "a\u{7f}",
            "\u{e9}",
            " a",
            "a ",
        ] {
            assert_eq!(
                header_value(text),
                Err(HeaderError::Unrepresentable),
                "{text:?}"
            );
        }
        assert!(header_value("org:admin").is_ok());
    }

    #[test]
    fn no_set_is_answered_with_what_another_has_made_of_the_session() {
        let session = session();
        let (before, after) = (
            tenant(SessionField::UserId),
            tenant(SessionField::SessionId),
        );
        for _ in 0..2 {
            assert_eq!(sent(&before, &session), "user_1");
            assert_eq!(sent(&after, &session), "sess_1");
        }
    }

    #[test]
    fn a_session_with_other_data_is_told_of_by_its_own() {
        let set = tenant(SessionField::UserId);
        let session = session();
        assert_eq!(sent(&set, &session), "user_1");
        let mut data = session.data().clone();
        data.user_id = "user_2".into();
        assert_eq!(sent(&set, &Session::new(data)), "user_2");
    }

    #[test]
    fn the_values_of_a_session_stand_in_a_row() {
        let fields = [
            SessionField::UserId,
            SessionField::Actor,
            SessionField::SessionId,
        ];
        let source = |field| (TENANT, HeaderSource::Field(field));
        let set = HeaderSet::new(fields.map(source).to_vec());
        let values = set.values(&session()).unwrap();
        let [Some(user), None, Some(session)] = &*values else {
            panic!("{values:?}");
        };
        assert_eq!(
            (user, session),
            (&"user_1".parse().unwrap(), &"sess_1".parse().unwrap())
        );
        let ends = user.as_bytes().as_ptr_range().end;
        assert_eq!(ends, session.as_bytes().as_ptr());
    }

    #[test]
    fn equal_sets_make_their_values_once_for_a_session() {
        let session = session();
        let place = |field| {
            let value = sent(&tenant(field), &session);
            value.as_bytes().as_ptr()
        };
        assert_eq!(place(SessionField::UserId), place(SessionField::UserId));
    }
}
