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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{clerk::Client, sandbox::Sandbox};

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn later(secs: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(secs))
    }

    fn source(sandbox: &Sandbox) -> KeySource {
        let client = Client::builder(sandbox.secret_key().into());
        let client = client.api_url(sandbox.url()).build().unwrap();
        KeySource::remote(JwksEndpoint::BackendApi(client))
    }

    fn given(sandbox: &Sandbox) -> KeySource {
        KeySource::fixed(KeySet::from_pem(&sandbox.jwt_key()).unwrap())
    }

    async fn fetched(source: &KeySource) -> u64 {
        let KeySource::Remote(remote) = source else {
            unreachable!("it is fetched");
        };
        remote.fly(NOW).landed().await.unwrap().generation
    }

    #[tokio::test]
    async fn what_the_same_keys_proved_is_proven_after_another_fetch_and_after_a_change_no_more() {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let source = source(&sandbox);
        let first = fetched(&source).await;
        assert_eq!(fetched(&source).await, first);
        sandbox.rotate_key();
        assert_ne!(fetched(&source).await, first);
    }

    #[tokio::test]
    async fn fetched_keys_have_an_age_and_given_ones_none() {
        let sandbox = Sandbox::builder().start().await.unwrap();
        assert_eq!(given(&sandbox).age(NOW), None);
        let source = source(&sandbox);
        assert_eq!(source.age(NOW), None);
        fetched(&source).await;
        assert_eq!(source.age(later(7)), Some(Duration::from_secs(7)));
    }

    #[tokio::test]
    async fn keys_lack_no_id_for_half_a_minute_after_one_was_looked_for() {
        let sandbox = Sandbox::builder().start().await.unwrap();
        assert!(!given(&sandbox).may_lack_a_kid(NOW));
        let source = source(&sandbox);
        fetched(&source).await;
        assert!(source.may_lack_a_kid(NOW));
        let looked = source.load_for_unknown_kid(NOW).await;
        looked.unwrap().unwrap();
        assert!(!source.may_lack_a_kid(later(29)));
        assert!(source.may_lack_a_kid(later(30)));
    }
}
