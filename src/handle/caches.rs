//! What a handle keeps, and for how long.

use std::{sync::Arc, time::Duration};

use crate::verify::token_cache::TokenCache;
#[cfg(feature = "client")]
use crate::{
    cache::Commons,
    clerk::Client,
    mutate::template_token::TemplateTokens,
    revocation::Revocations,
    time::Clock,
    verify::{
        Operation,
        session_status::{SessionStatuses, StatusTtl},
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
    /// longest time in which a revocation that nobody told us about goes unseen.
    pub session_ttl: Duration,
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
        self.session_ttl.saturating_add(self.stale_if_error)
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
            active: settings.session_ttl,
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
            negative_ttl: Duration::from_secs(5),
            stale_if_error: Duration::from_secs(5 * 60),
        }
    }
}
