//! Clerk's rate limit as a budget: how many calls fit into 10 seconds, and whose they are where not all fit.
//!
//! Everything here is told what time it is, so that a simulation can drive it.

use std::{
    array,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::time::Timestamp;

/// Clerk counts over 10 seconds. One more is remembered, so that no 10 seconds whatever hold more than the limit.
const SECONDS: u64 = 11;
/// A 429 halves the budget at most once in so many seconds, and each so many give some of it back.
const STEP: u64 = 10;
/// One part in so many is what a step gives back, and what is left at least.
const PARTS: u64 = 20;

/// How urgent a call is.
#[cfg_attr(
    not(feature = "gateway"),
    allow(dead_code, reason = "only a gateway has streams")
)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Priority {
    /// Somebody waits for the answer: it may use the whole budget, and waits for its turn.
    #[default]
    Request,
    /// It renews what is still good: it may use three quarters, or is left out.
    Refresh,
    /// It looks after a running stream: it may use one half, or is left out.
    Stream,
}

/// What one process may ask of Clerk, and has asked; clones share what was asked.
///
/// Others may share Clerk's limit unknown to us (more replicas than were told, an application's own calls). So
/// a 429 halves the budget, which then grows again by a twentieth of its limit every 10 seconds.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// Calls in 10 seconds; 0: any number.
    limit: u32,
    calls: Arc<Calls>,
}

#[derive(Debug)]
struct Calls {
    /// A second and the calls made in it, packed.
    seconds: [AtomicU64; SECONDS as usize],
    /// The second of the last 429 and what it left of the budget, packed; 0: there was none.
    cut: AtomicU64,
    taking: Mutex<()>,
}

impl Priority {
    /// Returns what it may use of an allowance.
    fn part_of(self, allowance: u64) -> u64 {
        match self {
            Self::Request => allowance,
            Self::Refresh => allowance * 3 / 4,
            Self::Stream => allowance / 2,
        }
    }

    /// Tells whether it is left out where it does not fit, in place of waiting.
    pub(crate) fn is_background(self) -> bool {
        self != Self::Request
    }

    /// Returns the label for metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Refresh => "refresh",
            Self::Stream => "stream",
        }
    }
}

impl Budget {
    /// Begins a budget of so many calls in any 10 seconds; 0: any number.
    pub(crate) fn new(limit: u32) -> Self {
        let calls = Calls {
            seconds: array::from_fn(|_| AtomicU64::new(0)),
            cut: AtomicU64::new(0),
            taking: Mutex::default(),
        };
        Self {
            limit,
            calls: Arc::new(calls),
        }
    }

    /// Returns the budget with another limit; what was asked under this one counts.
    #[cfg(feature = "gateway")]
    pub(crate) fn with_limit(&self, limit: u32) -> Self {
        Self {
            limit,
            calls: Arc::clone(&self.calls),
        }
    }

    /// Counts a call, if it fits.
    ///
    /// # Errors
    ///
    /// After how long there is room for another call, at the earliest.
    pub(crate) fn take(&self, priority: Priority, now: Timestamp) -> Result<(), Duration> {
        // One at a time, so that two never share the last place.
        let taking = &self.calls.taking;
        let _one = taking.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.has_room(priority, now) {
            return Err(self.until_room(now));
        }
        self.count(now);
        Ok(())
    }

    /// Tells whether a call would fit.
    pub(crate) fn has_room(&self, priority: Priority, now: Timestamp) -> bool {
        self.limit == 0 || self.used(now) < priority.part_of(self.allowance(now))
    }

    /// Returns which part of the budget is used up, from 0 to about 1.
    pub(crate) fn pressure(&self, now: Timestamp) -> f64 {
        match self.limit {
            0 => 0.0,
            _ => self.used(now) as f64 / self.allowance(now) as f64,
        }
    }

    /// Halves the budget, because Clerk has refused a call by its own count.
    pub(crate) fn halve(&self, now: Timestamp) {
        let second = second(now);
        let (cut, _) = unpack(self.calls.cut.load(Ordering::Relaxed));
        if cut.abs_diff(second) < STEP {
            return;
        }
        let left = (self.allowance(now) / 2).max(self.part());
        self.calls.cut.store(pack(second, left), Ordering::Relaxed);
    }

    /// Returns how many calls still fit now; `None`: any number.
    #[cfg(feature = "gateway")]
    pub(crate) fn left(&self, now: Timestamp) -> Option<u64> {
        (self.limit > 0).then(|| self.allowance(now).saturating_sub(self.used(now)))
    }

    fn used(&self, now: Timestamp) -> u64 {
        self.recent(now).map(|(_, calls)| calls).sum()
    }

    /// The seconds that count, with their calls. A clock gone back leaves some that are to come: they count too.
    fn recent(&self, now: Timestamp) -> impl Iterator<Item = (u64, u64)> {
        let now = second(now);
        let seconds = self.calls.seconds.iter();
        seconds
            .map(|packed| unpack(packed.load(Ordering::Relaxed)))
            .filter(move |(second, _)| second.abs_diff(now) < SECONDS)
    }

    fn until_room(&self, now: Timestamp) -> Duration {
        let made = self.recent(now).filter(|(_, calls)| *calls > 0);
        let oldest = made.map(|(second, _)| second).min();
        let leaves = oldest.unwrap_or(second(now)) + SECONDS;
        Timestamp::from_secs(leaves as i64).since(now)
    }

    fn allowance(&self, now: Timestamp) -> u64 {
        let limit = u64::from(self.limit);
        match unpack(self.calls.cut.load(Ordering::Relaxed)) {
            (0, _) => limit,
            (cut, left) => {
                let steps = cut.abs_diff(second(now)) / STEP;
                limit.min(left + steps * self.part())
            }
        }
    }

    fn part(&self) -> u64 {
        (u64::from(self.limit) / PARTS).max(1)
    }

    fn count(&self, now: Timestamp) {
        let now = second(now);
        let Some(place) = self.calls.seconds.get((now % SECONDS) as usize) else {
            return;
        };
        let calls = match unpack(place.load(Ordering::Relaxed)) {
            (second, calls) if second == now => calls + 1,
            _ => 1,
        };
        place.store(pack(now, calls), Ordering::Relaxed);
    }
}

fn second(now: Timestamp) -> u64 {
    now.as_secs() as u64 & u64::from(u32::MAX)
}

fn pack(second: u64, count: u64) -> u64 {
    second << 32 | count & u64::from(u32::MAX)
}

fn unpack(packed: u64) -> (u64, u64) {
    (packed >> 32, packed & u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn take(budget: &Budget, priority: Priority, now: Timestamp) -> usize {
        (0..1_000)
            .take_while(|_| budget.take(priority, now).is_ok())
            .count()
    }

    #[test]
    fn no_ten_seconds_whatever_hold_more_than_the_limit() {
        let budget = Budget::new(90);
        let mut made = Vec::new();
        for step in 0..400_i64 {
            // Unevenly: rushes, and pauses that end in the middle of a second.
            let now = step * 137 + (step / 50) * 1_500;
            for _ in 0..step % 7 {
                if budget.take(Priority::Request, at(now)).is_ok() {
                    made.push(now);
                }
            }
        }
        assert!(made.len() > 300, "{}", made.len());
        let too_many = made.windows(91).find(|calls| calls[90] - calls[0] < 10_000);
        assert_eq!(too_many.map(|calls| calls[0]), None);
    }

    #[test]
    fn background_calls_leave_room_for_what_somebody_waits_for() {
        let budget = Budget::new(100);
        assert_eq!(take(&budget, Priority::Stream, at(0)), 50);
        assert_eq!(take(&budget, Priority::Refresh, at(0)), 25);
        assert_eq!(take(&budget, Priority::Stream, at(0)), 0);
        assert_eq!(take(&budget, Priority::Request, at(0)), 25);
    }

    #[test]
    fn a_call_that_does_not_fit_is_told_when_one_will() {
        let budget = Budget::new(10);
        assert_eq!(take(&budget, Priority::Request, at(300)), 10);
        let wait = budget.take(Priority::Request, at(4_300)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(6_700));
        assert!(budget.take(Priority::Request, at(4_300).plus(wait)).is_ok());
    }

    #[test]
    fn a_429_halves_the_budget_which_grows_again() {
        let budget = Budget::new(100);
        budget.halve(at(0));
        budget.halve(at(5_000));
        assert_eq!(take(&budget, Priority::Request, at(0)), 50);
        assert_eq!(take(&budget, Priority::Request, at(60_000)), 80);
        assert_eq!(take(&budget, Priority::Request, at(600_000)), 100);
        for again in 0..20 {
            budget.halve(at(700_000 + again * 10_000));
        }
        assert!(take(&budget, Priority::Request, at(1_000_000)) >= 5);
    }

    #[test]
    fn without_a_limit_everything_fits() {
        let budget = Budget::new(0);
        assert_eq!(take(&budget, Priority::Stream, at(0)), 1_000);
        assert_eq!(budget.pressure(at(0)), 0.0);
    }

    #[test]
    fn a_clock_gone_back_brings_no_second_budget() {
        let budget = Budget::new(100);
        assert_eq!(take(&budget, Priority::Request, at(10_000)), 100);
        assert_eq!(take(&budget, Priority::Request, at(0)), 0);
    }
}
