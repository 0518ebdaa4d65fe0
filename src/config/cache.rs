//! `[cache]`: how much is kept, and for how long.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Period;

/// `[cache]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CacheSection {
    /// How many sessions are kept; 0 turns this cache off.
    pub(crate) sessions: u64,
    /// How many verified tokens are kept; 0 turns this cache off.
    pub(crate) tokens: u64,
    /// How many template tokens are kept; 0 turns this cache off.
    pub(crate) template_tokens: u64,
    /// How long a session is believed without asking Clerk again.
    pub(crate) session_ttl: Period,
    /// How far that stretches for active sessions while more than half of `clerk.calls_per_10s` is used up.
    pub(crate) session_ttl_max: Period,
    /// How long a definite no is believed.
    pub(crate) negative_ttl: Period,
    /// How long past `session_ttl` an active session is served while Clerk cannot be asked.
    pub(crate) stale_if_error: Period,
}

/// `[cache]`, ready to use.
#[derive(Clone, Debug)]
pub(crate) struct CacheSettings {
    /// In entries; 0: off.
    pub(crate) sessions: u64,
    /// In entries; 0: off.
    pub(crate) tokens: u64,
    /// In entries; 0: off.
    pub(crate) template_tokens: u64,
    pub(crate) session_ttl: Duration,
    pub(crate) session_ttl_max: Duration,
    pub(crate) negative_ttl: Duration,
    pub(crate) stale_if_error: Duration,
}

impl Default for CacheSection {
    fn default() -> Self {
        Self {
            sessions: 100_000,
            tokens: 100_000,
            template_tokens: 100_000,
            session_ttl: Period::secs(15),
            session_ttl_max: Period::secs(60),
            negative_ttl: Period::secs(5),
            stale_if_error: Period::secs(300),
        }
    }
}

impl CacheSection {
    /// Returns the settings; every value that can be written can be used.
    pub(crate) fn settings(&self) -> CacheSettings {
        CacheSettings {
            sessions: self.sessions,
            tokens: self.tokens,
            template_tokens: self.template_tokens,
            session_ttl: self.session_ttl.0,
            session_ttl_max: self.session_ttl_max.0,
            negative_ttl: self.negative_ttl.0,
            stale_if_error: self.stale_if_error.0,
        }
    }
}
