//! Clerk's rate limit as a budget: how many calls fit into 10 seconds, and whose they are where not all fit.
//!
//! It is one replica's part of the limit, or the whole of it while a fleet keeps one ledger.

use std::{sync::Arc, time::Duration};

#[cfg(feature = "redis")]
use tokio::sync::oneshot;

use super::books::{Books, State};
#[cfg(feature = "redis")]
use super::fleet::Verdict;
use crate::time::Timestamp;

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

/// What may be asked of Clerk, and has been; clones share what was.
///
/// Others may share Clerk's limit unknown to us (more replicas than were told, an application's own calls). So
/// a 429 halves the budget, which then grows again by a twentieth of its limit every 10 seconds.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// Calls in 10 seconds of all replicas together; 0: any number.
    limit: u32,
    /// How many replicas share that, where they do not count together.
    replicas: u32,
    books: Arc<Books>,
}

/// What is left of a budget.
#[cfg(feature = "gateway")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pace {
    /// How many calls still fit into these 10 seconds; `None`: any number.
    pub(crate) left: Option<u64>,
    /// How long all calls are held back.
    pub(crate) held_back: Duration,
    /// Whether that is counted together with the other replicas; `None`: there are none to count with.
    pub(crate) is_shared: Option<bool>,
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
        Self {
            limit,
            replicas: 1,
            books: Arc::default(),
        }
    }

    /// Divides it among so many replicas: each has its part, and one call at least.
    pub(crate) fn among(mut self, replicas: u32) -> Self {
        self.replicas = replicas.max(1);
        self
    }

    /// Counts in these books.
    #[cfg(feature = "redis")]
    pub(crate) fn counted_in(mut self, books: Arc<Books>) -> Self {
        self.books = books;
        self
    }

    /// Takes another's place: what was asked under that one counts.
    #[cfg(feature = "gateway")]
    pub(crate) fn succeed(&mut self, previous: &Self) {
        self.books = Arc::clone(&previous.books);
    }

    /// Counts a call, if it fits; where the replicas count together, the calls of all count.
    ///
    /// # Errors
    ///
    /// After how long there may be room for it, at the earliest.
    pub(crate) async fn obtain(&self, priority: Priority, now: Timestamp) -> Result<(), Duration> {
        #[cfg(feature = "redis")]
        if let Some(asked) = self.ask(priority, now)
            && let Some(verdict) = self.books.answer(asked).await
        {
            return verdict;
        }
        self.take(priority, now)
    }

    /// Asks for a call that seems to fit, where the replicas count together.
    #[cfg(feature = "redis")]
    fn ask(&self, priority: Priority, now: Timestamp) -> Option<oneshot::Receiver<Verdict>> {
        let mut state = self.books.open();
        let now = state.fleet_time(now);
        if self.limit == 0 || !state.is_together() || !self.fits(&state, priority, now) {
            return None;
        }
        let most = priority.part_of(self.allowance(&state, now));
        self.books.ask(&mut state, most)
    }

    /// Counts a call of this replica, if it fits into its part.
    ///
    /// # Errors
    ///
    /// After how long there is room for another call, at the earliest.
    pub(crate) fn take(&self, priority: Priority, now: Timestamp) -> Result<(), Duration> {
        let mut state = self.books.open();
        let now = state.fleet_time(now);
        if !self.fits(&state, priority, now) {
            return Err(state.until_less(now));
        }
        state.count_alone(now);
        Ok(())
    }

    /// Tells whether a call would fit.
    pub(crate) fn has_room(&self, priority: Priority, now: Timestamp) -> bool {
        let state = self.books.open();
        let now = state.fleet_time(now);
        self.fits(&state, priority, now)
    }

    /// Returns which part of the budget is used up, from 0 to about 1.
    pub(crate) fn pressure(&self, now: Timestamp) -> f64 {
        if self.limit == 0 {
            return 0.0;
        }
        let state = self.books.open();
        let now = state.fleet_time(now);
        self.used(&state, now) as f64 / self.allowance(&state, now) as f64
    }

    /// Returns how long all calls are held back.
    pub(crate) fn closed_for(&self, now: Timestamp) -> Duration {
        let state = self.books.open();
        let now = state.fleet_time(now);
        state.known.closed_for(now)
    }

    /// Makes no call for so long, and halves the budget, because Clerk has refused a call by its own count.
    pub(crate) fn close(&self, wait: Duration, now: Timestamp) {
        let mut state = self.books.open();
        let now = state.fleet_time(now);
        state.known.close(wait, u64::from(self.limit), now);
        drop(state);
        #[cfg(feature = "redis")]
        self.books.tell();
    }

    /// Returns what is left.
    #[cfg(feature = "gateway")]
    pub(crate) fn pace(&self, now: Timestamp) -> Pace {
        let state = self.books.open();
        let now = state.fleet_time(now);
        let left = || {
            let allowance = self.allowance(&state, now);
            allowance.saturating_sub(self.used(&state, now))
        };
        Pace {
            left: (self.limit > 0).then(left),
            held_back: state.known.closed_for(now),
            is_shared: state.is_shared(),
        }
    }

    fn fits(&self, state: &State, priority: Priority, now: Timestamp) -> bool {
        let room = || priority.part_of(self.allowance(state, now));
        self.limit == 0 || self.used(state, now) < room()
    }

    fn used(&self, state: &State, now: Timestamp) -> u64 {
        match state.is_together() {
            true => state.used_together(now),
            false => state.used_alone(u64::from(self.replicas), now),
        }
    }

    fn allowance(&self, state: &State, now: Timestamp) -> u64 {
        let whole = state.known.allowance(u64::from(self.limit), now);
        match state.is_together() {
            true => whole,
            false => (whole / u64::from(self.replicas)).max(1),
        }
    }
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
        budget.close(Duration::ZERO, at(0));
        budget.close(Duration::ZERO, at(5_000));
        assert_eq!(take(&budget, Priority::Request, at(0)), 50);
        assert_eq!(take(&budget, Priority::Request, at(60_000)), 80);
        assert_eq!(take(&budget, Priority::Request, at(600_000)), 100);
        for again in 0..20 {
            budget.close(Duration::ZERO, at(700_000 + again * 10_000));
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
