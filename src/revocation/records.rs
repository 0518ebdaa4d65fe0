//! What the tables hold of a session, a user, an organization.

use super::{Epoch, Revoked, SessionEnd};
use crate::time::Timestamp;

/// A session is over, and since when that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) recorded_at: Timestamp,
    pub(super) end: SessionEnd,
}

/// What of a user's is revoked.
#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) everywhere: Option<NotBefore>,
    /// By organization; a user is in few.
    pub(super) memberships: Vec<(Box<str>, NotBefore)>,
}

/// What was issued until a time is revoked.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotBefore {
    pub(super) time: Timestamp,
    pub(super) epoch: Epoch,
    pub(super) recorded_at: Timestamp,
    pub(super) why: Revoked,
}

impl Ended {
    /// Notes the end, the first word of which stays; tells whether it is news.
    pub(super) fn add_to(
        known: &mut Option<Self>,
        end: SessionEnd,
        recorded_at: Timestamp,
    ) -> bool {
        let earlier = *known;
        *known = Some(match earlier {
            Some(earlier) => Self {
                recorded_at: earlier.recorded_at.max(recorded_at),
                ..earlier
            },
            None => Self { recorded_at, end },
        });
        earlier.is_none()
    }
}

impl NotBefore {
    /// Puts this in the place of what is known, unless that refuses as much already; tells whether it does.
    pub(super) fn add_to(self, known: &mut Option<Self>) -> bool {
        let is_news = known.is_none_or(|known| known.time < self.time);
        if is_news {
            *known = Some(self);
        }
        is_news
    }
}

impl User {
    pub(super) fn revoked_in(&self, organization_id: &str) -> Option<NotBefore> {
        let mut memberships = self.memberships.iter();
        let found = memberships.find(|(id, _)| **id == *organization_id);
        found.map(|(_, known)| *known)
    }

    pub(super) fn revoke_in(&mut self, organization_id: &str, revoked: NotBefore) -> bool {
        let mut memberships = self.memberships.iter_mut();
        match memberships.find(|(id, _)| **id == *organization_id) {
            Some((_, known)) if known.time < revoked.time => *known = revoked,
            Some(_) => return false,
            None => {
                // Most have one: a vector's first growth would be room for four.
                self.memberships.reserve_exact(1);
                self.memberships.push((organization_id.into(), revoked));
            }
        }
        true
    }
}
