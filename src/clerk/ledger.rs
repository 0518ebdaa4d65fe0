//! The calls of Clerk, second by second, and what Clerk's 429s have asked for: what a budget reckons with.
//!
//! Everything here is told what time it is, so that a simulation can drive it.

#[cfg(feature = "redis")]
use std::cmp::Reverse;
use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::retry::MAX_RETRY_AFTER;
use crate::time::Timestamp;

/// Clerk counts over 10 seconds. One more is remembered, so that no 10 seconds whatever hold more than the limit.
const SECONDS: u64 = 11;
/// Replicas' clocks differ, so what counts no more for one is kept for so many seconds for the others.
const KEPT: u64 = SECONDS + 3;
/// A 429 halves what may be asked at most once in so many seconds, and each so many give some of it back.
const STEP: u64 = 10;
/// One part in so many is what a step gives back, and what is left at least.
const PARTS: u64 = 20;

/// Calls and 429s, of one process or of a fleet.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ledger {
    /// The calls made in each second.
    calls: BTreeMap<i64, u64>,
    cut: Option<Cut>,
    /// Until when Clerk wants no call, in milliseconds since 1970.
    opens_at: i64,
}

/// The second of a 429 and what that left of the limit.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Cut {
    second: i64,
    left: u64,
}

impl Ledger {
    /// Returns how many calls count. A clock gone back leaves some that are to come: they count too.
    pub(crate) fn used(&self, now: Timestamp) -> u64 {
        let calls = self.recent(now).map(|(_, calls)| calls);
        calls.fold(0, u64::saturating_add)
    }

    /// Returns how many calls may count, of so many that Clerk allows.
    pub(crate) fn allowance(&self, limit: u64, now: Timestamp) -> u64 {
        let Some(cut) = self.cut else {
            return limit;
        };
        let steps = cut.second.abs_diff(now.as_secs()) / STEP;
        let back = steps.saturating_mul(part(limit));
        limit.min(cut.left.saturating_add(back))
    }

    /// Returns when the oldest of the calls counts no more.
    pub(crate) fn until_less(&self, now: Timestamp) -> Option<Duration> {
        let (oldest, _) = self.recent(now).next()?;
        let leaves = oldest.saturating_add(SECONDS as i64);
        Some(Timestamp::from_secs(leaves).since(now))
    }

    /// Returns for how long Clerk wants no call.
    pub(crate) fn closed_for(&self, now: Timestamp) -> Duration {
        let closed = Timestamp::from_millis(self.opens_at).since(now);
        // Longer than any wait that closed it: the clock went back.
        match closed > MAX_RETRY_AFTER {
            true => Duration::ZERO,
            false => closed,
        }
    }

    /// Counts calls.
    pub(crate) fn count(&mut self, calls: u64, now: Timestamp) {
        self.drop_old(now);
        let counted = self.calls.entry(now.as_secs()).or_default();
        *counted = counted.saturating_add(calls);
    }

    /// Makes no call for so long, or longer where that is so already, and allows half as many from then on.
    pub(crate) fn close(&mut self, wait: Duration, limit: u64, now: Timestamp) {
        self.opens_at = self.opens_at.max(now.plus(wait).as_millis());
        let second = now.as_secs();
        let is_halved = |cut: Cut| cut.second.abs_diff(second) < STEP;
        if !self.cut.is_some_and(is_halved) {
            let left = (self.allowance(limit, now) / 2).max(part(limit));
            self.cut = Some(Cut { second, left });
        }
    }

    fn drop_old(&mut self, now: Timestamp) {
        self.calls
            .retain(|second, _| second.abs_diff(now.as_secs()) < KEPT);
    }

    fn recent(&self, now: Timestamp) -> impl Iterator<Item = (i64, u64)> {
        let now = now.as_secs();
        let calls = self.calls.iter().map(|(second, calls)| (*second, *calls));
        calls.filter(move |(second, calls)| *calls > 0 && second.abs_diff(now) < SECONDS)
    }
}

/// What a fleet's ledger takes.
#[cfg(feature = "redis")]
impl Ledger {
    /// For so long a ledger is of any use: a 429's wait and what it has cut outlast the calls.
    pub(crate) const KEPT_FOR: Duration = MAX_RETRY_AFTER;
    /// For so long calls count.
    pub(crate) const CALLS_COUNT_FOR: Duration = Duration::from_secs(SECONDS);

    /// Takes over what another copy of the same ledger has more.
    pub(crate) fn merge(&mut self, other: &Self, now: Timestamp) {
        for (second, calls) in &other.calls {
            let known = self.calls.entry(*second).or_default();
            *known = (*known).max(*calls);
        }
        self.drop_old(now);
        self.cut = later(self.cut, other.cut);
        self.opens_at = self.opens_at.max(other.opens_at);
    }

    /// Adds calls that it did not count.
    pub(crate) fn add(&mut self, others: &Self, now: Timestamp) {
        for (second, calls) in others.recent(now) {
            let counted = self.calls.entry(second).or_default();
            *counted = counted.saturating_add(calls);
        }
    }

    /// Takes away calls that are counted elsewhere now.
    pub(crate) fn subtract(&mut self, others: &Self) {
        for (second, calls) in &mut self.calls {
            let elsewhere = others.calls.get(second).copied().unwrap_or_default();
            *calls = calls.saturating_sub(elsewhere);
        }
    }

    /// Counts all its calls as made now.
    pub(crate) fn gather(&mut self, now: Timestamp) {
        let calls = self
            .calls
            .values()
            .fold(0, |sum: u64, calls| sum.saturating_add(*calls));
        self.calls = BTreeMap::from([(now.as_secs(), calls)]);
    }

    /// Tells whether it lacks calls of another copy.
    pub(crate) fn lacks_calls_of(&self, other: &Self, now: Timestamp) -> bool {
        let counted = |second| self.calls.get(&second).copied().unwrap_or_default();
        other
            .recent(now)
            .any(|(second, calls)| counted(second) < calls)
    }

    /// Tells whether it lacks anything that another copy says.
    pub(crate) fn lacks(&self, other: &Self, now: Timestamp) -> bool {
        self.lacks_calls_of(other, now)
            || self.opens_at < other.opens_at
            || self.cut != later(self.cut, other.cut)
    }
}

#[cfg(feature = "redis")]
fn later(one: Option<Cut>, other: Option<Cut>) -> Option<Cut> {
    let cuts = one.into_iter().chain(other);
    cuts.max_by_key(|cut| (cut.second, Reverse(cut.left)))
}

fn part(limit: u64) -> u64 {
    (limit / PARTS).max(1)
}
