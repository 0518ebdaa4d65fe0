//! The gate before every call: closed by a 429 until Clerk wants to be asked again, else as wide as the budget.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

#[cfg(feature = "gateway")]
use super::budget::Pace;
use super::{
    Error,
    budget::{Budget, Priority},
    retry::jitter,
};
use crate::{
    telemetry::metrics,
    time::{Clock, Timestamp},
};

/// Over how long the waiting calls spread when the gate opens.
const SPREAD: Duration = Duration::from_millis(200);
/// More calls do not wait for the budget: they would not get their turn in time.
const MOST_WAITING: u64 = 500;

/// A call that has waited for the gate to open still has so long to be made: else it would fail as if Clerk were slow.
const LEAST_LEFT: Duration = Duration::from_millis(500);

/// Where calls wait for Clerk's rate limit.
pub(super) struct Gate {
    clock: Clock,
    budget: Budget,
    waiting: AtomicU64,
}

/// Until when a call may wait.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For a gate that a 429 has closed.
    pub(super) closed: Instant,
    /// For its turn within the budget: earlier, so that time is left for the call itself.
    pub(super) budget: Instant,
}

/// A call that waits, counted until this is dropped.
struct Waiting<'a>(&'a AtomicU64);

impl Gate {
    pub(super) fn new(clock: Clock, budget: Budget) -> Self {
        Self {
            clock,
            budget,
            waiting: AtomicU64::new(0),
        }
    }

    /// Takes the place of another gate: its calls count, and while it is closed, so is this.
    #[cfg(feature = "gateway")]
    pub(super) fn succeed(&mut self, previous: &Self) {
        self.budget.succeed(&previous.budget);
    }

    /// Returns what is left of the budget.
    #[cfg(feature = "gateway")]
    pub(super) fn pace(&self) -> Pace {
        self.budget.pace(self.clock.now())
    }

    /// Returns which part of the budget is used up, from 0 to about 1.
    pub(super) fn pressure(&self, now: Timestamp) -> f64 {
        self.budget.pressure(now)
    }

    /// Tells whether a call could pass now.
    pub(super) fn has_room(&self, priority: Priority) -> bool {
        self.closed_for().is_zero() && self.budget.has_room(priority, self.clock.now())
    }

    /// Closes the gate for so long, or longer where it is closed for longer already, and asks less from then on.
    pub(super) fn close_for(&self, wait: Duration) {
        self.budget.close(wait, self.clock.now());
    }

    /// Waits until the gate is open and the budget has room; background calls never wait.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`], at once, where that will not be in time.
    pub(super) async fn pass(&self, priority: Priority, patience: Patience) -> Result<(), Error> {
        let mut waiting = None;
        loop {
            let closed = self.closed_for();
            let (held, left, deadline) = match closed.is_zero() {
                true => match self.budget.obtain(priority, self.clock.now()).await {
                    Ok(()) => return Ok(()),
                    Err(held) => (held, Duration::ZERO, patience.budget),
                },
                false => (closed, LEAST_LEFT, patience.closed),
            };
            let wait = held + jitter(SPREAD);
            let in_time = wait + left < deadline.saturating_duration_since(Instant::now());
            if priority.is_background() || !in_time || !self.may_wait(&mut waiting) {
                metrics::clerk_call_limited(priority.label(), turned_away(priority));
                return Err(Error::rate_limited(held));
            }
            sleep(wait).await;
        }
    }

    fn may_wait<'a>(&'a self, waiting: &mut Option<Waiting<'a>>) -> bool {
        if waiting.is_some() {
            return true;
        }
        let counted = waiting.insert(Waiting(&self.waiting));
        let before = counted.0.fetch_add(1, Ordering::Relaxed);
        if before < MOST_WAITING {
            metrics::clerk_call_limited(Priority::Request.label(), "delayed");
        }
        before < MOST_WAITING
    }

    /// Tells whether calls that somebody waits for are held back.
    pub(super) fn is_closed(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || !self.has_room(Priority::Request)
    }

    /// Returns how long calls are held back.
    pub(super) fn closed_for(&self) -> Duration {
        self.budget.closed_for(self.clock.now())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Names for metrics what becomes of a call that does not pass.
pub(super) fn turned_away(priority: Priority) -> &'static str {
    match priority.is_background() {
        true => "skipped",
        false => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::retry::MAX_RETRY_AFTER, *};

    const REQUEST: Priority = Priority::Request;

    fn gate(clock: &Clock, limit: u32) -> Gate {
        Gate::new(clock.clone(), Budget::new(limit))
    }

    fn five_seconds() -> Patience {
        let end = Instant::now() + Duration::from_secs(5);
        Patience {
            closed: end,
            budget: end,
        }
    }

    #[tokio::test]
    async fn a_wait_past_the_deadline_fails_at_once() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let gate = gate(&clock, 100);
        gate.close_for(Duration::from_secs(60));
        let error = gate.pass(REQUEST, five_seconds()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
        clock.advance(Duration::from_secs(60));
        assert!(gate.pass(REQUEST, five_seconds()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_leaves_no_time_for_the_call_fails_at_once() {
        let gate = gate(&Clock::manual(Timestamp::from_secs(1_000)), 100);
        gate.close_for(Duration::from_millis(4_600));
        let begun = Instant::now();
        assert!(gate.pass(REQUEST, five_seconds()).await.is_err());
        assert!(begun.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_within_the_deadline_is_waited_out() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let gate = gate(&clock, 100);
        gate.close_for(Duration::from_secs(2));
        let begun = Instant::now();
        let open = async {
            sleep(Duration::from_secs(2)).await;
            clock.advance(Duration::from_secs(2));
        };
        let (passed, ()) = tokio::join!(gate.pass(REQUEST, five_seconds()), open);
        assert!(passed.is_ok() && begun.elapsed() >= Duration::from_secs(2));
    }

    #[test]
    fn a_shorter_wait_does_not_open_the_gate_earlier() {
        let gate = gate(&Clock::manual(Timestamp::from_secs(1_000)), 100);
        gate.close_for(Duration::from_secs(60));
        gate.close_for(Duration::from_secs(1));
        assert_eq!(gate.closed_for(), Duration::from_secs(60));
    }

    #[test]
    fn a_clock_gone_back_does_not_hold_the_gate_closed() {
        let gate = gate(&Clock::manual(Timestamp::from_secs(1_000)), 100);
        gate.close_for(MAX_RETRY_AFTER + Duration::from_secs(1));
        assert_eq!(gate.closed_for(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_beyond_the_budget_waits_for_its_turn_in_the_background_it_does_not() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let gate = gate(&clock, 1);
        assert!(gate.pass(REQUEST, five_seconds()).await.is_ok());
        let background = gate.pass(Priority::Refresh, five_seconds()).await;
        assert_eq!(
            background.unwrap_err().retry_after(),
            Some(Duration::from_secs(11))
        );
        clock.advance(Duration::from_secs(8));
        let begun = Instant::now();
        let later = async {
            sleep(Duration::from_secs(3)).await;
            clock.advance(Duration::from_secs(3));
        };
        let (passed, ()) = tokio::join!(gate.pass(REQUEST, five_seconds()), later);
        assert!(passed.is_ok() && begun.elapsed() >= Duration::from_secs(3));
    }

    #[tokio::test]
    async fn a_turn_that_comes_too_late_is_refused_at_once() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let gate = gate(&clock, 1);
        assert!(gate.pass(REQUEST, five_seconds()).await.is_ok());
        let error = gate.pass(REQUEST, five_seconds()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(11)));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_calls_wait() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let gate = gate(&clock, 1);
        assert!(gate.pass(REQUEST, five_seconds()).await.is_ok());
        clock.advance(Duration::from_secs(9));
        let calls = (0..MOST_WAITING + 10).map(|_| gate.pass(REQUEST, five_seconds()));
        let mut calls = calls.map(Box::pin).collect::<Vec<_>>();
        let at_once = calls.iter_mut().filter_map(|call| {
            use futures_util::FutureExt;
            call.as_mut().now_or_never()
        });
        assert_eq!(at_once.filter(Result::is_err).count(), 10);
        assert_eq!(gate.waiting.load(Ordering::Relaxed), MOST_WAITING);
        drop(calls);
        assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
    }

    #[cfg(feature = "gateway")]
    #[tokio::test]
    async fn a_gate_that_takes_anothers_place_counts_its_calls_and_stays_closed() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let old = gate(&clock, 2);
        assert!(old.pass(REQUEST, five_seconds()).await.is_ok());
        let mut new = gate(&clock, 3);
        new.succeed(&old);
        assert_eq!(new.pace().left, Some(2));
        old.close_for(Duration::from_secs(60));
        assert_eq!(new.closed_for(), Duration::from_secs(60));
    }
}
