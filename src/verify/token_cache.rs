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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionData;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn session() -> Session {
        Session::new(SessionData {
            expires_at: NOW.plus(Duration::from_secs(50)),
            ..SessionData::plain()
        })
    }

    #[test]
    fn a_token_is_found_for_its_profile_and_the_keys_that_proved_it() {
        let cache = TokenCache::new(10);
        let proven = cache.put(0, "a.b.c", session(), 7, NOW);
        for (profile, token, generation, is_found) in [
            (0, "a.b.c", 7, true),
            (0, "a.b.c", 8, false),
            (1, "a.b.c", 7, false),
            (0, "a.b.d", 7, false),
        ] {
            // More than once: then a thread has it at hand.
            for _ in 0..3 {
                let found = cache.get(profile, token.as_bytes(), generation);
                let found = found.is_some_and(|found| Arc::ptr_eq(&found, &proven));
                assert_eq!(found, is_found, "{profile} {token} {generation}");
            }
        }
    }

    #[test]
    fn a_key_is_meant_by_its_own_profile_and_whole_token() {
        let key = TokenKey {
            profile: 1,
            token: "a.b.c".into(),
        };
        for (profile, token, is_meant) in [
            (1, "a.b.c", true),
            (0, "a.b.c", false),
            (1, "a.b.d", false),
            (1, "a.b.", false),
        ] {
            let token = token.as_bytes();
            let query = TokenQuery { profile, token };
            assert_eq!(query.equivalent(&key), is_meant, "{profile} {token:?}");
        }
    }

    #[test]
    fn a_profile_has_one_number_and_another_profile_another() {
        let cache = TokenCache::new(10);
        let [one, two] = ["https://a.example.com", "https://b.example.com"]
            .map(|issuer| TokenProfile::new(issuer).unwrap());
        let number = |profile| cache.number(profile, VerifyMode::Networkless);
        assert_eq!((number(&one), number(&two), number(&one)), (0, 1, 0));
    }

    #[test]
    fn what_is_proven_is_kept_for_a_minute_past_its_end() {
        let cache = TokenCache::new(10);
        let proven = cache.put(0, "a.b.c", session(), 7, NOW);
        let life = Some(Duration::from_secs(110));
        let (key, at) = (&proven.key, Instant::now());
        assert_eq!(ByExpiry.expire_after_create(key, &proven, at), life);
        assert_eq!(ByExpiry.expire_after_update(key, &proven, at, None), life);
    }
}
