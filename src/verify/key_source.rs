//! Where an instance's keys come from.

use std::sync::Arc;

#[cfg(feature = "client")]
use super::jwks::{JwksEndpoint, KeysError, RemoteKeys};
use super::{keys::KeySet, loaded_keys::LoadedKeys};
#[cfg(feature = "client")]
use crate::cache::Failure;
use crate::time::Timestamp;

/// Where an instance's keys come from.
#[derive(Debug)]
pub(crate) enum KeySource {
    /// Given at set-up: nothing is ever fetched.
    Fixed(Arc<LoadedKeys>),
    /// Fetched, and kept current.
    #[cfg(feature = "client")]
    Remote(Arc<RemoteKeys>),
}

impl KeySource {
    pub(crate) fn fixed(set: KeySet) -> Self {
        #[cfg(feature = "client")]
        let forever = Timestamp::from_millis(i64::MAX);
        Self::Fixed(Arc::new(LoadedKeys {
            set,
            generation: 0,
            #[cfg(feature = "client")]
            jwks: bytes::Bytes::new(),
            #[cfg(feature = "gateway")]
            fetched_at: forever,
            #[cfg(feature = "client")]
            refresh_at: forever,
            #[cfg(feature = "client")]
            usable_until: forever,
        }))
    }

    #[cfg(feature = "client")]
    pub(crate) fn remote(endpoint: JwksEndpoint) -> Self {
        Self::Remote(Arc::new(RemoteKeys::new(endpoint)))
    }

    /// Returns the keys where they are at hand; starts a fetch in the background where one is due.
    #[cfg_attr(
        not(feature = "client"),
        expect(unused_variables, reason = "fixed keys are timeless")
    )]
    pub(crate) fn at_hand(&self, now: Timestamp) -> Option<Arc<LoadedKeys>> {
        match self {
            Self::Fixed(keys) => Some(Arc::clone(keys)),
            #[cfg(feature = "client")]
            Self::Remote(remote) => remote.at_hand(now),
        }
    }

    /// Returns how old fetched keys are; `None` for given ones, and where none are at hand.
    #[cfg(feature = "gateway")]
    pub(crate) fn age(&self, now: Timestamp) -> Option<std::time::Duration> {
        match self {
            Self::Fixed(_) => None,
            Self::Remote(remote) => Some(now.since(remote.at_hand(now)?.fetched_at)),
        }
    }

    /// Tells whether the keys at hand may lack a `kid` that there is.
    #[cfg_attr(
        not(feature = "client"),
        expect(unused_variables, reason = "fixed keys are timeless")
    )]
    pub(crate) fn may_lack_a_kid(&self, now: Timestamp) -> bool {
        match self {
            Self::Fixed(_) => false,
            #[cfg(feature = "client")]
            Self::Remote(remote) => remote.may_lack_a_kid(now),
        }
    }
}

#[cfg(feature = "client")]
impl KeySource {
    /// Returns the keys, fetching them where they are not at hand.
    pub(crate) async fn load(&self, now: Timestamp) -> Result<Arc<LoadedKeys>, Failure<KeysError>> {
        match self {
            Self::Fixed(keys) => Ok(Arc::clone(keys)),
            Self::Remote(remote) => match remote.at_hand(now) {
                Some(keys) => Ok(keys),
                None => remote.fly(now).landed().await,
            },
        }
    }

    /// Fetches the keys again for a `kid` that they do not have; `None` where there are no others.
    pub(crate) async fn load_for_unknown_kid(
        &self,
        now: Timestamp,
    ) -> Option<Result<Arc<LoadedKeys>, Failure<KeysError>>> {
        match self {
            Self::Fixed(_) => None,
            Self::Remote(remote) => remote.load_for_unknown_kid(now).await,
        }
    }
}

#[cfg(test)]
#[cfg(feature = "gateway")]
#[path = "key_source_tests.rs"]
mod tests;
