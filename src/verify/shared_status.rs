//! What Clerk says of a session, and how replicas tell each other.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    clerk::model::SessionObject,
    session::{Actor, SessionStatus},
    time::Timestamp,
};

/// Which kind of thing in the shared place this is.
pub(super) const KIND: &str = "session";

/// What is read of Clerk's answer; times are in milliseconds since 1970.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) user_id: String,
    pub(super) client_id: String,
    pub(super) status: SessionStatus,
    pub(super) organization_id: Option<String>,
    pub(super) actor: Option<Actor>,
    pub(super) expire_at: i64,
    pub(super) abandon_at: i64,
}

#[derive(Deserialize)]
struct Read {
    asked_at: i64,
    session: Told,
}

#[derive(Serialize)]
struct Written<'a> {
    asked_at: i64,
    session: &'a Told,
}

/// Writes what Clerk said, and when it was asked.
pub(super) fn encode(session: &Told, asked_at: Timestamp) -> Vec<u8> {
    let asked_at = asked_at.as_millis();
    // Only maps with keys that are no strings could fail, and there are none.
    serde_json::to_vec(&Written { asked_at, session }).unwrap_or_default()
}

/// Reads what Clerk said of this session, and when it was asked: now at the latest.
pub(super) fn decode(text: &[u8], session_id: &str, now: Timestamp) -> Option<(Told, Timestamp)> {
    let Read { asked_at, session } = serde_json::from_slice(text).ok()?;
    let asked_at = Timestamp::from_millis(asked_at).min(now);
    (session.id == session_id).then_some((session, asked_at))
}

impl From<SessionObject> for Told {
    fn from(object: SessionObject) -> Self {
        Self {
            id: object.id,
            user_id: object.user_id,
            client_id: object.client_id,
            status: object.status,
            organization_id: object.last_active_organization_id,
            actor: object.actor.as_ref().and_then(actor),
            expire_at: object.expire_at,
            abandon_at: object.abandon_at,
        }
    }
}

// An actor of a shape that we do not know is an actor all the same: never "nobody".
fn actor(value: &Value) -> Option<Actor> {
    if value.is_null() {
        return None;
    }
    let known = serde_json::from_value(value.clone()).ok();
    Some(known.unwrap_or_else(|| Actor {
        sub: String::new(),
        iss: None,
        sid: None,
    }))
}

#[cfg(test)]
impl Told {
    pub(super) fn plain() -> Self {
        Self {
            id: "sess_a".to_owned(),
            user_id: "user_a".to_owned(),
            client_id: "client_a".to_owned(),
            status: SessionStatus::Active,
            organization_id: Some("org_a".to_owned()),
            actor: Some(Actor {
                sub: "user_b".to_owned(),
                iss: None,
                sid: None,
            }),
            expire_at: 2_000,
            abandon_at: 3_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_of_a_session_is_read_of_that_session_alone() {
        let at = Timestamp::from_millis;
        let text = encode(&Told::plain(), at(1_000));
        assert_eq!(
            decode(&text, "sess_a", at(1_500)),
            Some((Told::plain(), at(1_000)))
        );
        assert_eq!(decode(&text, "sess_b", at(1_500)), None);
        // The other's clock is ahead: that makes nothing last longer.
        assert_eq!(
            decode(&text, "sess_a", at(900)),
            Some((Told::plain(), at(900)))
        );
    }

    #[test]
    fn an_actor_of_an_unknown_shape_is_an_actor_and_null_is_none() {
        let sub = |value| actor(&value).map(|actor| actor.sub);
        assert_eq!(sub(json!({ "sub": "user_b" })).as_deref(), Some("user_b"));
        assert_eq!(sub(json!("user_b")).as_deref(), Some(""));
        assert_eq!(sub(Value::Null), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&bytes, "sess_a", Timestamp::from_secs(0)), None);
        }
    }
}
