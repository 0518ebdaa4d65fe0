//! Trouble on demand: latency, errors, outages, rate limiting.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What goes wrong in a sandbox; all of it can change while it runs.
#[derive(Default)]
pub struct Faults {
    trouble: Mutex<Trouble>,
    cut_off: AtomicBool,
}

/// A kind of outage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outage {
    /// Connections are dropped without an answer.
    Dropped,
    /// Every answer is 503 `service_unavailable`.
    Unavailable,
    /// Every answer breaks off in the middle of its body, though what was asked is done.
    BrokenOff,
}

/// What a single request meets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Fate {
    pub(crate) latency: Duration,
    pub(crate) failure: Option<Failure>,
    pub(crate) breaks_off: bool,
    pub(crate) verify_is_gone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Failure {
    RateLimited(Duration),
    Status(u16),
}

#[derive(Default)]
struct Trouble {
    latency: Duration,
    error_rate: f64,
    error_status: u16,
    error_debt: f64,
    unavailable: bool,
    breaks_off: bool,
    rate_limited: Option<Duration>,
    verify_is_gone: bool,
    only: Vec<String>,
}

impl Faults {
    /// Delays every answer.
    pub fn latency(&self, latency: Duration) {
        self.change(|trouble| trouble.latency = latency);
    }

    /// Answers the share `rate` (0…1) of requests with `status`, evenly spread: of 0.25, each fourth.
    pub fn errors(&self, rate: f64, status: u16) {
        self.change(|trouble| {
            trouble.error_rate = rate.clamp(0.0, 1.0);
            trouble.error_status = status;
            trouble.error_debt = 0.0;
        });
    }

    /// Begins an outage, or with `None` ends it.
    pub fn outage(&self, outage: Option<Outage>) {
        self.cut_off
            .store(outage == Some(Outage::Dropped), Ordering::SeqCst);
        self.change(|trouble| {
            trouble.unavailable = outage == Some(Outage::Unavailable);
            trouble.breaks_off = outage == Some(Outage::BrokenOff);
        });
    }

    /// Answers every request with 429 and this `Retry-After`, or with `None` no longer.
    pub fn rate_limited(&self, retry_after: Option<Duration>) {
        self.change(|trouble| trouble.rate_limited = retry_after);
    }

    /// Makes `VerifySession` answer 410 `operation_deprecated`, as Clerk has been seen to do.
    pub fn verify_is_gone(&self, gone: bool) {
        self.change(|trouble| trouble.verify_is_gone = gone);
    }

    /// Limits latency, errors, outages that answer and 429 to these operations, as in `GetSession`; none: all.
    pub fn only(&self, operations: &[&str]) {
        self.change(|trouble| {
            trouble.only = operations.iter().map(|&name| name.to_owned()).collect();
        });
    }

    /// Ends all trouble.
    pub fn clear(&self) {
        self.cut_off.store(false, Ordering::SeqCst);
        self.change(|trouble| *trouble = Trouble::default());
    }

    /// Tells whether connections are to be dropped.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::SeqCst)
    }

    /// Decides what a request of `operation` meets.
    pub(crate) fn fate(&self, operation: &str) -> Fate {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.fate(operation)
    }

    fn change(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.trouble.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Trouble {
    fn fate(&mut self, operation: &str) -> Fate {
        let verify_is_gone = self.verify_is_gone;
        if !self.only.is_empty() && !self.only.iter().any(|name| name == operation) {
            return Fate {
                verify_is_gone,
                ..Fate::default()
            };
        }
        Fate {
            latency: self.latency,
            failure: self.failure(),
            breaks_off: self.breaks_off,
            verify_is_gone,
        }
    }

    fn failure(&mut self) -> Option<Failure> {
        if self.unavailable {
            return Some(Failure::Status(503));
        }
        if let Some(wait) = self.rate_limited {
            return Some(Failure::RateLimited(wait));
        }
        self.error_debt += self.error_rate;
        // A little under 1, so that ten tenths make one.
        if self.error_debt < 1.0 - 1e-9 {
            return None;
        }
        self.error_debt -= 1.0;
        Some(Failure::Status(self.error_status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_spread_evenly() {
        let faults = Faults::default();
        faults.errors(0.1, 500);
        let failed = (0..100).filter(|_| faults.fate("GetSession").failure.is_some());
        assert_eq!(failed.count(), 10);
    }

    #[test]
    fn faults_can_be_limited_to_an_operation() {
        let faults = Faults::default();
        faults.errors(1.0, 500);
        faults.only(&["GetSession"]);
        assert_eq!(faults.fate("GetJWKS"), Fate::default());
        assert_eq!(
            faults.fate("GetSession").failure,
            Some(Failure::Status(500))
        );
    }
}
