//! A revocation as replicas write it to each other.

use serde::{Deserialize, Serialize};

use crate::{
    revocation::{Recorded, Revocation, SessionEnd, UserEnd},
    time::Timestamp,
};

/// Times are in milliseconds since 1970. What it lacks or has more is of another version, and is not read.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Message {
    at: i64,
    revoked: Revoked,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Revoked {
    Session {
        id: String,
        end: End,
    },
    User {
        id: String,
        end: End,
        not_before: i64,
    },
    Membership {
        user_id: String,
        organization_id: String,
        not_before: i64,
    },
    Organization {
        id: String,
        not_before: i64,
    },
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    Banned,
    Deleted,
    Ended,
    Locked,
    Removed,
    Revoked,
}

/// Writes a revocation.
pub(super) fn encode(recorded: &Recorded) -> Vec<u8> {
    let message = Message {
        at: recorded.at.as_millis(),
        revoked: Revoked::of(&recorded.revocation),
    };
    // Only maps with keys that are no strings could fail, and there are none.
    serde_json::to_vec(&message).unwrap_or_default()
}

/// Reads a revocation; `None` for what no replica of this version writes.
pub(super) fn decode(text: &[u8]) -> Option<Recorded> {
    let message: Message = serde_json::from_slice(text).ok()?;
    Some(Recorded {
        revocation: message.revoked.read()?,
        at: Timestamp::from_millis(message.at),
    })
}

impl Revoked {
    fn of(revocation: &Revocation) -> Self {
        match revocation.clone() {
            Revocation::Session { id, end } => Self::Session {
                id,
                end: match end {
                    SessionEnd::Ended => End::Ended,
                    SessionEnd::Removed => End::Removed,
                    SessionEnd::Revoked => End::Revoked,
                },
            },
            Revocation::User {
                id,
                end,
                not_before,
            } => Self::User {
                id,
                end: match end {
                    UserEnd::Banned => End::Banned,
                    UserEnd::Deleted => End::Deleted,
                    UserEnd::Locked => End::Locked,
                },
                not_before: not_before.as_millis(),
            },
            Revocation::Membership {
                user_id,
                organization_id,
                not_before,
            } => Self::Membership {
                user_id,
                organization_id,
                not_before: not_before.as_millis(),
            },
            Revocation::Organization { id, not_before } => Self::Organization {
                id,
                not_before: not_before.as_millis(),
            },
        }
    }

    fn read(self) -> Option<Revocation> {
        Some(match self {
            Self::Session { id, end } => Revocation::Session {
                id,
                end: end.of_session()?,
            },
            Self::User {
                id,
                end,
                not_before,
            } => Revocation::User {
                id,
                end: end.of_user()?,
                not_before: Timestamp::from_millis(not_before),
            },
            Self::Membership {
                user_id,
                organization_id,
                not_before,
            } => Revocation::Membership {
                user_id,
                organization_id,
                not_before: Timestamp::from_millis(not_before),
            },
            Self::Organization { id, not_before } => Revocation::Organization {
                id,
                not_before: Timestamp::from_millis(not_before),
            },
        })
    }
}

impl End {
    fn of_session(self) -> Option<SessionEnd> {
        match self {
            Self::Ended => Some(SessionEnd::Ended),
            Self::Removed => Some(SessionEnd::Removed),
            Self::Revoked => Some(SessionEnd::Revoked),
            Self::Banned | Self::Deleted | Self::Locked => None,
        }
    }

    fn of_user(self) -> Option<UserEnd> {
        match self {
            Self::Banned => Some(UserEnd::Banned),
            Self::Deleted => Some(UserEnd::Deleted),
            Self::Locked => Some(UserEnd::Locked),
            Self::Ended | Self::Removed | Self::Revoked => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn revocation() -> impl Strategy<Value = Revocation> {
        let time = || any::<i64>().prop_map(Timestamp::from_millis);
        let session_end = prop_oneof![
            Just(SessionEnd::Ended),
            Just(SessionEnd::Removed),
            Just(SessionEnd::Revoked),
        ];
        let user_end = prop_oneof![
            Just(UserEnd::Banned),
            Just(UserEnd::Deleted),
            Just(UserEnd::Locked),
        ];
        prop_oneof![
            (".*", session_end).prop_map(|(id, end)| Revocation::Session { id, end }),
            (".*", user_end, time()).prop_map(|(id, end, not_before)| Revocation::User {
                id,
                end,
                not_before
            }),
            (".*", ".*", time()).prop_map(|(user_id, organization_id, not_before)| {
                Revocation::Membership {
                    user_id,
                    organization_id,
                    not_before,
                }
            }),
            (".*", time()).prop_map(|(id, not_before)| Revocation::Organization { id, not_before }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(revocation in revocation(), at in any::<i64>()) {
            let recorded = Recorded { revocation, at: Timestamp::from_millis(at) };
            prop_assert_eq!(decode(&encode(&recorded)), Some(recorded));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn nothing_cut_short_is_read(revocation in revocation(), cut in 1..40_usize) {
            let text = encode(&Recorded { revocation, at: Timestamp::from_secs(1) });
            prop_assert_eq!(decode(&text[..text.len() - cut.min(text.len())]), None);
        }
    }

    #[test]
    fn what_another_version_may_mean_is_not_guessed() {
        for text in [
            r#"{"at":1,"revoked":{"session":{"id":"sess_a","end":"banned"}}}"#,
            r#"{"at":1,"revoked":{"user":{"id":"user_a","end":"ended","not_before":1}}}"#,
            r#"{"at":1,"revoked":{"session":{"id":"sess_a","end":"revoked","but":1}}}"#,
            r#"{"at":1,"revoked":{"device":{"id":"dev_a"}}}"#,
            r#"{"at":1,"revoked":{"session":{"id":"sess_a","end":"revoked"}},"if":1}"#,
            r#"{"revoked":{"session":{"id":"sess_a","end":"revoked"}}}"#,
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
        let known = r#"{"at":1,"revoked":{"session":{"id":"sess_a","end":"revoked"}}}"#;
        assert!(decode(known.as_bytes()).is_some());
    }
}
