//! The template tokens of an instance: minted once for all who wait, refreshed ahead of their end.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    shared_token,
    template_token::{OrganizationRule, Origin, TemplateToken, TemplateTokenError, TokenRequest},
    token_key::{TokenKey, TokenQuery},
};
use crate::{
    cache::{
        self, Cache, CacheOptions, Claim, Commons, Failure, Fetched, Found, Lifetime, Recall,
        Staleness,
    },
    clerk::{Client, budget::Priority, outage::Outage},
    revocation::{Epoch, Revocations, Revoked},
    session::Session,
    telemetry::metrics::{self, CacheResult},
    time::{Clock, Timestamp},
    verify::{session_facts::SessionAnswer, session_status::SessionStatuses},
};

/// Another replica's mint is waited for this long, then Clerk is asked here too.
const SHARED_PATIENCE: Duration = Duration::from_secs(1);

/// The template tokens of one instance.
pub(crate) struct TemplateTokens {
    client: Client,
    clock: Clock,
    statuses: Arc<SessionStatuses>,
    revocations: Arc<Revocations>,
    /// `None`: there are no other replicas.
    commons: Option<Arc<dyn Commons>>,
    cache: Arc<Cache<TokenKey, TemplateToken, TemplateTokenError>>,
}

impl TemplateTokens {
    pub(crate) fn new(
        client: Client,
        clock: Clock,
        statuses: Arc<SessionStatuses>,
        revocations: Arc<Revocations>,
        commons: Option<Arc<dyn Commons>>,
        capacity: u64,
    ) -> Arc<Self> {
        // Never stale: a token past its time is of no use to the upstream.
        let options = CacheOptions {
            capacity,
            patience: Duration::ZERO,
            retry_after: Duration::from_secs(1),
            coalesced: || metrics::template_token_cache(CacheResult::Coalesced),
            missed: || metrics::template_token_cache(CacheResult::Miss),
        };
        Arc::new(Self {
            client,
            clock,
            statuses,
            revocations,
            commons,
            cache: Arc::new(Cache::new(options)),
        })
    }

    /// Forgets a session's tokens, so that the next request mints one.
    #[cfg(feature = "gateway")]
    pub(crate) fn evict(&self, session_id: &str) {
        self.cache.evict(|key, _| key.session_id() == session_id);
    }

    /// Forgets every token that a revocation concerns.
    #[cfg(feature = "gateway")]
    pub(crate) fn drop_revoked(&self, now: Timestamp) {
        self.cache.evict(|key, token| {
            let subject = token.subject(key.session_id(), key.organization_id());
            self.revocations.judge(&subject, now).is_err()
        });
    }

    /// Returns the session's token where it is at hand; one caller refreshes it ahead of its end.
    pub(crate) fn recall(
        self: &Arc<Self>,
        session: &Session,
        request: &Arc<TokenRequest>,
        now: Timestamp,
    ) -> Option<TemplateToken> {
        let query = TokenQuery { session, request };
        let recalled = self.cache.recall(&query, now, Staleness::Refuse);
        if let Some(token) = recalled.value() {
            let organization = session.organization();
            let organization = organization.map(|organization| organization.id.as_str());
            let subject = token.subject(session.id(), organization);
            if self.revocations.judge(&subject, now).is_err() {
                self.cache.remove(&query);
                return None;
            }
        }
        match recalled {
            Recall::Fresh(token)
            | Recall::Stale(token)
            | Recall::Stretched { value: token, .. } => {
                metrics::template_token_cache(CacheResult::Hit);
                Some(token)
            }
            Recall::Due(token) => {
                metrics::template_token_cache(CacheResult::Hit);
                if self.client.has_room(Priority::Refresh) {
                    let mint = self.mint(session, request, now, Priority::Refresh);
                    self.cache.refresh(TokenKey::of(&query), now, mint);
                }
                Some(token)
            }
            // It is counted when it is asked for.
            Recall::Missing => None,
        }
    }

    /// Returns the session's token, minting it once for all who wait.
    pub(crate) async fn get(
        self: &Arc<Self>,
        session: &Session,
        request: &Arc<TokenRequest>,
        now: Timestamp,
    ) -> Result<TemplateToken, TemplateTokenError> {
        if let Some(token) = self.recall(session, request, now) {
            return Ok(token);
        }
        let key = TokenKey::of(&TokenQuery { session, request });
        let mint = self.mint(session, request, now, Priority::Request);
        match self.cache.get(key, now, Staleness::Refuse, mint).await {
            Ok(token) => Ok(token),
            Err(Failure::Failed(error)) => Err(error.as_ref().clone()),
            Err(Failure::Lost) => Err(TemplateTokenError::Outage(Outage::Unavailable)),
        }
    }

    /// Mints a token, or takes the one that another replica has minted.
    fn mint(
        self: &Arc<Self>,
        session: &Session,
        request: &Arc<TokenRequest>,
        now: Timestamp,
        priority: Priority,
    ) -> impl Future<Output = Result<Fetched<TemplateToken>, TemplateTokenError>> + Send + use<>
    {
        let (tokens, session) = (Arc::clone(self), session.clone());
        let request = Arc::clone(request);
        async move { tokens.mint_at(priority, session, request, now).await }
    }

    async fn mint_at(
        &self,
        priority: Priority,
        session: Session,
        request: Arc<TokenRequest>,
        now: Timestamp,
    ) -> Result<Fetched<TemplateToken>, TemplateTokenError> {
        let spot = |commons: &dyn Commons| shared_token::spot(commons, &session, &request);
        let take = |text: &[u8]| self.take(text, &session, &request, now);
        match cache::find(self.commons.as_ref(), spot, SHARED_PATIENCE, take).await {
            Found::There(fetched) => Ok(fetched),
            Found::Fetch(claim) => {
                let fetched = self.mint_here(&session, &request, now, priority).await?;
                leave(claim, &fetched, &session, now);
                Ok(fetched)
            }
        }
    }

    /// Takes another replica's token while it need not be refreshed and no revocation concerns it.
    fn take(
        &self,
        text: &[u8],
        session: &Session,
        request: &TokenRequest,
        now: Timestamp,
    ) -> Option<Fetched<TemplateToken>> {
        let (jwt, asked_at) = shared_token::decode(text, session, now)?;
        let origin = Origin {
            user_id: session.user_id().into(),
            asked: Epoch::FIRST,
        };
        let token = TemplateToken::read(jwt, origin, now).ok()?;
        self.judge(&token, session).ok()?;
        let lifetime = lifetime(asked_at, token.expires_at(), request.max_age);
        (now < lifetime.refresh_at).then_some(Fetched {
            value: token,
            lifetime,
        })
    }

    /// Refuses a token that a known revocation concerns.
    fn judge(&self, token: &TemplateToken, session: &Session) -> Result<(), Revoked> {
        let organization = session.organization();
        let organization = organization.map(|organization| organization.id.as_str());
        let subject = token.subject(session.id(), organization);
        self.revocations.judge(&subject, self.clock.now())
    }

    async fn mint_here(
        &self,
        session: &Session,
        request: &TokenRequest,
        now: Timestamp,
        priority: Priority,
    ) -> Result<Fetched<TemplateToken>, TemplateTokenError> {
        let origin = Origin {
            user_id: session.user_id().into(),
            asked: self.revocations.epoch(),
        };
        let sessions = self.client.sessions().at(priority);
        let minted = sessions
            .create_token_from_template(session.id(), &request.template, request.lifetime)
            .await
            .map_err(|error| TemplateTokenError::of(&error))?;
        if request.organization == OrganizationRule::Same {
            // After minting: before it, a switch in between would go unseen.
            self.check_organization(session, now).await?;
        }
        let token = TemplateToken::read(minted.jwt, origin, now)?;
        self.judge(&token, session)?;
        let lifetime = lifetime(now, token.expires_at(), request.max_age);
        Ok(Fetched {
            value: token,
            lifetime,
        })
    }

    async fn check_organization(
        &self,
        session: &Session,
        now: Timestamp,
    ) -> Result<(), TemplateTokenError> {
        let answer = self.statuses.ask(session.id(), now).await;
        let answer = answer.map_err(|error| TemplateTokenError::Outage(Outage::of(&error)))?;
        let SessionAnswer::Known(facts) = answer else {
            return Err(TemplateTokenError::SessionNotGood);
        };
        let presented = session
            .organization()
            .map(|organization| organization.id.as_str());
        if facts.organization_id() != presented {
            return Err(TemplateTokenError::OrganizationMismatch);
        }
        Ok(())
    }
}

impl fmt::Debug for TemplateTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateTokens").finish_non_exhaustive()
    }
}

/// Leaves a token for the other replicas until it is to be refreshed.
fn leave(claim: Claim, fetched: &Fetched<TemplateToken>, session: &Session, now: Timestamp) {
    let ttl = fetched.lifetime.refresh_at.since(now);
    claim.put(
        shared_token::encode(fetched.value.as_str(), session, now),
        ttl,
    );
}

/// Serves a token until a little before its end, refreshing it in the last quarter.
fn lifetime(now: Timestamp, expires_at: Timestamp, max_age: Option<Duration>) -> Lifetime {
    let life = expires_at.since(now);
    // The upstream must have time to use it.
    let margin = (life / 10).min(Duration::from_secs(5));
    let span = (life - margin).min(max_age.unwrap_or(Duration::MAX));
    let fresh_until = now.plus(span);
    Lifetime {
        refresh_at: now.plus(span * 3 / 4),
        fresh_until,
        stale_until: fresh_until,
        kept_until: fresh_until,
    }
}

#[cfg(test)]
#[path = "template_tokens_tests.rs"]
mod tests;
