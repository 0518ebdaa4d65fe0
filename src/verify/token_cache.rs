//! Verified tokens, kept so that a token's signature is checked once.

#[cfg(feature = "client")]
use std::sync::OnceLock;
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use equivalent::Equivalent;
use foldhash::quality::RandomState;
use moka::{Expiry, sync};

use super::{TokenProfile, VerifyMode};
use crate::{
    recent::{Mark, Recent},
    session::Session,
    time::Timestamp,
};

thread_local! {
    /// What a token proves to a profile with a generation's keys never changes, so that all three are compared and
    /// the cache's identity alone is marked. The token's end and revocations are judged by whoever asks, each time.
    static RECENT: Recent<Arc<ProvenToken>> = const { Recent::new() };
}

/// Tokens that a profile proved with the keys of a generation.
pub(crate) struct TokenCache {
    proven: sync::Cache<TokenKey, Arc<ProvenToken>, RandomState>,
    mark: Mark,
    profiles: Mutex<Vec<(TokenProfile, VerifyMode)>>,
}

/// What a token proves.
pub(crate) struct ProvenToken {
    pub(crate) session: Session,
    /// The generation of the keys that proved it.
    pub(crate) generation: u64,
    /// The session with what the Sessions API adds to it, once that is known.
    #[cfg(feature = "client")]
    pub(crate) composed: OnceLock<Session>,
    key: TokenKey,
    stored_at: Timestamp,
}

/// The whole token is the key, and compared on a hit: no collision can return another's claims.
#[derive(Clone, Eq, PartialEq)]
struct TokenKey {
    profile: usize,
    token: Arc<str>,
}

struct TokenQuery<'a> {
    profile: usize,
    token: &'a [u8],
}

struct ByExpiry;

impl TokenCache {
    pub(crate) fn new(capacity: u64) -> Self {
        let cache = sync::Cache::builder()
            .max_capacity(capacity)
            .expire_after(ByExpiry)
            .build_with_hasher(RandomState::default());
        Self {
            proven: cache,
            mark: Mark::new(),
            profiles: Mutex::default(),
        }
    }

    /// Returns the number that stands for a profile and mode in this cache's keys.
    pub(crate) fn number(&self, profile: &TokenProfile, mode: VerifyMode) -> usize {
        let mut profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = (profile.clone(), mode);
        let known = profiles.iter().position(|known| *known == wanted);
        known.unwrap_or_else(|| {
            profiles.push(wanted);
            profiles.len() - 1
        })
    }

    /// Returns what `token` proves to `profile` with the keys of `generation`.
    pub(crate) fn get(
        &self,
        profile: usize,
        token: &[u8],
        generation: u64,
    ) -> Option<Arc<ProvenToken>> {
        let query = TokenQuery { profile, token };
        let mark = self.mark.get();
        let is_meant = |proven: &Arc<ProvenToken>| {
            proven.generation == generation && query.equivalent(&proven.key)
        };
        let look_up = || {
            let proven = self.proven.get(&query)?;
            (proven.generation == generation).then_some(proven)
        };
        // A thread that is ending keeps nothing any more.
        RECENT
            .try_with(|recent| recent.get(token, mark, is_meant, look_up))
            .unwrap_or_else(|_| look_up())
    }

    /// Keeps what `token` proves; only ever called with a token whose signature is good.
    pub(crate) fn put(
        &self,
        profile: usize,
        token: &str,
        session: Session,
        generation: u64,
        now: Timestamp,
    ) -> Arc<ProvenToken> {
        let key = TokenKey {
            profile,
            token: token.into(),
        };
        let proven = Arc::new(ProvenToken {
            session,
            generation,
            #[cfg(feature = "client")]
            composed: OnceLock::new(),
            key: key.clone(),
            stored_at: now,
        });
        self.proven.insert(key, Arc::clone(&proven));
        proven
    }
}

impl ProvenToken {
    fn memory_life(&self) -> Duration {
        // A minute more than any skew: what may still be served is judged on every read.
        self.session
            .expires_at()
            .plus(Duration::from_secs(60))
            .since(self.stored_at)
    }
}

impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { profile, token } = self;
        TokenQuery {
            profile: *profile,
            token: token.as_bytes(),
        }
        .hash(state);
    }
}

impl Hash for TokenQuery<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.profile);
        state.write(self.token);
    }
}

impl Equivalent<TokenKey> for TokenQuery<'_> {
    fn equivalent(&self, key: &TokenKey) -> bool {
        self.profile == key.profile && *self.token == *key.token.as_bytes()
    }
}

// Both hooks: moka's default would let a replaced entry inherit the old deadline.
impl Expiry<TokenKey, Arc<ProvenToken>> for ByExpiry {
    fn expire_after_create(
        &self,
        _: &TokenKey,
        proven: &Arc<ProvenToken>,
        _: Instant,
    ) -> Option<Duration> {
        Some(proven.memory_life())
    }

    fn expire_after_update(
        &self,
        _: &TokenKey,
        proven: &Arc<ProvenToken>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(proven.memory_life())
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").finish_non_exhaustive()
    }
}
