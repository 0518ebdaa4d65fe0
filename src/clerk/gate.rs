//! The gate that a 429 closes for every call, until Clerk wants to be asked again.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    Error,
    retry::{MAX_RETRY_AFTER, jitter},
};
use crate::time::{Clock, Timestamp};

/// Over how long the waiting calls spread when the gate opens.
const SPREAD: Duration = Duration::from_millis(200);

/// A call that has waited still has so long to be made: else it would fail as if Clerk were slow.
const LEAST_LEFT: Duration = Duration::from_millis(500);

/// Clerk counts calls over this many seconds.
const WINDOW: i64 = 10;

/// Closed while Clerk's rate limit is used up.
pub(super) struct Gate {
    clock: Clock,
    opens_at: AtomicI64,
    /// A second and the calls made in it, packed, for each second of the window.
    passed: [AtomicU64; WINDOW as usize],
}

impl Gate {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            opens_at: AtomicI64::new(0),
            passed: Default::default(),
        }
    }

    /// Returns how many calls have passed in the last 10 seconds.
    #[cfg(feature = "gateway")]
    pub(super) fn passed(&self) -> u64 {
        let now = self.second();
        let slots = self.passed.iter().map(|slot| slot.load(Ordering::Relaxed));
        let recent = slots.filter(|slot| now.wrapping_sub(slot >> 32) < WINDOW as u64);
        recent.map(|slot| slot & u64::from(u32::MAX)).sum()
    }

    /// Counts a call in its second; a slot of an earlier second begins anew.
    fn count(&self) {
        let now = self.second();
        let Some(slot) = self.passed.get((now % WINDOW as u64) as usize) else {
            return;
        };
        let counted = |packed: u64| match packed >> 32 == now {
            true => Some(packed + 1),
            false => Some(now << 32 | 1),
        };
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    fn second(&self) -> u64 {
        let secs = self.clock.now().as_millis() / 1000;
        secs as u64 & u64::from(u32::MAX)
    }

    /// Closes the gate for so long, or longer where it is closed for longer already.
    pub(super) fn close_for(&self, wait: Duration) {
        let opens_at = self.clock.now().plus(wait);
        self.opens_at
            .fetch_max(opens_at.as_millis(), Ordering::Relaxed);
    }

    /// Waits until the gate is open.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`], at once, where it opens after `deadline` or hardly before it.
    pub(super) async fn pass(&self, deadline: Instant) -> Result<(), Error> {
        loop {
            let closed = self.closed_for();
            if closed.is_zero() {
                self.count();
                return Ok(());
            }
            let wait = closed + jitter(SPREAD);
            if wait + LEAST_LEFT >= deadline.saturating_duration_since(Instant::now()) {
                return Err(Error::RateLimited {
                    retry_after: closed,
                    refusal: None,
                });
            }
            sleep(wait).await;
        }
    }

    /// Tells whether calls are held back.
    pub(super) fn is_closed(&self) -> bool {
        !self.closed_for().is_zero()
    }

    /// Returns how long calls are held back.
    pub(super) fn closed_for(&self) -> Duration {
        let opens_at = Timestamp::from_millis(self.opens_at.load(Ordering::Relaxed));
        let closed = opens_at.since(self.clock.now());
        // Longer than any wait that closed it: the clock went back.
        if closed > MAX_RETRY_AFTER {
            Duration::ZERO
        } else {
            closed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_five_seconds() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn a_wait_past_the_deadline_fails_at_once() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let gate = Gate::new(clock.clone());
        gate.close_for(Duration::from_secs(60));
        let error = gate.pass(in_five_seconds()).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
        clock.advance(Duration::from_secs(60));
        assert!(gate.pass(in_five_seconds()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_leaves_no_time_for_the_call_fails_at_once() {
        let gate = Gate::new(Clock::manual(Timestamp::from_secs(1_000)));
        gate.close_for(Duration::from_millis(4_600));
        let begun = Instant::now();
        assert!(gate.pass(in_five_seconds()).await.is_err());
        assert!(begun.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_within_the_deadline_is_waited_out() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let gate = Gate::new(clock.clone());
        gate.close_for(Duration::from_secs(2));
        let begun = Instant::now();
        let open = async {
            sleep(Duration::from_secs(2)).await;
            clock.advance(Duration::from_secs(2));
        };
        let (passed, ()) = tokio::join!(gate.pass(in_five_seconds()), open);
        assert!(passed.is_ok() && begun.elapsed() >= Duration::from_secs(2));
    }

    #[test]
    fn a_shorter_wait_does_not_open_the_gate_earlier() {
        let gate = Gate::new(Clock::manual(Timestamp::from_secs(1_000)));
        gate.close_for(Duration::from_secs(60));
        gate.close_for(Duration::from_secs(1));
        assert_eq!(gate.closed_for(), Duration::from_secs(60));
    }

    #[test]
    fn a_clock_gone_back_does_not_hold_the_gate_closed() {
        let gate = Gate::new(Clock::manual(Timestamp::from_secs(1_000)));
        gate.close_for(MAX_RETRY_AFTER + Duration::from_secs(1));
        assert_eq!(gate.closed_for(), Duration::ZERO);
    }
}
