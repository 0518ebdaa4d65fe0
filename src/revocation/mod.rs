//! What was revoked: recorded here, read on every decision and before anything fetched is served.
//!
//! A session that ended is refused whatever its tokens say. A user, a member of an organization or an
//! organization is revoked *not before* a time: tokens issued until then are refused, later ones are not, so
//! that neither the order nor the delay in which revocations become known matters.
//!
//! What was fetched or minted is held to an [`Epoch`]: it counts only if it was begun after the last revocation
//! that concerns it became known. So nothing that was begun before a revocation is served after it.
//!
//! Replicas tell each other: what is recorded here waits in the [`outbox`](Revocations::share), what another recorded
//! is [learnt](Revocations::learn) and not told again.

// Only a build with Redis tells others.
#[cfg(feature = "gateway")]
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
mod outbox;
mod records;
#[cfg(feature = "redis")]
mod replicas;
mod table;

use std::time::Duration;

use tokio::sync::broadcast;

use crate::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Timestamp,
};
#[cfg(feature = "gateway")]
pub(crate) use outbox::{Outbox, Recorded};
use records::{Ended, NotBefore, User};
use table::Table;

/// What is past its time is looked for this often, at a revocation.
const UPKEEP: Duration = Duration::from_secs(60);
/// A subscriber that is so many revocations behind loses the oldest.
const NEWS: usize = 1024;

/// Something that counts no more.
#[cfg_attr(
    not(feature = "gateway"),
    allow(
        dead_code,
        reason = "a library hears of its own client's revocations alone"
    )
)]
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Revocation {
    /// The session is over, for good.
    Session { id: String, end: SessionEnd },
    /// Tokens of the user that were issued until `not_before`.
    User {
        id: String,
        end: UserEnd,
        not_before: Timestamp,
    },
    /// Tokens of the user that carry the organization and were issued until `not_before`.
    Membership {
        user_id: String,
        organization_id: String,
        not_before: Timestamp,
    },
    /// Tokens that carry the organization and were issued until `not_before`.
    Organization { id: String, not_before: Timestamp },
}

/// How a session ended.
#[cfg_attr(
    not(feature = "gateway"),
    allow(
        dead_code,
        reason = "a library hears of its own client's revocations alone"
    )
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SessionEnd {
    Ended,
    Removed,
    Revoked,
}

/// Why a user's tokens count no more.
#[cfg_attr(
    not(feature = "gateway"),
    allow(
        dead_code,
        reason = "a library hears of its own client's revocations alone"
    )
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum UserEnd {
    Banned,
    Deleted,
    Locked,
}

/// Which revocation refuses a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Revoked {
    #[error("the user's membership in the organization was changed or ended after the proof")]
    Membership,
    #[error("the organization was deleted")]
    Organization,
    #[error("the session is over: {0:?}")]
    Session(SessionEnd),
    #[error("the user was {0:?} after the proof")]
    User(UserEnd),
}

/// How many revocations were known when something was begun.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Epoch(u64);

impl Epoch {
    /// Before all revocations: for what another replica asked, who knows when by our own reckoning.
    pub(crate) const FIRST: Self = Self(0);
}

/// Whom something is about, and since when it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) session_id: &'a str,
    pub(crate) user_id: &'a str,
    pub(crate) organization_id: Option<&'a str>,
    pub(crate) proven: Proven,
}

/// Since when something is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proven {
    /// It was asked of Clerk, beginning then.
    Asked(Epoch),
    /// A token issued at that time says so; without the time, every revocation is later.
    Issued(Option<Timestamp>),
}

/// All that is known to be revoked, until no token or cache entry of it can be alive.
///
/// It is bounded by time alone: what is revoked is never dropped for space. A session takes some 100 bytes, a
/// user some 160, an organization some 130, a membership 100 more.
#[derive(Debug)]
pub(crate) struct Revocations {
    /// So that the common case, nothing at all, costs one load.
    any: AtomicBool,
    epoch: AtomicU64,
    sessions: Table<Option<Ended>>,
    users: Table<User>,
    organizations: Table<Option<NotBefore>>,
    /// In milliseconds; it only grows.
    retention: AtomicU64,
    /// When what is past its time is looked for next; held by who writes.
    upkeep: Mutex<Timestamp>,
    news: broadcast::Sender<Revocation>,
    /// Unset: there are no others to tell.
    #[cfg(feature = "gateway")]
    outbox: std::sync::OnceLock<std::sync::Arc<Outbox>>,
}

impl Revocations {
    /// Keeps each revocation for `retention`: the longest life of a token or a cache entry.
    pub(crate) fn new(retention: Duration) -> Self {
        Self {
            any: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            sessions: Table::default(),
            users: Table::default(),
            organizations: Table::default(),
            retention: AtomicU64::new(millis(retention)),
            upkeep: Mutex::new(Timestamp::from_millis(i64::MIN)),
            news: broadcast::Sender::new(NEWS),
            #[cfg(feature = "gateway")]
            outbox: std::sync::OnceLock::new(),
        }
    }

    /// Keeps revocations for `retention` at least, the known ones included: for a cache that holds sessions longer.
    pub(crate) fn outlast(&self, retention: Duration) {
        self.retention
            .fetch_max(millis(retention), Ordering::Relaxed);
    }

    /// Returns the present epoch, for what is begun now.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Tells of every revocation from now on.
    ///
    /// Whoever falls behind ([`broadcast::error::RecvError::Lagged`]) judges what it watches over once more.
    #[cfg(feature = "gateway")]
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Revocation> {
        self.news.subscribe()
    }

    /// Records a revocation that becomes known at `now`; it holds from the return on.
    pub(crate) fn record(&self, revocation: Revocation, now: Timestamp) {
        if self.keep(&revocation, now, now) {
            self.tell(&revocation, now);
        }
        // Nobody may be listening.
        let _ = self.news.send(revocation);
    }

    #[cfg(feature = "gateway")]
    fn tell(&self, revocation: &Revocation, at: Timestamp) {
        if let Some(outbox) = self.outbox.get() {
            let revocation = revocation.clone();
            outbox.push([Recorded { revocation, at }]);
        }
    }

    #[cfg(not(feature = "gateway"))]
    fn tell(&self, _: &Revocation, _: Timestamp) {}

    /// Keeps what became known at `at`, and tells whether that is news.
    fn keep(&self, revocation: &Revocation, at: Timestamp, now: Timestamp) -> bool {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        if *upkeep <= now {
            self.drop_old(now);
            *upkeep = now.plus(UPKEEP);
        }
        let epoch = Epoch(self.epoch.fetch_add(1, Ordering::AcqRel) + 1);
        let not_before = |time, why| NotBefore {
            time,
            epoch,
            recorded_at: at,
            why,
        };
        let is_news = match revocation {
            Revocation::Session { id, end } => self
                .sessions
                .update(id, |known| Ended::add_to(known, *end, at)),
            Revocation::User {
                id,
                end,
                not_before: time,
            } => {
                let revoked = not_before(*time, Revoked::User(*end));
                self.users
                    .update(id, |user| revoked.add_to(&mut user.everywhere))
            }
            Revocation::Membership {
                user_id,
                organization_id,
                not_before: time,
            } => {
                let revoked = not_before(*time, Revoked::Membership);
                self.users
                    .update(user_id, |user| user.revoke_in(organization_id, revoked))
            }
            Revocation::Organization {
                id,
                not_before: time,
            } => {
                let revoked = not_before(*time, Revoked::Organization);
                self.organizations.update(id, |known| revoked.add_to(known))
            }
        };
        self.any.store(true, Ordering::Release);
        is_news
    }

    /// Tells whether nothing is revoked, by one load.
    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// Refuses what a known revocation concerns.
    ///
    /// # Errors
    ///
    /// [`Revoked`] says which one.
    pub(crate) fn judge(&self, subject: &Subject<'_>, now: Timestamp) -> Result<(), Revoked> {
        match self.is_empty() {
            true => Ok(()),
            false => self.judge_by_all(subject, now),
        }
    }

    /// Refuses a session that is over, where nothing but its ID is known.
    ///
    /// # Errors
    ///
    /// [`Revoked::Session`].
    pub(crate) fn judge_session(&self, session_id: &str, now: Timestamp) -> Result<(), Revoked> {
        let ended = self.sessions.read(session_id, |ended| *ended).flatten();
        match ended.filter(|ended| self.holds(ended.recorded_at, now)) {
            Some(ended) => Err(Revoked::Session(ended.end)),
            None => Ok(()),
        }
    }

    /// Returns of how many sessions, users and organizations something is revoked.
    #[cfg(feature = "gateway")]
    pub(crate) fn len(&self) -> usize {
        self.sessions.len() + self.users.len() + self.organizations.len()
    }

    // Apart, so that the common case stays small where it is inlined.
    #[inline(never)]
    fn judge_by_all(&self, subject: &Subject<'_>, now: Timestamp) -> Result<(), Revoked> {
        self.judge_session(subject.session_id, now)?;
        let of_user = self.users.read(subject.user_id, |user| {
            let in_organization = subject.organization_id.and_then(|id| user.revoked_in(id));
            let mut known = [user.everywhere, in_organization].into_iter().flatten();
            known.find(|known| self.concerns(known, subject.proven, now))
        });
        let of_organization = || {
            let known = self
                .organizations
                .read(subject.organization_id?, |known| *known);
            known
                .flatten()
                .filter(|known| self.concerns(known, subject.proven, now))
        };
        match of_user.flatten().or_else(of_organization) {
            Some(known) => Err(known.why),
            None => Ok(()),
        }
    }

    fn concerns(&self, known: &NotBefore, proven: Proven, now: Timestamp) -> bool {
        let later = match proven {
            Proven::Asked(epoch) => epoch < known.epoch,
            // A token's time is in seconds: one of the same second may be the older.
            Proven::Issued(Some(time)) => time.as_secs() <= known.time.as_secs(),
            Proven::Issued(None) => true,
        };
        later && self.holds(known.recorded_at, now)
    }

    fn holds(&self, recorded_at: Timestamp, now: Timestamp) -> bool {
        now < recorded_at.plus(self.retention())
    }

    fn drop_old(&self, now: Timestamp) {
        let holds = |known: &NotBefore| self.holds(known.recorded_at, now);
        self.sessions
            .retain(|ended| ended.is_some_and(|ended| self.holds(ended.recorded_at, now)));
        self.users.retain(|user| {
            user.everywhere = user.everywhere.filter(holds);
            user.memberships.retain(|(_, known)| holds(known));
            user.everywhere.is_some() || !user.memberships.is_empty()
        });
        self.organizations
            .retain(|known| known.as_ref().is_some_and(holds));
        #[cfg(feature = "gateway")]
        if let Some(outbox) = self.outbox.get() {
            outbox.drop_older(now.minus(self.retention()));
        }
    }

    fn retention(&self) -> Duration {
        Duration::from_millis(self.retention.load(Ordering::Relaxed))
    }
}

impl Revoked {
    /// Returns the reason slug.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Membership => "organization-membership-changed",
            Self::Organization => "organization-deleted",
            Self::Session(SessionEnd::Ended) => "session-ended",
            Self::Session(SessionEnd::Removed) => "session-removed",
            Self::Session(SessionEnd::Revoked) => "session-revoked",
            Self::User(UserEnd::Banned) => "user-banned",
            Self::User(UserEnd::Deleted) => "user-deleted",
            Self::User(UserEnd::Locked) => "user-locked",
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
