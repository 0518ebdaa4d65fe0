//! What replicas share by way of Redis or Valkey, none of which makes anybody pass.
//!
//! Whoever reads Redis learns no token and no ID: names are HMACs, values are encrypted. Whoever writes to it can make
//! nobody pass: what is stored is authenticated together with its place (instance, kind and name), and is judged once
//! more by whoever reads it. What can be done there is to withhold and to repeat: then each replica asks Clerk itself,
//! within its part of Clerk's rate limit, and a revocation that was withheld is seen when Clerk is next asked.
//!
//! Without Redis a replica goes on alone; it tells the others when Redis is back.

mod feed;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod ledger;
mod link;
mod values;
mod vault;
mod wire;

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::{clerk::books::Books, revocation::Revocations, time::Clock};
use feed::Feed;
use link::Link;
use values::{Connection, Values};
use vault::Vault;

/// The Redis that an instance's replicas share.
#[derive(Debug)]
pub(crate) struct Shared {
    link: Link,
    vault: Arc<Vault>,
    connection: Connection,
    books: Arc<Books>,
}

/// Why a Redis cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SharedError {
    #[error("it is no address of a redis: {0}")]
    Address(redis::RedisError),
    #[error("it holds no certificate that can be used")]
    Authorities,
    #[error("no key can be derived")]
    Key,
}

impl Shared {
    /// Sets the Redis at `url` up for an instance, by its issuer; nothing is connected yet.
    ///
    /// `authorities` is PEM of those that count for TLS, where not the system's do. The first of the secrets seals;
    /// what any of them has sealed is opened.
    ///
    /// # Errors
    ///
    /// [`SharedError`] for a URL that is none of Redis's, and for authorities that are none.
    pub(crate) fn new(
        url: &SecretString,
        authorities: Option<&str>,
        instance: &str,
        secrets: &[SecretString],
    ) -> Result<Self, SharedError> {
        Ok(Self {
            link: Link::new(url.expose_secret(), authorities)?,
            vault: Arc::new(Vault::new(instance, secrets).ok_or(SharedError::Key)?),
            connection: Connection::default(),
            books: Arc::new(Books::shared()),
        })
    }

    /// Tells the other replicas of what is revoked here and of the calls of Clerk, and learns the same of them; it
    /// does not end.
    pub(crate) async fn run(&self, revocations: &Revocations, clock: &Clock) {
        Feed::new(self, revocations, clock).run().await;
    }

    /// Returns the books in which all replicas count their calls of Clerk.
    pub(crate) fn books(&self) -> Arc<Books> {
        Arc::clone(&self.books)
    }

    /// Returns the place where replicas leave what they fetched.
    pub(crate) fn values(&self) -> Values {
        Values::new(Arc::clone(&self.vault), Arc::clone(&self.connection))
    }
}
