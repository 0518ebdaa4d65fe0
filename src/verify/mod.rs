//! Whether a credential is genuine, and its session still good.
//!
//! A session token is proven here first, by the strict verifier; garbage never reaches Clerk. Then,
//! unless the verification is networkless, the Sessions API is asked whether the session is good;
//! both answers are cached. What the caches hold is tried first and without waiting; only what they
//! lack is awaited.
//!
//! Layers and the gateway do all that by themselves. The strict verifier can be used alone:
//! [`verify_session_token`] with a [`KeySet`] and a [`TokenProfile`].

mod claims;
mod json;
#[cfg(feature = "client")]
pub(crate) mod jwks;
mod jws;
pub(crate) mod key_source;
pub mod keys;
mod loaded_keys;
mod permissions;
mod profile;
#[cfg(feature = "client")]
pub(crate) mod session_facts;
#[cfg(feature = "client")]
pub(crate) mod session_status;
pub mod session_token;
#[cfg(feature = "client")]
pub(crate) mod session_ttl;
#[cfg(feature = "client")]
mod shared_status;
pub(crate) mod token_cache;
mod verifier;

#[cfg(all(test, feature = "client"))]
#[path = "../../tests/simulation/mod.rs"]
mod simulation;

pub use keys::{KeyError, KeySet};
#[cfg(feature = "client")]
pub use session_status::Operation;
pub use session_token::{
    Malformed, Pending, ProfileError, TokenError, TokenProfile, verify as verify_session_token,
};
#[cfg(feature = "client")]
pub use verifier::OnUnavailable;
pub(crate) use verifier::Verifier;

use crate::credential::CredentialError;
#[cfg(feature = "client")]
use crate::{clerk::outage::Outage, revocation::Revoked};

/// How sessions are verified.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "gateway",
    derive(schemars::JsonSchema, serde::Deserialize, serde::Serialize)
)]
#[cfg_attr(feature = "gateway", serde(rename_all = "kebab-case"))]
pub enum VerifyMode {
    /// By the token alone: a revoked session lives on until its token ends.
    Networkless,
    /// By the token, and by the Sessions API saying that the session is active.
    SessionsApi,
}

/// Why a credential does not prove a session.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    /// It cannot be a token, or does not fit what the browser knows of its user's sign-ins.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The session is not good.
    #[cfg(feature = "client")]
    #[error(transparent)]
    NotGood(#[from] session_facts::NotGood),
    /// Clerk cannot be asked.
    #[cfg(feature = "client")]
    #[error("{0}")]
    Outage(Outage),
    /// The session was revoked, or its user or organization.
    #[cfg(feature = "client")]
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// A bare session ID came where only tokens are verified.
    #[error("bare session ids need the sessions api")]
    SessionIdNetworkless,
    /// The token is not genuine, or not in its time.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl VerifyError {
    /// Returns the reason slug.
    pub(crate) fn slug(&self) -> &'static str {
        match self {
            Self::Credential(error) => error.slug(),
            #[cfg(feature = "client")]
            Self::NotGood(reason) => reason.slug(),
            #[cfg(feature = "client")]
            Self::Outage(outage) => outage.slug(),
            #[cfg(feature = "client")]
            Self::Revoked(revoked) => revoked.slug(),
            Self::SessionIdNetworkless => "session-id-not-accepted",
            Self::Token(error) => error.slug(),
        }
    }

    /// Tells whether the credential is a genuine token outside its time: in a cookie, browsers
    /// hold such ones all the time.
    pub(crate) fn is_out_of_time(&self) -> bool {
        matches!(self, Self::Token(error) if matches!(error.slug(), "token-expired" | "token-not-active-yet"))
    }
}
