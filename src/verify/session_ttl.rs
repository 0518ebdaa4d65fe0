//! When a session that Clerk has called active is asked about again, by how much of Clerk's budget is used up.

use std::time::Duration;

use crate::cache::Stretch;

/// Up to this part of the budget, sessions are asked about as usual.
const CALM: f64 = 0.5;
/// From this part on they are asked about as seldom as may be: background calls have no room left.
const STRAINED: f64 = 0.75;

/// However often its tokens are seen, Clerk is asked about a session after this long.
const LONGEST_UNASKED: Duration = Duration::from_secs(6 * 60 * 60);

/// How long a session counts as active after it was last seen to be.
///
/// It is seen when Clerk is asked, and under pressure also when Clerk mints its token (`iat`): Clerk mints for
/// active sessions alone. So a revocation that nobody told us about is seen within `usual`, and under pressure
/// within `longest`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionTtl {
    /// While half of the budget is enough.
    pub(crate) usual: Duration,
    /// While it is not, at most; where it is no longer than `usual`, nothing stretches.
    pub(crate) longest: Duration,
}

impl SessionTtl {
    /// Says whether a session that was seen active so long ago may be served, at this pressure on the budget.
    pub(crate) fn judge(self, unseen: Duration, pressure: f64) -> Stretch {
        if pressure <= CALM || unseen >= self.longest {
            return Stretch::Over;
        }
        match unseen < self.stretched(pressure) {
            true => Stretch::Serve,
            false => Stretch::Refresh,
        }
    }

    /// Returns how long an answer may be of use; zero where nothing stretches.
    pub(crate) fn longest_kept(self) -> Duration {
        match self.longest > self.usual {
            true => self.longest.max(LONGEST_UNASKED),
            false => Duration::ZERO,
        }
    }

    /// Grows evenly from `usual` to `longest`, so that those unseen for longest are asked about first.
    fn stretched(self, pressure: f64) -> Duration {
        let strain = ((pressure - CALM) / (STRAINED - CALM)).clamp(0.0, 1.0);
        self.usual + self.longest.saturating_sub(self.usual).mul_f64(strain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_stretches_with_the_pressure_and_never_past_its_longest() {
        let ttl = SessionTtl {
            usual: Duration::from_secs(15),
            longest: Duration::from_secs(55),
        };
        for (unseen, pressure, expected) in [
            (16, 0.0, Stretch::Over),
            (16, 0.5, Stretch::Over),
            (24, 0.56, Stretch::Serve),
            (26, 0.56, Stretch::Refresh),
            (25, 0.5625, Stretch::Refresh),
            (34, 0.625, Stretch::Serve),
            (36, 0.625, Stretch::Refresh),
            (54, 0.75, Stretch::Serve),
            (54, 2.0, Stretch::Serve),
            (55, 2.0, Stretch::Over),
        ] {
            let judged = ttl.judge(Duration::from_secs(unseen), pressure);
            assert_eq!(judged, expected, "{unseen} s at {pressure}");
        }
    }

    #[test]
    fn an_answer_is_kept_for_longer_only_where_its_time_stretches() {
        let kept = |longest| {
            let usual = Duration::from_secs(15);
            let longest = Duration::from_secs(longest);
            SessionTtl { usual, longest }.longest_kept()
        };
        assert_eq!((kept(10), kept(15)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(kept(16), LONGEST_UNASKED);
        assert_eq!(kept(100_000), Duration::from_secs(100_000));
    }

    #[test]
    fn a_longest_below_the_usual_time_stretches_nothing() {
        let ttl = SessionTtl {
            usual: Duration::from_secs(120),
            longest: Duration::from_secs(60),
        };
        assert_eq!(ttl.judge(Duration::from_secs(121), 1.0), Stretch::Over);
    }
}
