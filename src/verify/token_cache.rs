//! Verified tokens, kept so that a token's signature is checked once.

#[cfg(feature = "client")]
use std::sync::OnceLock;
use std::{
    cell::OnceCell,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use foldhash::quality::RandomState;
use moka::{Expiry, sync};

use super::{TokenProfile, VerifyMode, jws::MAX_TOKEN_LEN};
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
    /// The session with what the Sessions API adds to it, once that is known.
    #[cfg(feature = "client")]
    pub(crate) composed: OnceLock<Session>,
    /// To whom.
    profile: usize,
    /// The generation of the keys that proved it.
    generation: u64,
    stored_at: Timestamp,
}

/// A token by its SHA-256, which no two tokens share: the token itself would be the largest part of what is kept.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct TokenKey {
    profile: usize,
    digest: [u8; SHA256_OUTPUT_LEN],
}

/// What is asked of the cache; the digest is made where the thread does not know the token.
pub(crate) struct TokenQuery<'a> {
    profile: usize,
    token: &'a [u8],
    generation: u64,
    key: OnceCell<TokenKey>,
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

    /// Returns what a token proves.
    pub(crate) fn get(&self, query: &TokenQuery<'_>) -> Option<Arc<ProvenToken>> {
        let is_meant = |proven: &Arc<ProvenToken>| {
            proven.profile == query.profile && proven.generation == query.generation
        };
        let look_up = || {
            // Nothing so long was ever proven, and to hash it would be work that its sender asks for.
            if query.token.len() > MAX_TOKEN_LEN {
                return None;
            }
            let proven = self.proven.get(query.key())?;
            (proven.generation == query.generation).then_some(proven)
        };
        // A thread that is ending keeps nothing any more.
        RECENT
            .try_with(|recent| recent.get(query.token, self.mark.get(), is_meant, look_up))
            .unwrap_or_else(|_| look_up())
    }

    /// Keeps what a token proves; only ever called with a token whose signature is good.
    pub(crate) fn put(
        &self,
        query: &TokenQuery<'_>,
        session: Session,
        now: Timestamp,
    ) -> Arc<ProvenToken> {
        let proven = Arc::new(ProvenToken {
            session,
            #[cfg(feature = "client")]
            composed: OnceLock::new(),
            profile: query.profile,
            generation: query.generation,
            stored_at: now,
        });
        self.proven.insert(*query.key(), Arc::clone(&proven));
        proven
    }
}

impl<'a> TokenQuery<'a> {
    /// Asks what `token` proves to a profile, by its number, with the keys of a generation.
    pub(crate) fn new(profile: usize, token: &'a [u8], generation: u64) -> Self {
        Self {
            profile,
            token,
            generation,
            key: OnceCell::new(),
        }
    }

    fn key(&self) -> &TokenKey {
        self.key.get_or_init(|| TokenKey {
            profile: self.profile,
            digest: sha256(self.token),
        })
    }
}

fn sha256(token: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut bytes = [0; SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest(&SHA256, token).as_ref());
    bytes
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
        let proven = cache.put(&TokenQuery::new(0, b"a.b.c", 7), session(), NOW);
        for (profile, token, generation, is_found) in [
            (0, "a.b.c", 7, true),
            (0, "a.b.c", 8, false),
            (1, "a.b.c", 7, false),
            (0, "a.b.d", 7, false),
            (0, "a.b.", 7, false),
        ] {
            // More than once: then a thread has it at hand.
            for _ in 0..3 {
                let found = cache.get(&TokenQuery::new(profile, token.as_bytes(), generation));
                let found = found.is_some_and(|found| Arc::ptr_eq(&found, &proven));
                assert_eq!(found, is_found, "{profile} {token} {generation}");
            }
        }
    }

    #[test]
    fn two_profiles_that_know_a_token_have_each_their_own_proof() {
        let cache = TokenCache::new(10);
        let queries = [0, 1].map(|profile| TokenQuery::new(profile, b"a.b.c", 7));
        let proven = queries
            .each_ref()
            .map(|query| cache.put(query, session(), NOW));
        for _ in 0..3 {
            for (query, proven) in queries.iter().zip(&proven) {
                let found = cache.get(query);
                assert!(found.is_some_and(|found| Arc::ptr_eq(&found, proven)));
            }
        }
    }

    #[test]
    fn what_is_too_long_for_a_token_is_not_hashed() {
        let cache = TokenCache::new(10);
        for (length, is_hashed) in [(MAX_TOKEN_LEN, true), (MAX_TOKEN_LEN + 1, false)] {
            let token = vec![b'a'; length];
            let query = TokenQuery::new(0, &token, 7);
            assert!(cache.get(&query).is_none());
            assert_eq!(query.key.get().is_some(), is_hashed, "{length}");
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
        let query = TokenQuery::new(0, b"a.b.c", 7);
        let proven = cache.put(&query, session(), NOW);
        let life = Some(Duration::from_secs(110));
        let (key, at) = (query.key(), Instant::now());
        assert_eq!(ByExpiry.expire_after_create(key, &proven, at), life);
        assert_eq!(ByExpiry.expire_after_update(key, &proven, at, None), life);
    }
}
