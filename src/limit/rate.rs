//! How many requests one session or one client address may make: a bucket each, bounded in number.

use std::{
    borrow::Borrow,
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;

use super::connections::network;
use crate::time::Timestamp;

/// Buckets beyond these are forgotten, those in use last: their owners begin with full ones.
const MAX_BUCKETS: u64 = 100_000;

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rate {
    /// At least one; so many may come at once.
    pub(crate) requests: u32,
    /// The time in which an empty bucket fills.
    pub(crate) per: Duration,
}

/// A route's limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateLimits {
    pub(crate) per_address: Option<Buckets<IpAddr>>,
    pub(crate) per_session: Option<Buckets<String>>,
}

/// The buckets of everyone whom one limit counts.
#[derive(Clone, Debug)]
pub(crate) struct Buckets<K: Eq + Hash + Send + Sync + 'static> {
    rate: Rate,
    /// When each would be full again, in microseconds since the Unix epoch.
    full_at: Cache<K, Arc<AtomicI64>>,
}

/// The bucket is empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many requests of one {of}")]
pub(crate) struct RateLimited {
    /// Whose limit it is: `address` or `session`.
    pub(crate) of: &'static str,
    /// When the next request may come.
    pub(crate) retry_after: Duration,
}

impl RateLimits {
    /// Takes one request out of an address's bucket; an IPv6 network of 64 bits counts as one.
    ///
    /// # Errors
    ///
    /// [`RateLimited`] where the bucket is empty.
    pub(crate) fn take_address(&self, address: IpAddr, now: Timestamp) -> Result<(), RateLimited> {
        take(self.per_address.as_ref(), "address", &network(address), now)
    }

    /// Takes one request out of a session's bucket.
    ///
    /// # Errors
    ///
    /// [`RateLimited`] where the bucket is empty.
    pub(crate) fn take_session(&self, id: &str, now: Timestamp) -> Result<(), RateLimited> {
        take(self.per_session.as_ref(), "session", id, now)
    }
}

fn take<K, Q>(
    buckets: Option<&Buckets<K>>,
    of: &'static str,
    key: &Q,
    now: Timestamp,
) -> Result<(), RateLimited>
where
    K: Borrow<Q> + Eq + Hash + Send + Sync + 'static,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    let taken = buckets.map_or(Ok(()), |buckets| buckets.take(key, now));
    taken.map_err(|retry_after| RateLimited { of, retry_after })
}

impl<K: Eq + Hash + Send + Sync + 'static> Buckets<K> {
    pub(crate) fn new(rate: Rate) -> Self {
        let full_at = Cache::builder()
            .max_capacity(MAX_BUCKETS)
            // A bucket that nobody has touched for so long is full.
            .time_to_idle(rate.per)
            .build();
        Self { rate, full_at }
    }

    /// Takes one request out of a bucket, or returns how long to wait for it.
    fn take<Q>(&self, key: &Q, now: Timestamp) -> Result<(), Duration>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let bucket = self.full_at.get_with_by_ref(key, Arc::default);
        let now = now.as_millis().saturating_mul(1000);
        let per = i64::try_from(self.rate.per.as_micros()).unwrap_or(i64::MAX);
        let one = (per / i64::from(self.rate.requests)).max(1);
        let mut wait = 0;
        let taken = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now).saturating_add(one);
            wait = next.saturating_sub(now).saturating_sub(per);
            (wait <= 0).then_some(next)
        });
        let wait = u64::try_from(wait).unwrap_or(0);
        taken.map(drop).map_err(|_| Duration::from_micros(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn after(millis: u64) -> Timestamp {
        START.plus(Duration::from_millis(millis))
    }

    fn limits(requests: u32, secs: u64) -> RateLimits {
        let rate = Rate {
            requests,
            per: Duration::from_secs(secs),
        };
        RateLimits {
            per_address: Some(Buckets::new(rate)),
            per_session: Some(Buckets::new(rate)),
        }
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_fills_evenly() {
        let limits = limits(10, 10);
        let take = |millis| limits.take_session("sess_1", after(millis));
        for _ in 0..10 {
            assert_eq!(take(0), Ok(()));
        }
        let empty = |millis| RateLimited {
            of: "session",
            retry_after: Duration::from_millis(millis),
        };
        assert_eq!(take(0), Err(empty(1000)));
        assert_eq!(take(400), Err(empty(600)));
        assert_eq!(take(1000), Ok(()));
        assert_eq!(take(1000), Err(empty(1000)));
        for _ in 0..10 {
            assert_eq!(take(60_000), Ok(()));
        }
        assert!(take(60_000).is_err());
    }

    #[test]
    fn buckets_are_kept_apart() {
        let limits = limits(1, 10);
        assert!(limits.take_session("sess_1", START).is_ok());
        assert!(limits.take_session("sess_2", START).is_ok());
        assert!(limits.take_session("sess_1", START).is_err());
        let address = |text: &str| limits.take_address(text.parse().unwrap(), START).is_ok();
        assert!(address("192.0.2.1"));
        assert!(address("192.0.2.2"));
        assert!(!address("192.0.2.1"));
        assert!(address("2001:db8::1"));
        assert!(!address("2001:db8::2"));
        assert!(address("2001:db8:0:1::1"));
    }

    #[test]
    fn no_limit_takes_everything() {
        let limits = RateLimits::default();
        for _ in 0..1000 {
            assert_eq!(limits.take_session("sess_1", START), Ok(()));
        }
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out_for_longer_than_the_period() {
        let limits = limits(1, 10);
        assert!(limits.take_session("sess_1", after(5000)).is_ok());
        let refused = limits.take_session("sess_1", START).unwrap_err();
        assert!(refused.retry_after <= Duration::from_secs(15));
    }
}
