//! Where budgets write down the calls that they make, and what they know of those of other replicas.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[cfg(feature = "redis")]
use super::fleet::Fleet;
use super::ledger::Ledger;
use crate::time::Timestamp;

/// The books of one instance's calls.
#[derive(Default)]
pub(crate) struct Books {
    state: Mutex<State>,
    /// Somebody asks for a call, or has to tell the other replicas of a 429.
    #[cfg(feature = "redis")]
    pub(super) news: tokio::sync::Notify,
}

/// What is written in the books.
#[derive(Default)]
pub(super) struct State {
    /// What is known of all replicas together, and every 429.
    pub(super) known: Ledger,
    /// The calls of this replica.
    pub(super) own: Ledger,
    /// Those of them that the others have not been told of.
    pub(super) untold: Ledger,
    /// Where replicas can count together.
    #[cfg(feature = "redis")]
    pub(super) fleet: Option<Fleet>,
}

impl Books {
    pub(super) fn open(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a call that the others do not know of.
    pub(super) fn count_alone(&mut self, now: Timestamp) {
        self.own.count(1, now);
        self.untold.count(1, now);
    }

    /// Returns how many calls count, for one of so many replicas that do not count together.
    ///
    /// Each leaves out its part of what the others are known to have called: so all of them together leave it out.
    pub(super) fn used_alone(&self, replicas: u64, now: Timestamp) -> u64 {
        let own = self.own.used(now);
        let told = own.saturating_sub(self.untold.used(now));
        let of_others = self.known.used(now).saturating_sub(told);
        own.saturating_add(of_others.div_ceil(replicas))
    }

    /// Returns how many calls count, where all replicas count together.
    pub(super) fn used_together(&self, now: Timestamp) -> u64 {
        let known = self.known.used(now);
        known.saturating_add(self.untold.used(now))
    }

    /// Returns when there may be room for another call.
    pub(super) fn until_less(&self, now: Timestamp) -> Duration {
        let ledgers = [&self.known, &self.own].into_iter();
        let earliest = ledgers.filter_map(|ledger| ledger.until_less(now)).min();
        earliest.unwrap_or_default()
    }
}

#[cfg(not(feature = "redis"))]
impl State {
    /// Returns the time of the clock by which calls are counted.
    pub(super) fn fleet_time(&self, now: Timestamp) -> Timestamp {
        now
    }

    /// Tells whether all replicas count together now.
    pub(super) fn is_together(&self) -> bool {
        false
    }

    #[cfg(feature = "gateway")]
    pub(super) fn is_shared(&self) -> Option<bool> {
        None
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").finish_non_exhaustive()
    }
}
