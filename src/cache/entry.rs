//! What a cache keeps for a key: what may be served of it, and when.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::Expiry;

use super::{Excuse, Fetched, Lifetime, Recall, Staleness, Stretch};
use crate::time::Timestamp;

/// A value, and what its time makes of it.
pub(crate) struct Entry<V> {
    pub(crate) value: V,
    stored_at: Timestamp,
    pub(super) lifetime: Lifetime,
    /// When the next refresh in the background may begin, in milliseconds.
    refresh_next: AtomicI64,
    /// Whether the last try to refresh it found nobody to ask.
    failing: AtomicBool,
}

/// Tells moka how long an entry is of use.
pub(super) struct ByLifetime;

impl<V: Clone> Entry<V> {
    pub(super) fn new(now: Timestamp, fetched: Fetched<V>) -> Arc<Self> {
        Arc::new(Self {
            value: fetched.value,
            stored_at: now,
            lifetime: fetched.lifetime,
            refresh_next: AtomicI64::new(i64::MIN),
            failing: AtomicBool::new(false),
        })
    }

    pub(super) fn recall(
        &self,
        now: Timestamp,
        staleness: Staleness,
        next: Timestamp,
        stretch: impl FnOnce(&V) -> Stretch,
    ) -> Recall<V> {
        if now < self.lifetime.refresh_at.min(self.lifetime.fresh_until) {
            return Recall::Fresh(self.value.clone());
        }
        if now < self.lifetime.fresh_until {
            return match self.takes_refresh(now, next) {
                true => Recall::Due(self.value.clone()),
                false => Recall::Fresh(self.value.clone()),
            };
        }
        let stretch = match now < self.lifetime.kept_until {
            true => stretch(&self.value),
            false => Stretch::Over,
        };
        if stretch != Stretch::Over {
            return Recall::Stretched {
                value: self.value.clone(),
                refresh: stretch == Stretch::Refresh && self.takes_refresh(now, next),
            };
        }
        let servable = now < self.lifetime.stale_until && self.failing();
        if !servable || staleness == Staleness::Refuse {
            return Recall::Missing;
        }
        match self.takes_refresh(now, next) {
            true => Recall::Due(self.value.clone()),
            false => Recall::Stale(self.value.clone()),
        }
    }
}

impl<V> Entry<V> {
    /// Tells one caller in each interval to refresh the entry.
    fn takes_refresh(&self, now: Timestamp, next: Timestamp) -> bool {
        let due = self.refresh_next.load(Ordering::Relaxed);
        due <= now.as_millis()
            && self
                .refresh_next
                .compare_exchange(due, next.as_millis(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    pub(super) fn judge(&self, excuse: Excuse, next: Timestamp) {
        match excuse {
            Excuse::Starts => self.failing.store(true, Ordering::Relaxed),
            Excuse::Continues => {}
            Excuse::Ends => self.failing.store(false, Ordering::Relaxed),
        }
        self.refresh_next
            .fetch_max(next.as_millis(), Ordering::Relaxed);
    }

    pub(super) fn failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    fn memory_life(&self) -> Duration {
        let lifetime = &self.lifetime;
        lifetime
            .stale_until
            .max(lifetime.fresh_until)
            .max(lifetime.kept_until)
            .since(self.stored_at)
    }
}

// Both hooks: moka's default would let a replaced entry inherit the old deadline.
impl<K, V> Expiry<K, Arc<Entry<V>>> for ByLifetime {
    fn expire_after_create(&self, _: &K, entry: &Arc<Entry<V>>, _: Instant) -> Option<Duration> {
        Some(entry.memory_life())
    }

    fn expire_after_update(
        &self,
        _: &K,
        entry: &Arc<Entry<V>>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.memory_life())
    }
}
