//! Whether a session is still good: what the Sessions API says of it, cached by its ID.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use super::{
    session_facts::{Asked, SessionAnswer},
    session_ttl::SessionTtl,
    shared_status,
};
use crate::{
    cache::{
        self, Cache, CacheOptions, Claim, Commons, Entry, Excuse, Failure, Fetched, Found,
        Lifetime, Recall, Staleness, Stretch,
    },
    clerk::{Client, Error, budget::Priority},
    recent::Recent,
    revocation::{Epoch, Revocations},
    session::SessionStatus,
    telemetry::metrics::{self, CacheResult},
    time::Timestamp,
};

/// A caller that holds a stale answer waits this long for a new one.
const PATIENCE: Duration = Duration::from_millis(500);
/// After a failed lookup, a stale answer is served this long without another try.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Another replica's lookup is waited for this long, then Clerk is asked here too.
const SHARED_PATIENCE: Duration = Duration::from_millis(500);
/// Bare session IDs may cause this many lookups a second: they must not use up Clerk's rate limit.
const BARE_LOOKUPS_PER_SECOND: i64 = 5;

thread_local! {
    /// Marked with the cache's state, so that nothing is recalled over an answer that came or went since. Its time and
    /// revocations are judged at each recall, as with what the cache itself holds.
    static RECENT: Recent<Arc<Entry<SessionAnswer>>> = const { Recent::new() };
}

/// Which operation of the Sessions API is asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(
    feature = "gateway",
    derive(schemars::JsonSchema, serde::Deserialize, serde::Serialize)
)]
#[cfg_attr(feature = "gateway", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Operation {
    /// `GET /sessions/{id}`.
    #[default]
    Get,
    /// `POST /sessions/{id}/verify` with the token, deprecated by Clerk; where Clerk answers that
    /// it is gone (410), `GET /sessions/{id}` is asked instead.
    Verify,
}

/// How long answers of the Sessions API are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusTtl {
    pub(crate) active: SessionTtl,
    pub(crate) negative: Duration,
    pub(crate) stale_if_error: Duration,
}

/// What vouches for a session beside what Clerk said of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Voucher {
    /// Nothing, as for a bare ID: what Clerk said counts for its time and no longer.
    Nothing,
    /// A verified token, which Clerk minted then or later for the session, active at that time.
    Token(Option<Timestamp>),
}

/// The lookups of one instance's sessions.
#[derive(Debug)]
pub(crate) struct SessionStatuses {
    client: Client,
    operation: Operation,
    ttl: StatusTtl,
    revocations: Arc<Revocations>,
    /// `None`: there are no other replicas.
    commons: Option<Arc<dyn Commons>>,
    cache: Arc<Cache<String, SessionAnswer, Error>>,
    verify_is_gone: AtomicBool,
    bare_budget: BareBudget,
}

/// Lookups left in the running second.
#[derive(Debug, Default)]
struct BareBudget {
    second: AtomicI64,
    used: AtomicI64,
}

impl SessionStatuses {
    pub(crate) fn new(
        client: Client,
        operation: Operation,
        ttl: StatusTtl,
        capacity: u64,
        revocations: Arc<Revocations>,
        commons: Option<Arc<dyn Commons>>,
    ) -> Arc<Self> {
        let options = CacheOptions {
            capacity,
            patience: PATIENCE,
            retry_after: RETRY_AFTER,
            coalesced: || metrics::session_cache(CacheResult::Coalesced),
            missed: || metrics::session_cache(CacheResult::Miss),
        };
        let gate = client.clone();
        let cache = Cache::new(options).judging_slowness(move || {
            if gate.is_key_refused() {
                return Excuse::Ends;
            }
            // A lookup that waits for our rate limit says nothing about Clerk.
            match gate.is_rate_limited() {
                true => Excuse::Continues,
                false => Excuse::Starts,
            }
        });
        Arc::new(Self {
            client,
            operation,
            ttl,
            revocations,
            commons,
            cache: Arc::new(cache),
            verify_is_gone: AtomicBool::new(false),
            bare_budget: BareBudget::default(),
        })
    }

    /// Forgets a session, so that the next request asks for it.
    #[cfg(feature = "gateway")]
    pub(crate) fn evict(&self, session_id: &str) {
        self.cache.remove(session_id);
    }

    /// Forgets every session that a revocation concerns.
    #[cfg(feature = "gateway")]
    pub(crate) fn drop_revoked(&self, now: Timestamp) {
        self.cache.evict(|_, answer| self.is_outdated(answer, now));
    }

    /// Returns what is known of a session without asking.
    pub(crate) fn recall(
        self: &Arc<Self>,
        session_id: &str,
        now: Timestamp,
        voucher: Voucher,
    ) -> Option<SessionAnswer> {
        let stretch = |answer: &SessionAnswer| self.stretch(answer, voucher, now);
        let staleness = voucher.staleness();
        let entry = self.entry(session_id)?;
        let recalled = self.cache.judge(&entry, now, staleness, stretch);
        if recalled
            .value()
            .is_some_and(|answer| self.is_outdated(answer, now))
        {
            self.cache.remove(session_id);
            return None;
        }
        match recalled {
            Recall::Fresh(answer) => {
                metrics::session_cache(answer.as_result());
                Some(answer)
            }
            Recall::Stale(answer) => {
                metrics::session_cache(CacheResult::Stale);
                Some(answer)
            }
            Recall::Due(answer) => {
                metrics::session_cache(CacheResult::Stale);
                self.refresh(session_id, now);
                Some(answer)
            }
            Recall::Stretched { value, refresh } => {
                metrics::session_cache(CacheResult::Stretched);
                if refresh {
                    self.refresh(session_id, now);
                }
                Some(value)
            }
            // It is counted when it is asked for.
            Recall::Missing => None,
        }
    }

    fn entry(&self, session_id: &str) -> Option<Arc<Entry<SessionAnswer>>> {
        let mark = self.cache.mark();
        let look_up = || self.cache.find(session_id);
        // A thread that is ending keeps nothing any more.
        RECENT
            .try_with(|recent| recent.get(session_id.as_bytes(), mark, |_| true, look_up))
            .unwrap_or_else(|_| look_up())
    }

    /// Returns what is known of a session, asking where nothing is; `token` goes with `verify`.
    pub(crate) async fn get(
        self: &Arc<Self>,
        session_id: &str,
        token: Option<&str>,
        now: Timestamp,
        voucher: Voucher,
        priority: Priority,
    ) -> Result<SessionAnswer, Failure<Error>> {
        if let Some(answer) = self.recall(session_id, now, voucher) {
            return Ok(answer);
        }
        // Before a fetch begins that others would wait for.
        if priority.is_background() && !self.client.has_room(priority) {
            let error = Error::rate_limited(RETRY_AFTER);
            return Err(Failure::Failed(Arc::new(error)));
        }
        let id = session_id.to_owned();
        let fetch = Arc::clone(self).fetch(id.clone(), token.map(str::to_owned), now, priority);
        let fetched = self.cache.get(id, now, voucher.staleness(), fetch);
        let answer = fetched.await?;
        if !self.is_outdated(&answer, now) {
            return Ok(answer);
        }
        // It was asked before a revocation that is known by now, so it is asked once more.
        let asked = self.ask(session_id, now).await;
        asked.map_err(|error| Failure::Failed(Arc::new(error)))
    }

    /// Asks for a session whatever is cached, and caches the answer.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        session_id: &str,
        now: Timestamp,
    ) -> Result<SessionAnswer, Error> {
        let id = session_id.to_owned();
        let fetched = self.fetch_here(&id, None, now, Priority::Request).await?;
        let answer = fetched.value.clone();
        self.cache.put(id, now, fetched);
        Ok(answer)
    }

    /// Takes one lookup from the budget of bare session IDs, unless the session is being looked up already.
    pub(crate) fn may_look_up_bare(&self, session_id: &str, now: Timestamp) -> bool {
        self.cache.is_fetching(&session_id.to_owned()) || self.bare_budget.take(now)
    }

    /// Asks again in the background, if Clerk's budget has room for that.
    fn refresh(self: &Arc<Self>, session_id: &str, now: Timestamp) {
        if !self.client.has_room(Priority::Refresh) {
            return;
        }
        let id = session_id.to_owned();
        let fetch = Arc::clone(self).fetch(id.clone(), None, now, Priority::Refresh);
        self.cache.refresh(id, now, fetch);
    }

    /// Says whether an answer past its time may be served, because Clerk's budget is scarce.
    fn stretch(&self, answer: &SessionAnswer, voucher: Voucher, now: Timestamp) -> Stretch {
        let Voucher::Token(minted) = voucher else {
            return Stretch::Over;
        };
        let Ok(facts) = answer.facts(false, now) else {
            return Stretch::Over;
        };
        let seen = minted.map_or(facts.asked_at, |minted| minted.max(facts.asked_at));
        let pressure = self.client.pressure(now);
        self.ttl.active.judge(now.since(seen), pressure)
    }

    /// Asks for a session, or takes the answer that another replica was given.
    async fn fetch(
        self: Arc<Self>,
        id: String,
        token: Option<String>,
        now: Timestamp,
        priority: Priority,
    ) -> Result<Fetched<SessionAnswer>, Error> {
        let spot = |commons: &dyn Commons| commons.spot(shared_status::KIND, &[&id]);
        let take = |text: &[u8]| self.take(text, &id, now);
        match cache::find(self.commons.as_ref(), spot, SHARED_PATIENCE, take).await {
            Found::There(fetched) => Ok(fetched),
            Found::Fetch(claim) => {
                let fetched = self
                    .fetch_here(&id, token.as_deref(), now, priority)
                    .await?;
                self.leave(claim, &fetched, now);
                Ok(fetched)
            }
        }
    }

    async fn fetch_here(
        &self,
        id: &str,
        token: Option<&str>,
        now: Timestamp,
        priority: Priority,
    ) -> Result<Fetched<SessionAnswer>, Error> {
        let asked = Asked {
            epoch: self.revocations.epoch(),
            at: now,
            priority,
        };
        let answer = match token {
            Some(token) if self.asks_verify() => self.verify(id, token, asked).await?,
            _ => self.find(id, asked).await?,
        };
        Ok(self.fetched(answer, now))
    }

    /// Takes what another replica was told of a session, while that is fresh and no revocation concerns it.
    fn take(&self, text: &[u8], id: &str, now: Timestamp) -> Option<Fetched<SessionAnswer>> {
        let (told, asked_at) = shared_status::decode(text, id, now)?;
        let asked = Asked {
            epoch: Epoch::FIRST,
            at: asked_at,
            priority: Priority::Request,
        };
        let fetched = self.fetched(SessionAnswer::known(told, asked), asked_at);
        let is_fresh = now < fetched.lifetime.fresh_until;
        (is_fresh && !self.is_outdated(&fetched.value, now)).then_some(fetched)
    }

    /// Leaves an answer for the other replicas, unless a revocation became known while it was asked for.
    fn leave(&self, claim: Claim, fetched: &Fetched<SessionAnswer>, now: Timestamp) {
        if let SessionAnswer::Known(facts) = &fetched.value
            && !self.is_outdated(&fetched.value, now)
        {
            let ttl = fetched.lifetime.fresh_until.since(now);
            claim.put(shared_status::encode(&facts.told(), now), ttl);
        }
    }

    fn asks_verify(&self) -> bool {
        self.operation == Operation::Verify && !self.verify_is_gone.load(Ordering::Relaxed)
    }

    async fn find(&self, id: &str, asked: Asked) -> Result<SessionAnswer, Error> {
        match self.client.sessions().at(asked.priority).get(id).await {
            Ok(object) => Ok(SessionAnswer::known(object.into(), asked)),
            Err(error) if error.is_not_found() => Ok(SessionAnswer::NotFound),
            Err(error) => Err(error),
        }
    }

    async fn verify(&self, id: &str, token: &str, asked: Asked) -> Result<SessionAnswer, Error> {
        let sessions = self.client.sessions().at(asked.priority);
        match sessions.verify(id, Some(token)).await {
            Ok(object) => Ok(SessionAnswer::known(object.into(), asked)),
            Err(Error::OperationDeprecated { .. }) => {
                if !self.verify_is_gone.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "clerk no longer offers POST /sessions/{{id}}/verify; asking GET /sessions/{{id}} instead"
                    );
                }
                self.find(id, asked).await
            }
            Err(error) if error.is_not_found() => Ok(SessionAnswer::NotFound),
            Err(error) if error.status() == Some(400) && error.is_clerks_word() => {
                Ok(SessionAnswer::NotVerified)
            }
            Err(error) => Err(error),
        }
    }

    // The lifetime counts from when we asked: what Clerk learnt since then is not in the answer.
    fn fetched(&self, answer: SessionAnswer, now: Timestamp) -> Fetched<SessionAnswer> {
        let lifetime = match &answer {
            answer if self.is_outdated(answer, now) => Lifetime::over(now),
            SessionAnswer::Known(facts) if facts.status == SessionStatus::Active => {
                let kept = self.ttl.active.longest_kept();
                Lifetime::fresh_for(now, self.ttl.active.usual, self.ttl.stale_if_error)
                    .kept_for(now, kept)
            }
            _ => Lifetime::fresh_for(now, self.ttl.negative, Duration::ZERO),
        };
        Fetched {
            value: answer,
            lifetime,
        }
    }

    /// Tells whether a revocation became known after Clerk was asked.
    fn is_outdated(&self, answer: &SessionAnswer, now: Timestamp) -> bool {
        match answer {
            SessionAnswer::Known(facts) => self.revocations.judge(&facts.subject(), now).is_err(),
            SessionAnswer::NotFound | SessionAnswer::NotVerified => false,
        }
    }
}

impl Voucher {
    fn staleness(self) -> Staleness {
        match self {
            Self::Nothing => Staleness::Refuse,
            Self::Token(_) => Staleness::Accept,
        }
    }
}

impl BareBudget {
    fn take(&self, now: Timestamp) -> bool {
        let second = now.as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.used.store(0, Ordering::Relaxed);
        }
        self.used.fetch_add(1, Ordering::Relaxed) < BARE_LOOKUPS_PER_SECOND
    }
}

#[cfg(test)]
#[cfg(feature = "redis")]
#[path = "session_status_tests.rs"]
mod tests;
