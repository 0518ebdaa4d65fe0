//! What a failed call to Clerk means for the request that needed it.

use std::{fmt, time::Duration};

use super::Error;
use crate::cache::{Excuse, FetchError};

/// Why Clerk could not be asked: never the user's fault, so never a 401.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outage {
    /// Clerk refuses our own secret key.
    KeyRefused,
    /// Clerk asked us to wait.
    RateLimited(Option<Duration>),
    /// Clerk is slow, down or not understood.
    Unavailable,
}

impl Outage {
    /// Names what an error means.
    pub(crate) fn of(error: &Error) -> Self {
        if error.is_unauthorized_key() {
            return Self::KeyRefused;
        }
        match error {
            Error::RateLimited { .. } => Self::RateLimited(error.retry_after()),
            _ => Self::Unavailable,
        }
    }

    /// Returns the reason slug.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::KeyRefused => "secret-key-invalid",
            Self::RateLimited(_) => "clerk-rate-limited",
            Self::Unavailable => "clerk-unavailable",
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyRefused => "clerk refuses the secret key",
            Self::RateLimited(_) => "clerk's rate limit is reached",
            Self::Unavailable => "clerk cannot be asked",
        })
    }
}

impl FetchError for Error {
    fn excuse(&self) -> Excuse {
        match Outage::of(self) {
            Outage::KeyRefused => Excuse::Ends,
            Outage::RateLimited(_) => Excuse::Continues,
            Outage::Unavailable if self.is_clerks_word() => Excuse::Ends,
            // Whatever else answers in its place, Clerk has not been heard.
            Outage::Unavailable => Excuse::Starts,
        }
    }
}
