//! Single-flight, negative, stale and refresh-ahead entries on moka, once for all who need them.
//!
//! A fetch brings a value and its [`Lifetime`]; every read judges that lifetime by the caller's
//! clock. moka only bounds the memory: what may be served, and when, is decided here.

mod commons;
mod entry;
mod flight;

use std::{fmt, hash::Hash, pin::pin, sync::Arc, time::Duration};

use equivalent::Equivalent;
use foldhash::quality::RandomState;
use moka::sync;
use tokio::time::timeout;

#[cfg(feature = "redis")]
pub(crate) use commons::{Awaited, Look, Owner};
pub(crate) use commons::{Claim, Commons, Found, Spot, find};
use entry::ByLifetime;
pub(crate) use entry::Entry;
pub(crate) use flight::{Failure, Flight, Flights};

use crate::{recent::Mark, time::Timestamp};

/// Until when an entry may be served, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// From here on one caller refreshes it in the background.
    pub(crate) refresh_at: Timestamp,
    /// Until here it is served as it is.
    pub(crate) fresh_until: Timestamp,
    /// Until here it is served where a fetch cannot be had.
    pub(crate) stale_until: Timestamp,
    /// Until here it is kept for whoever may stretch its freshness.
    pub(crate) kept_until: Timestamp,
}

/// What a fetch brings.
#[derive(Clone, Debug)]
pub(crate) struct Fetched<V> {
    pub(crate) value: V,
    pub(crate) lifetime: Lifetime,
}

/// A fetch's error, judged by whether an older answer may stand in for the missing one.
pub(crate) trait FetchError: fmt::Debug + Send + Sync + 'static {
    fn excuse(&self) -> Excuse;
}

/// What a failed fetch means for a stale entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Excuse {
    /// Nobody can be asked: the entry may be served from now on.
    Starts,
    /// We may not ask just now: no reason to begin serving it, nor to stop.
    Continues,
    /// An answer that forbids serving it.
    Ends,
}

/// Whether a caller takes a stale entry where a fetch cannot be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Staleness {
    Accept,
    Refuse,
}

/// What a caller says of an active entry past its freshness, where asking is dear.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stretch {
    /// It is good for longer.
    Serve,
    /// It is good for longer, but refreshed in the background.
    Refresh,
    /// It is not.
    Over,
}

/// What a cache holds for a key now.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Recall<V> {
    /// Serve it.
    Fresh(V),
    /// Serve it, and refresh it in the background: one caller at a time is told so.
    Due(V),
    /// Serve it though it is past its freshness, as the caller would have it; `refresh` as with `Due`.
    Stretched { value: V, refresh: bool },
    /// Serve it though it is past its freshness: nobody can be asked.
    Stale(V),
    /// Nothing that may be served without asking.
    Missing,
}

impl<V> Recall<V> {
    /// Returns what may be served.
    pub(crate) fn value(&self) -> Option<&V> {
        match self {
            Self::Fresh(value)
            | Self::Due(value)
            | Self::Stretched { value, .. }
            | Self::Stale(value) => Some(value),
            Self::Missing => None,
        }
    }
}

/// How a cache is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheOptions {
    /// Entries at most; 0 keeps none (fetches still coalesce).
    pub(crate) capacity: u64,
    /// How long a caller that holds a stale entry waits for the fetch before it serves that.
    pub(crate) patience: Duration,
    /// How long after a failed refresh stale entries are served without another try.
    pub(crate) retry_after: Duration,
    /// Told of each caller that waits for a fetch which another has begun.
    pub(crate) coalesced: fn(),
    /// Told of each caller that begins one.
    pub(crate) missed: fn(),
}

/// A cache whose misses are fetched once for all who wait.
pub(crate) struct Cache<K, V, E> {
    entries: sync::Cache<K, Arc<Entry<V>>, RandomState>,
    /// Changed after each change of the entries.
    mark: Mark,
    flights: Flights<K, Fetched<V>, E>,
    options: CacheOptions,
    slowness: Box<dyn Fn() -> Excuse + Send + Sync>,
}

impl Lifetime {
    /// Serves whoever waits for it, and nobody after them.
    pub(crate) fn over(now: Timestamp) -> Self {
        Self::fresh_for(now, Duration::ZERO, Duration::ZERO)
    }

    /// Serves for `ttl`, then for `stale` where a fetch cannot be had.
    pub(crate) fn fresh_for(now: Timestamp, ttl: Duration, stale: Duration) -> Self {
        let fresh_until = now.plus(ttl);
        Self {
            refresh_at: fresh_until,
            fresh_until,
            stale_until: fresh_until.plus(stale),
            kept_until: fresh_until,
        }
    }

    /// Keeps it for so long, for those who may stretch its freshness.
    pub(crate) fn kept_for(self, now: Timestamp, kept: Duration) -> Self {
        Self {
            kept_until: now.plus(kept),
            ..self
        }
    }
}

impl<K, V, E> Cache<K, V, E>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: FetchError,
{
    pub(crate) fn new(options: CacheOptions) -> Self {
        let entries = sync::Cache::builder()
            .max_capacity(options.capacity)
            .expire_after(ByLifetime)
            .build_with_hasher(RandomState::default());
        Self {
            entries,
            mark: Mark::new(),
            flights: Flights::default(),
            options,
            slowness: Box::new(|| Excuse::Starts),
        }
    }

    /// Says what a fetch that outlasts the patience of who holds a stale entry means for that entry.
    pub(crate) fn judging_slowness<F>(self, slowness: F) -> Self
    where
        F: Fn() -> Excuse + Send + Sync + 'static,
    {
        Self {
            slowness: Box::new(slowness),
            ..self
        }
    }

    /// Tells what may be served for `key` at `now`, without asking anyone.
    pub(crate) fn recall<Q>(&self, key: &Q, now: Timestamp, staleness: Staleness) -> Recall<V>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        match self.find(key) {
            Some(entry) => self.judge(&entry, now, staleness, |_| Stretch::Over),
            None => Recall::Missing,
        }
    }

    /// Returns the entry for `key`, whatever its time makes of it.
    pub(crate) fn find<Q>(&self, key: &Q) -> Option<Arc<Entry<V>>>
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.entries.get(key)
    }

    /// Returns the number of the cache's present state: while it stays, no entry was stored or dropped by us.
    pub(crate) fn mark(&self) -> u64 {
        self.mark.get()
    }

    /// Tells what may be served of an entry at `now`; `stretch` is asked where it is past its freshness.
    pub(crate) fn judge(
        &self,
        entry: &Entry<V>,
        now: Timestamp,
        staleness: Staleness,
        stretch: impl FnOnce(&V) -> Stretch,
    ) -> Recall<V> {
        let next = now.plus(self.options.retry_after);
        entry.recall(now, staleness, next, stretch)
    }

    /// Refreshes `key` in the background, unless that is under way.
    pub(crate) fn refresh<F>(self: &Arc<Self>, key: K, now: Timestamp, fetch: F)
    where
        F: Future<Output = Result<Fetched<V>, E>> + Send + 'static,
    {
        drop(self.fly(key, now, fetch));
    }

    /// Returns what is cached for `key`, or fetches it once for all who ask meanwhile.
    ///
    /// A caller that goes away does not end the fetch. Where the fetch fails or is slow, a stale
    /// entry is served if the caller accepts one and the error excuses it.
    pub(crate) async fn get<F>(
        self: &Arc<Self>,
        key: K,
        now: Timestamp,
        staleness: Staleness,
        fetch: F,
    ) -> Result<V, Failure<E>>
    where
        F: Future<Output = Result<Fetched<V>, E>> + Send + 'static,
    {
        match self.recall(&key, now, staleness) {
            Recall::Fresh(value) | Recall::Stale(value) => return Ok(value),
            Recall::Due(value) => {
                self.refresh(key, now, fetch);
                return Ok(value);
            }
            Recall::Stretched { value, .. } => return Ok(value),
            Recall::Missing => {}
        }
        let stale = self.stale(&key, now, staleness);
        match self.is_fetching(&key) {
            true => (self.options.coalesced)(),
            false => (self.options.missed)(),
        }
        let flight = self.fly(key, now, fetch);
        let Some(entry) = stale else {
            return flight.landed().await.map(|fetched| fetched.value);
        };
        let mut landing = pin!(flight.landed());
        let next = now.plus(self.options.retry_after);
        let landed = match timeout(self.options.patience, &mut landing).await {
            Ok(landed) => landed,
            Err(_slow) => {
                entry.judge((self.slowness)(), next);
                if entry.failing() {
                    return Ok(entry.value.clone());
                }
                landing.await
            }
        };
        match landed {
            Ok(fetched) => Ok(fetched.value),
            Err(failure) => {
                entry.judge(failure.excuse(), next);
                match entry.failing() {
                    true => Ok(entry.value.clone()),
                    false => Err(failure),
                }
            }
        }
    }

    /// Tells whether `key` is being fetched, so that who asks for it joins that.
    pub(crate) fn is_fetching(&self, key: &K) -> bool {
        self.flights.is_under_way(key)
    }

    /// Drops the entry for `key`.
    pub(crate) fn remove<Q>(&self, key: &Q)
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        self.entries.invalidate(key);
        self.mark.change();
    }

    /// Drops every entry that is among those meant; it reads them all.
    #[cfg(feature = "gateway")]
    pub(crate) fn evict(&self, is_meant: impl Fn(&K, &V) -> bool) {
        let meant = |(key, entry): &(Arc<K>, Arc<Entry<V>>)| is_meant(key, &entry.value);
        for (key, _) in self.entries.iter().filter(meant) {
            self.entries.invalidate(&*key);
        }
        self.mark.change();
    }

    /// Stores what was fetched elsewhere.
    pub(crate) fn put(&self, key: K, now: Timestamp, fetched: Fetched<V>) {
        self.entries.insert(key, Entry::new(now, fetched));
        self.mark.change();
    }

    fn stale(&self, key: &K, now: Timestamp, staleness: Staleness) -> Option<Arc<Entry<V>>> {
        if staleness == Staleness::Refuse {
            return None;
        }
        let entry = self.entries.get(key)?;
        (now < entry.lifetime.stale_until).then_some(entry)
    }

    fn fly<F>(self: &Arc<Self>, key: K, now: Timestamp, fetch: F) -> Flight<Fetched<V>, E>
    where
        F: Future<Output = Result<Fetched<V>, E>> + Send + 'static,
    {
        let cache = Arc::clone(self);
        self.flights
            .join(key, fetch, move |key, landed| match landed {
                Ok(fetched) => cache.put(key, now, fetched),
                Err(error) => {
                    if let Some(entry) = cache.entries.get(&key) {
                        entry.judge(error.excuse(), now.plus(cache.options.retry_after));
                    }
                }
            })
    }
}

impl<K, V, E> fmt::Debug for Cache<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
