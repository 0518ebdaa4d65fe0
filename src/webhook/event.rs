//! What an event says: whose session is over, or whose tokens are too old.

use serde::Deserialize;

use crate::{
    clerk::id::{InvalidId, OrganizationId, SessionId, UserId},
    revocation::{Revocation, SessionEnd, UserEnd},
    time::Timestamp,
};

/// An event, as far as it concerns sessions.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Event {
    /// Its type, where it is one that can concern sessions; else `other`.
    pub(crate) kind: &'static str,
    /// `None`: nothing counts less for it.
    pub(crate) revocation: Option<Revocation>,
}

/// A signed body is no event as Clerk describes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum EventError {
    #[error("the body is not an event in json")]
    Form,
    #[error("the event names something by an id that is none: {0}")]
    Id(#[from] InvalidId),
}

/// What every event has; how long `timestamp` is tells its unit, which Clerk's documents leave open.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    timestamp: Option<i64>,
}

#[derive(Deserialize)]
struct Body<T> {
    data: T,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    banned: bool,
    #[serde(default)]
    locked: bool,
}

#[derive(Deserialize)]
struct Membership {
    organization: Named,
    public_user_data: Member,
}

#[derive(Deserialize)]
struct Member {
    user_id: String,
}

/// Times at or above this are milliseconds: as seconds they would be in the year 5138.
const LEAST_MILLIS: i64 = 100_000_000_000;

impl Event {
    /// Reads an event; `signed_at` stands in for a time that it lacks, and none is taken to be after `latest`.
    ///
    /// What it revokes is revoked not before the event's own time, so that a late delivery refuses nothing newer.
    ///
    /// # Errors
    ///
    /// [`EventError`] where a body is not what Clerk's documents say.
    pub(crate) fn read(
        body: &[u8],
        signed_at: Timestamp,
        latest: Timestamp,
    ) -> Result<Self, EventError> {
        let envelope: Envelope<'_> = parse(body)?;
        let at = envelope.timestamp.map_or(signed_at, time).min(latest);
        let session = |kind, end| {
            let Body::<Named> { data } = parse(body)?;
            let id = SessionId::parse(&data.id)?.as_str().to_owned();
            Ok(Self::revoking(kind, Revocation::Session { id, end }))
        };
        match envelope.kind.as_ref() {
            "session.ended" => session("session.ended", SessionEnd::Ended),
            "session.removed" => session("session.removed", SessionEnd::Removed),
            "session.revoked" => session("session.revoked", SessionEnd::Revoked),
            "user.deleted" => {
                let Body::<Named> { data } = parse(body)?;
                user(&data.id, UserEnd::Deleted, at)
                    .map(|revocation| Self::revoking("user.deleted", revocation))
            }
            "user.updated" => {
                let Body::<User> { data } = parse(body)?;
                let end = match (data.banned, data.locked) {
                    (true, _) => Some(UserEnd::Banned),
                    (false, true) => Some(UserEnd::Locked),
                    (false, false) => None,
                };
                Ok(Self {
                    kind: "user.updated",
                    revocation: end.map(|end| user(&data.id, end, at)).transpose()?,
                })
            }
            "organizationMembership.updated" => {
                membership(body, at).map(|it| Self::revoking("organizationMembership.updated", it))
            }
            "organizationMembership.deleted" => {
                membership(body, at).map(|it| Self::revoking("organizationMembership.deleted", it))
            }
            "organization.deleted" => {
                let Body::<Named> { data } = parse(body)?;
                let revocation = Revocation::Organization {
                    id: OrganizationId::parse(&data.id)?.as_str().to_owned(),
                    not_before: at,
                };
                Ok(Self::revoking("organization.deleted", revocation))
            }
            _ => Ok(Self {
                kind: "other",
                revocation: None,
            }),
        }
    }

    fn revoking(kind: &'static str, revocation: Revocation) -> Self {
        Self {
            kind,
            revocation: Some(revocation),
        }
    }
}

fn user(id: &str, end: UserEnd, not_before: Timestamp) -> Result<Revocation, EventError> {
    Ok(Revocation::User {
        id: UserId::parse(id)?.as_str().to_owned(),
        end,
        not_before,
    })
}

fn membership(body: &[u8], not_before: Timestamp) -> Result<Revocation, EventError> {
    let Body::<Membership> { data } = parse(body)?;
    let user = UserId::parse(&data.public_user_data.user_id)?;
    let organization = OrganizationId::parse(&data.organization.id)?;
    Ok(Revocation::Membership {
        user_id: user.as_str().to_owned(),
        organization_id: organization.as_str().to_owned(),
        not_before,
    })
}

fn time(number: i64) -> Timestamp {
    match number < LEAST_MILLIS {
        true => Timestamp::from_secs(number),
        false => Timestamp::from_millis(number),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, EventError> {
    serde_json::from_slice(body).map_err(|_| EventError::Form)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SIGNED: Timestamp = Timestamp::from_secs(1_716_883_300);
    const LATEST: Timestamp = Timestamp::from_secs(1_716_883_305);

    fn read(kind: &str, timestamp: Value, data: Value) -> Result<Event, EventError> {
        let event = json!({
            "object": "event", "type": kind, "timestamp": timestamp, "instance_id": "ins_1", "data": data,
        });
        Event::read(event.to_string().as_bytes(), SIGNED, LATEST)
    }

    fn revokes(kind: &str, data: Value) -> Option<Revocation> {
        read(kind, json!(1_716_883_200), data).unwrap().revocation
    }

    const AT: Timestamp = Timestamp::from_secs(1_716_883_200);

    #[test]
    fn each_event_revokes_what_it_says() {
        let session = |end| Revocation::Session {
            id: "sess_1".to_owned(),
            end,
        };
        let user = |end| Revocation::User {
            id: "user_1".to_owned(),
            end,
            not_before: AT,
        };
        let membership = Revocation::Membership {
            user_id: "user_1".to_owned(),
            organization_id: "org_1".to_owned(),
            not_before: AT,
        };
        let organization = Revocation::Organization {
            id: "org_1".to_owned(),
            not_before: AT,
        };
        let member = json!({
            "id": "orgmem_1", "organization": {"id": "org_1"}, "public_user_data": {"user_id": "user_1"},
        });
        for (kind, data, revocation) in [
            (
                "session.ended",
                json!({"id": "sess_1"}),
                session(SessionEnd::Ended),
            ),
            (
                "session.removed",
                json!({"id": "sess_1"}),
                session(SessionEnd::Removed),
            ),
            (
                "session.revoked",
                json!({"id": "sess_1"}),
                session(SessionEnd::Revoked),
            ),
            (
                "user.deleted",
                json!({"id": "user_1", "deleted": true}),
                user(UserEnd::Deleted),
            ),
            (
                "user.updated",
                json!({"id": "user_1", "banned": true, "locked": true}),
                user(UserEnd::Banned),
            ),
            (
                "user.updated",
                json!({"id": "user_1", "banned": false, "locked": true}),
                user(UserEnd::Locked),
            ),
            (
                "organizationMembership.updated",
                member.clone(),
                membership.clone(),
            ),
            ("organizationMembership.deleted", member, membership),
            (
                "organization.deleted",
                json!({"id": "org_1", "deleted": true}),
                organization,
            ),
        ] {
            let event = read(kind, json!(1_716_883_200), data).unwrap();
            assert_eq!(event, Event::revoking(kind, revocation));
        }
    }

    #[test]
    fn other_events_revoke_nothing() {
        for (kind, data) in [
            ("user.updated", json!({"id": "user_1", "banned": false})),
            ("user.updated", json!({"id": "user_1"})),
            ("session.created", json!({"id": "sess_1"})),
            ("session.pending", json!({"id": "sess_1"})),
            ("organization.updated", json!({"id": "org_1"})),
            ("something.new", json!([1, 2])),
        ] {
            assert_eq!(revokes(kind, data), None, "{kind}");
        }
    }

    #[test]
    fn the_time_is_the_events_own_in_either_unit_and_never_in_the_future() {
        let not_before = |timestamp| {
            let event = read("user.deleted", timestamp, json!({"id": "user_1"})).unwrap();
            match event.revocation {
                Some(Revocation::User { not_before, .. }) => not_before,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(not_before(json!(1_716_883_200)), AT);
        assert_eq!(not_before(json!(1_716_883_200_000_i64)), AT);
        assert_eq!(
            not_before(json!(1_716_883_200_999_i64)).as_secs(),
            AT.as_secs()
        );
        assert_eq!(not_before(json!(null)), SIGNED);
        assert_eq!(not_before(json!(1_916_883_200)), LATEST);
        assert_eq!(not_before(json!(i64::MAX)), LATEST);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for (body, error) in [
            ("", EventError::Form),
            ("[]", EventError::Form),
            ("{}", EventError::Form),
            (r#"{"type":"session.ended"}"#, EventError::Form),
            (
                r#"{"type":"session.ended","data":{"id":7}}"#,
                EventError::Form,
            ),
            (
                r#"{"type":"user.updated","data":{"id":"user_1","banned":"no"}}"#,
                EventError::Form,
            ),
            (
                r#"{"type":"session.ended","data":{"id":"../x"}}"#,
                EventError::Id(InvalidId::Session),
            ),
            (
                r#"{"type":"user.deleted","data":{"id":"sess_1"}}"#,
                EventError::Id(InvalidId::User),
            ),
        ] {
            let refused = Event::read(body.as_bytes(), SIGNED, LATEST);
            assert_eq!(refused, Err(error), "{body}");
        }
    }
}
