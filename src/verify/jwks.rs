//! Keys that are fetched, and when they are asked for again.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;

use super::{
    keys::{KeyError, KeySet},
    loaded_keys::LoadedKeys,
};
use crate::{
    cache::{Excuse, Failure, FetchError, Flight, Flights},
    clerk::{Client, Error, PublicJwks, outage::Outage},
    telemetry::metrics,
    time::Timestamp,
};

/// Keys are fetched again this long after they came.
const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
/// Keys that could not be fetched again are used for this long at most.
const USABLE_FOR: Duration = Duration::from_secs(60 * 60);
/// An unknown `kid` asks for keys at most this often.
const UNKNOWN_KID_COOLDOWN: Duration = Duration::from_secs(30);
/// After a failed fetch the next begins no sooner.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Keys that are fetched: from the Backend API, or from a public URL.
pub(crate) struct RemoteKeys {
    endpoint: JwksEndpoint,
    loaded: ArcSwapOption<LoadedKeys>,
    flights: Flights<(), Arc<LoadedKeys>, KeysError>,
    generations: AtomicU64,
    /// No fetch for an unknown `kid` before this, in milliseconds.
    unknown_kid_at: AtomicI64,
    /// No fetch in the background before this, in milliseconds.
    retry_at: AtomicI64,
    /// Why the last fetch brought nothing: which keys there are now is then not known.
    failed: ArcSwapOption<Outage>,
}

/// Where a JWKS is fetched.
#[derive(Debug)]
pub(crate) enum JwksEndpoint {
    /// `GET /v1/jwks`, with the secret key.
    BackendApi(Client),
    /// A public URL, such as the Frontend API's `/.well-known/jwks.json`.
    Public(Box<PublicJwks>),
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("the JWKS could not be fetched")]
    Fetch(#[source] Error),
    #[error("the JWKS could not be fetched a moment ago: {0}")]
    FailedBefore(Outage),
    #[error("the JWKS is not usable")]
    Unusable(#[source] KeyError),
}

impl RemoteKeys {
    pub(crate) fn new(endpoint: JwksEndpoint) -> Self {
        Self {
            endpoint,
            loaded: ArcSwapOption::empty(),
            flights: Flights::default(),
            generations: AtomicU64::new(0),
            unknown_kid_at: AtomicI64::new(i64::MIN),
            retry_at: AtomicI64::new(i64::MIN),
            failed: ArcSwapOption::empty(),
        }
    }

    /// Returns the keys where they are at hand; starts a fetch in the background where one is due.
    pub(crate) fn at_hand(self: &Arc<Self>, now: Timestamp) -> Option<Arc<LoadedKeys>> {
        let keys = self.loaded.load_full()?;
        if now >= keys.usable_until {
            return None;
        }
        if now >= keys.refresh_at && takes(&self.retry_at, now, RETRY_AFTER) {
            drop(self.fly(now));
        }
        Some(keys)
    }

    /// Fetches the keys again for a `kid` that they do not have, joining a fetch under way; `None` where they are
    /// known to be the present ones: they came within the cooldown.
    pub(crate) async fn load_for_unknown_kid(
        self: &Arc<Self>,
        now: Timestamp,
    ) -> Option<Result<Arc<LoadedKeys>, Failure<KeysError>>> {
        let may = self.flights.is_under_way(&())
            || takes(&self.unknown_kid_at, now, UNKNOWN_KID_COOLDOWN);
        if may {
            return Some(self.fly(now).landed().await);
        }
        let failed = self.failed.load_full()?;
        let error = Arc::new(KeysError::FailedBefore(*failed));
        Some(Err(Failure::Failed(error)))
    }

    /// Tells whether the keys at hand may lack a `kid` that there is.
    pub(crate) fn may_lack_a_kid(&self, now: Timestamp) -> bool {
        self.flights.is_under_way(&())
            || self.unknown_kid_at.load(Ordering::Relaxed) <= now.as_millis()
            || self.failed.load().is_some()
    }

    /// Fetches the keys, or joins the fetch under way.
    pub(crate) fn fly(self: &Arc<Self>, now: Timestamp) -> Flight<Arc<LoadedKeys>, KeysError> {
        let (fetcher, keeper) = (Arc::clone(self), Arc::clone(self));
        let fetch = async move { fetcher.fetch(now).await };
        self.flights
            .join((), fetch, move |(), landed| match landed {
                Ok(keys) => {
                    metrics::jwks_refresh("ok");
                    keeper.failed.store(None);
                    keeper.loaded.store(Some(keys));
                }
                Err(error) => {
                    metrics::jwks_refresh("failed");
                    keeper.failed.store(Some(Arc::new(error.outage())));
                    // Not knowing is no reason to refuse the next token with this `kid` for long.
                    let soon = now.plus(RETRY_AFTER).as_millis();
                    keeper.unknown_kid_at.fetch_min(soon, Ordering::Relaxed);
                    tracing::warn!(
                        error = %error,
                    cause = std::error::Error::source(error).map(tracing::field::display),
                        "jwks refresh failed; keys at hand stay in use"
                    );
                }
            })
    }

    async fn fetch(&self, now: Timestamp) -> Result<Arc<LoadedKeys>, KeysError> {
        let body = match &self.endpoint {
            JwksEndpoint::BackendApi(client) => client.jwks().await,
            JwksEndpoint::Public(public) => public.fetch().await,
        };
        let jwks = body.map_err(KeysError::Fetch)?;
        let set = KeySet::from_jwks(&jwks).map_err(KeysError::Unusable)?;
        let generation = match self.loaded.load_full() {
            Some(old) if old.jwks == jwks => old.generation,
            _ => self.generations.fetch_add(1, Ordering::Relaxed) + 1,
        };
        Ok(Arc::new(LoadedKeys {
            set,
            jwks,
            generation,
            #[cfg(feature = "gateway")]
            fetched_at: now,
            refresh_at: now.plus(REFRESH_AFTER),
            usable_until: now.plus(USABLE_FOR),
        }))
    }
}

impl KeysError {
    /// Names what the error means for the request.
    pub(crate) fn outage(&self) -> Outage {
        match self {
            Self::Fetch(error) => Outage::of(error),
            Self::FailedBefore(outage) => *outage,
            Self::Unusable(_) => Outage::Unavailable,
        }
    }
}

impl FetchError for KeysError {
    fn excuse(&self) -> Excuse {
        Excuse::Continues
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Lets one caller through each `interval`.
fn takes(gate: &AtomicI64, now: Timestamp, interval: Duration) -> bool {
    let open_at = gate.load(Ordering::Relaxed);
    let next = now.plus(interval).as_millis();
    open_at <= now.as_millis()
        && gate
            .compare_exchange(open_at, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}
