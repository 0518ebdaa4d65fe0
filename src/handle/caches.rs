//! What a handle keeps, and for how long.

use std::{sync::Arc, time::Duration};

use crate::verify::token_cache::TokenCache;
#[cfg(feature = "client")]
use crate::{
    cache::Commons,
    clerk::Client,
    mutate::template_tokens::TemplateTokens,
    revocation::Revocations,
    time::Clock,
    verify::{
        Operation,
        session_status::{SessionStatuses, StatusTtl},
        session_ttl::SessionTtl,
    },
};

/// The caches' sizes and times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CacheSettings {
    /// Sessions whose status is kept, at most; 0 keeps none.
    pub sessions: u64,
    /// Verified tokens that are kept, at most; 0 keeps none.
    pub tokens: u64,
    /// Template tokens that are kept, at most; 0 keeps none.
    pub template_tokens: u64,
    /// How long an active session is taken for active before the Sessions API is asked again: the
    /// longest time in which a revocation that nobody told us about goes unseen, except under
    /// pressure: see `session_ttl_max`.
    pub session_ttl: Duration,
    /// How far `session_ttl` stretches for sessions known to be active while more than half of the
    /// budget of Clerk's calls is used up: then this is the longest time in which such a revocation
    /// goes unseen. It counts from when Clerk was asked, or from when it minted the presented token
    /// (its `iat`, less the clock skew), which it does for active sessions alone. Not above
    /// `session_ttl`: nothing stretches.
    pub session_ttl_max: Duration,
    /// How long a definite refusal (no such session, not active) is kept.
    pub negative_ttl: Duration,
    /// How long after `session_ttl` a session known to be active is served while Clerk cannot be
    /// asked.
    pub stale_if_error: Duration,
}

#[cfg(feature = "client")]
impl CacheSettings {
    /// Returns the longest time that a session is served without a new answer.
    pub(super) fn longest_session(&self) -> Duration {
        let stale = self.session_ttl.saturating_add(self.stale_if_error);
        stale.max(self.ttl().longest_kept())
    }

    fn ttl(&self) -> SessionTtl {
        SessionTtl {
            usual: self.session_ttl,
            longest: self.session_ttl_max,
        }
    }
}

/// What one handle, or one layer with settings of its own, keeps.
#[derive(Clone)]
pub(super) struct Caches {
    pub(super) tokens: Arc<TokenCache>,
    #[cfg(feature = "client")]
    pub(super) statuses: Option<Arc<SessionStatuses>>,
    #[cfg(feature = "client")]
    pub(super) template_tokens: Option<Arc<TemplateTokens>>,
}

#[cfg(feature = "client")]
impl Caches {
    pub(super) fn new(
        settings: &CacheSettings,
        client: Option<&Client>,
        operation: Operation,
        clock: &Clock,
        revocations: &Arc<Revocations>,
        commons: Option<&Arc<dyn Commons>>,
    ) -> Self {
        let ttl = StatusTtl {
            active: settings.ttl(),
            negative: settings.negative_ttl,
            stale_if_error: settings.stale_if_error,
        };
        let statuses = client.map(|client| {
            let revocations = Arc::clone(revocations);
            SessionStatuses::new(
                client.clone(),
                operation,
                ttl,
                settings.sessions,
                revocations,
                commons.cloned(),
            )
        });
        let template_tokens = client.zip(statuses.as_ref()).map(|(client, statuses)| {
            TemplateTokens::new(
                client.clone(),
                clock.clone(),
                Arc::clone(statuses),
                Arc::clone(revocations),
                commons.cloned(),
                settings.template_tokens,
            )
        });
        Self {
            tokens: Arc::new(TokenCache::new(settings.tokens)),
            statuses,
            template_tokens,
        }
    }
}

#[cfg(not(feature = "client"))]
impl Caches {
    pub(super) fn new(settings: &CacheSettings) -> Self {
        Self {
            tokens: Arc::new(TokenCache::new(settings.tokens)),
        }
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            sessions: 100_000,
            tokens: 100_000,
            template_tokens: 100_000,
            session_ttl: Duration::from_secs(15),
            session_ttl_max: Duration::from_secs(60),
            negative_ttl: Duration::from_secs(5),
            stale_if_error: Duration::from_secs(5 * 60),
        }
    }
}
