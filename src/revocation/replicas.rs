//! What replicas tell each other of revocations.

use std::{sync::Arc, time::Duration};

use super::{
    Ended, NotBefore, Outbox, Recorded, Revocation, Revocations, Revoked, Timestamp, User,
};

impl Revocations {
    /// Returns what the other replicas are to be told: all that is recorded from the first call on.
    pub(crate) fn share(&self) -> Arc<Outbox> {
        Arc::clone(self.outbox.get_or_init(|| Arc::new(Outbox::new())))
    }

    /// Returns for how long revocations are kept.
    pub(crate) fn kept_for(&self) -> Duration {
        self.retention()
    }

    /// Takes over what another replica recorded, and tells whether it is news; nobody is told of it again.
    pub(crate) fn learn(&self, recorded: Recorded, now: Timestamp) -> bool {
        let Recorded { revocation, at } = recorded;
        // The other's clock may be ahead.
        let at = at.min(now);
        if !self.holds(at, now) || !self.keep(&revocation, at, now) {
            return false;
        }
        let _ = self.news.send(revocation);
        true
    }

    /// Returns all that is known.
    pub(crate) fn all(&self, now: Timestamp) -> Vec<Recorded> {
        let mut all = Vec::new();
        self.sessions
            .each(|id, ended| all.extend(ended.map(|ended| ended.recorded(id))));
        self.users.each(|id, user| user.all(id, &mut all));
        self.organizations
            .each(|id, known| all.extend(known.map(|known| known.of_organization(id))));
        all.retain(|recorded| self.holds(recorded.at, now));
        all
    }
}

impl Ended {
    fn recorded(self, id: &str) -> Recorded {
        Recorded {
            revocation: Revocation::Session {
                id: id.to_owned(),
                end: self.end,
            },
            at: self.recorded_at,
        }
    }
}

impl User {
    fn all(&self, user_id: &str, all: &mut Vec<Recorded>) {
        if let Some(known) = self.everywhere
            && let Revoked::User(end) = known.why
        {
            all.push(known.recorded(Revocation::User {
                id: user_id.to_owned(),
                end,
                not_before: known.time,
            }));
        }
        all.extend(self.memberships.iter().map(|(organization_id, known)| {
            known.recorded(Revocation::Membership {
                user_id: user_id.to_owned(),
                organization_id: organization_id.to_string(),
                not_before: known.time,
            })
        }));
    }
}

impl NotBefore {
    fn of_organization(self, id: &str) -> Recorded {
        self.recorded(Revocation::Organization {
            id: id.to_owned(),
            not_before: self.time,
        })
    }

    fn recorded(self, revocation: Revocation) -> Recorded {
        Recorded {
            revocation,
            at: self.recorded_at,
        }
    }
}
