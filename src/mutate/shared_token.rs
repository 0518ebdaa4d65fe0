//! How replicas tell each other of a template token: the token, whose it is, and when it was asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::template_token::{OrganizationRule, TokenRequest};
use crate::{
    cache::{Commons, Spot},
    session::Session,
    time::Timestamp,
};

/// Which kind of thing in the shared place this is.
const KIND: &str = "template-token";

/// Times are in milliseconds since 1970.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Told {
    asked_at: i64,
    session_id: String,
    user_id: String,
    jwt: String,
}

/// Writes a token that was asked for at that time.
pub(super) fn encode(jwt: &str, session: &Session, asked_at: Timestamp) -> Vec<u8> {
    let told = Told {
        asked_at: asked_at.as_millis(),
        session_id: session.id().to_owned(),
        user_id: session.user_id().to_owned(),
        jwt: jwt.to_owned(),
    };
    // Only maps with keys that are no strings could fail, and there are none.
    serde_json::to_vec(&told).unwrap_or_default()
}

/// Reads a token of this session, and when it was asked for: now at the latest.
pub(super) fn decode(
    text: &[u8],
    session: &Session,
    now: Timestamp,
) -> Option<(String, Timestamp)> {
    let told: Told = serde_json::from_slice(text).ok()?;
    let is_theirs = told.session_id == session.id() && told.user_id == session.user_id();
    let asked_at = Timestamp::from_millis(told.asked_at).min(now);
    is_theirs.then_some((told.jwt, asked_at))
}

/// Returns where a token is kept: by all that tells it from others.
pub(super) fn spot(commons: &dyn Commons, session: &Session, request: &TokenRequest) -> Spot {
    let organization = session.organization();
    let role = organization.and_then(|organization| organization.role.as_deref());
    let lifetime = millis(request.lifetime);
    let max_age = millis(request.max_age);
    let rule = match request.organization {
        OrganizationRule::Any => "any",
        OrganizationRule::Same => "same",
    };
    let organization = organization.map(|organization| organization.id.as_str());
    let actor = session.actor().map(|actor| actor.sub.as_str());
    let mut parts = vec![session.id(), session.user_id(), &request.template, rule];
    // What is not there and what is empty are two things.
    for part in [
        organization,
        role,
        actor,
        lifetime.as_deref(),
        max_age.as_deref(),
    ] {
        parts.push(if part.is_some() { "given" } else { "absent" });
        parts.push(part.unwrap_or_default());
    }
    commons.spot(KIND, &parts)
}

fn millis(duration: Option<Duration>) -> Option<String> {
    duration.map(|duration| duration.as_millis().to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::SessionData;

    fn session(id: &str, user_id: &str) -> Session {
        Session::new(SessionData {
            id: id.into(),
            user_id: user_id.into(),
            ..SessionData::plain()
        })
    }

    #[test]
    fn a_token_is_read_for_its_session_and_user_alone() {
        let at = Timestamp::from_millis;
        let text = encode("a.b.c", &session("sess_a", "user_a"), at(1_000));
        let read = |id, user, now| decode(&text, &session(id, user), at(now));
        let token = "a.b.c".to_owned();
        assert_eq!(
            read("sess_a", "user_a", 1_500),
            Some((token.clone(), at(1_000)))
        );
        assert_eq!(read("sess_b", "user_a", 1_500), None);
        assert_eq!(read("sess_a", "user_b", 1_500), None);
        // The other's clock is ahead: that makes nothing last longer.
        assert_eq!(read("sess_a", "user_a", 900), Some((token, at(900))));
    }

    #[test]
    fn a_time_is_written_in_milliseconds() {
        assert_eq!(
            millis(Some(Duration::from_secs(2))).as_deref(),
            Some("2000")
        );
        assert_eq!(millis(None), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let session = session("sess_a", "user_a");
            prop_assert_eq!(decode(&bytes, &session, Timestamp::from_secs(0)), None);
        }
    }
}
