//! Clerk's rate limits: fixed windows of ten seconds.

use std::time::Duration;

use crate::time::Timestamp;

const WINDOW: Duration = Duration::from_secs(10);

/// How many Backend API requests an instance allows in ten seconds.
///
/// <https://clerk.com/docs/guides/how-clerk-works/system-limits>
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum RateLimit {
    /// As many as come.
    #[default]
    Off,
    /// 100, as for development instances.
    Development,
    /// 1000, as for production instances.
    Production,
}

/// Counts requests in the current window.
pub(crate) struct Limiter {
    limit: RateLimit,
    window_start: Timestamp,
    used: u32,
}

impl RateLimit {
    fn per_window(self) -> u32 {
        match self {
            Self::Off => u32::MAX,
            Self::Development => 100,
            Self::Production => 1000,
        }
    }
}

impl Limiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            window_start: Timestamp::from_millis(0),
            used: 0,
        }
    }

    /// Counts a request, or says how long to wait.
    pub(crate) fn admit(&mut self, now: Timestamp) -> Result<(), Duration> {
        let age = now.since(self.window_start);
        if age >= WINDOW {
            self.window_start = now;
            self.used = 0;
        }
        if self.used >= self.limit.per_window() {
            return Err(WINDOW.saturating_sub(age));
        }
        self.used = self.used.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hundred_and_first_request_waits_for_the_next_window() {
        let mut limiter = Limiter::new(RateLimit::Development);
        let now = Timestamp::from_secs(1000);
        for _ in 0..100 {
            limiter.admit(now).unwrap();
        }
        let later = now.plus(Duration::from_secs(4));
        assert_eq!(limiter.admit(later), Err(Duration::from_secs(6)));
        assert_eq!(limiter.admit(now.plus(WINDOW)), Ok(()));
    }
}
