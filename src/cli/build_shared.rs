//! From the checked settings of `[shared]` to the Redis that runs.

#[cfg(feature = "redis")]
use std::sync::Arc;

#[cfg(feature = "redis")]
pub(super) use crate::shared::Shared;
#[cfg(feature = "redis")]
use crate::shared::SharedError;
use crate::{
    config::{ConfigError, Loaded},
    handle::ClerkBuilder,
};

/// What no build without Redis has.
#[cfg(not(feature = "redis"))]
pub(super) enum Shared {}

/// Makes what replicas share, where anything is.
///
/// # Errors
///
/// A URL that is none of Redis's, or authorities that are none, with their place in the configuration.
#[cfg(feature = "redis")]
pub(super) fn shared(loaded: &Loaded) -> Result<Option<Shared>, ConfigError> {
    let Some(shared) = &loaded.settings.shared else {
        return Ok(None);
    };
    let issuer = loaded.settings.clerk.instance.issuer();
    let authorities = shared.authorities.as_deref();
    let made = Shared::new(&shared.url, authorities, issuer, &shared.secrets);
    made.map(Some).map_err(|error| {
        let (key, fix) = match error {
            SharedError::Authorities => ("shared.ca_file", "write certificates into it, as PEM"),
            SharedError::Address(_) | SharedError::Key => {
                let fix = "write it as in redis://user:password@127.0.0.1:6379/0";
                ("shared.url", fix)
            }
        };
        loaded.refuse(key, error.to_string(), fix)
    })
}

/// Refuses what this build has not.
///
/// # Errors
///
/// Where anything is to be shared.
#[cfg(not(feature = "redis"))]
pub(super) fn shared(loaded: &Loaded) -> Result<Option<Shared>, ConfigError> {
    match &loaded.settings.shared {
        None => Ok(None),
        Some(_) => {
            let what = "is set, and this build cannot speak to redis".to_owned();
            let fix = "build it with --features redis, or remove the key";
            Err(loaded.refuse("shared.url", what, fix))
        }
    }
}

/// Has a handle share what it fetches, and its budget of Clerk's calls.
#[cfg(feature = "redis")]
pub(super) fn sharing(builder: ClerkBuilder, shared: &Shared) -> ClerkBuilder {
    builder.sharing(Arc::new(shared.values()), shared.books())
}

#[cfg(not(feature = "redis"))]
pub(super) fn sharing(_: ClerkBuilder, shared: &Shared) -> ClerkBuilder {
    match *shared {}
}
