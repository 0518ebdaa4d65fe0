//! Sessions ended before their cache entries: recorded here, read on every decision.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::time::Timestamp;

/// The sessions known to be revoked, until no token or cache entry of theirs can be alive.
#[derive(Debug)]
pub(crate) struct Revocations {
    /// So that the common case, none at all, costs one load.
    any: AtomicBool,
    until: RwLock<HashMap<String, Timestamp>>,
    /// In milliseconds; it only grows.
    retention: AtomicU64,
}

impl Revocations {
    /// Keeps each revocation for `retention`: the longest life of a token or a cache entry.
    pub(crate) fn new(retention: Duration) -> Self {
        Self {
            any: AtomicBool::new(false),
            until: RwLock::default(),
            retention: AtomicU64::new(millis(retention)),
        }
    }

    /// Keeps revocations for `retention` at least, the known ones included: for a cache that holds sessions longer.
    pub(crate) fn outlast(&self, retention: Duration) {
        let wanted = millis(retention);
        let before = self.retention.fetch_max(wanted, Ordering::Relaxed);
        let longer = Duration::from_millis(wanted.saturating_sub(before));
        if longer.is_zero() {
            return;
        }
        let mut until = self.until.write().unwrap_or_else(PoisonError::into_inner);
        for end in until.values_mut() {
            *end = end.plus(longer);
        }
    }

    /// Records that `session_id` is revoked.
    pub(crate) fn revoke(&self, session_id: &str, now: Timestamp) {
        let mut until = self.until.write().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, end| now < *end);
        let retention = Duration::from_millis(self.retention.load(Ordering::Relaxed));
        until.insert(session_id.to_owned(), now.plus(retention));
        self.any.store(true, Ordering::Release);
    }

    /// Tells whether `session_id` is revoked.
    pub(crate) fn contains(&self, session_id: &str, now: Timestamp) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let until = self.until.read().unwrap_or_else(PoisonError::into_inner);
        until.get(session_id).is_some_and(|end| now < *end)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_lasts_for_its_retention() {
        let revocations = Revocations::new(Duration::from_secs(60));
        let now = Timestamp::from_secs(100);
        assert!(!revocations.contains("sess_a", now));
        revocations.revoke("sess_a", now);
        assert!(revocations.contains("sess_a", now.plus(Duration::from_secs(59))));
        assert!(!revocations.contains("sess_a", now.plus(Duration::from_secs(60))));
        assert!(!revocations.contains("sess_b", now));
    }

    #[test]
    fn the_longest_cache_decides_how_long_a_revocation_lasts() {
        let revocations = Revocations::new(Duration::from_secs(60));
        let now = Timestamp::from_secs(100);
        revocations.revoke("sess_a", now);
        for secs in [90, 30] {
            revocations.outlast(Duration::from_secs(secs));
        }
        assert!(revocations.contains("sess_a", now.plus(Duration::from_secs(89))));
        assert!(!revocations.contains("sess_a", now.plus(Duration::from_secs(90))));
    }
}
