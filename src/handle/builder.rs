//! How a handle is set up.

use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "client")]
use secrecy::SecretString;

use super::{CacheSettings, Clerk, Inner, SetupError, caches::Caches};
#[cfg(feature = "redis")]
use crate::clerk::books::Books;
#[cfg(feature = "client")]
use crate::{
    cache::Commons,
    clerk::{Client, PublicJwks},
    revocation::Revocations,
    verify::{OnUnavailable, Operation, jwks::JwksEndpoint},
};
use crate::{
    instance::{Instance, PublishableKey},
    time::Clock,
    verify::{KeySet, Pending, TokenProfile, VerifyMode, key_source::KeySource},
};

/// Sets a [`Clerk`] up.
#[derive(Clone, Default)]
pub struct ClerkBuilder {
    pub(super) publishable_key: Option<String>,
    issuer: Option<String>,
    pub(super) jwt_key: Option<String>,
    jwks: Option<String>,
    authorized_parties: Option<Vec<String>>,
    allow_missing_azp: bool,
    audience: Vec<String>,
    clock_skew: Option<Duration>,
    max_token_lifetime: Option<Duration>,
    pending: Pending,
    verify: Option<VerifyMode>,
    cache: CacheSettings,
    clock: Clock,
    #[cfg(feature = "client")]
    pub(super) remote: Remote,
}

#[cfg(feature = "client")]
#[derive(Clone, Default)]
pub(super) struct Remote {
    pub(super) secret_key: Option<SecretString>,
    pub(super) api_url: Option<String>,
    jwks_url: Option<String>,
    operation: Operation,
    on_unavailable: OnUnavailable,
    calls_per_10s: Option<u32>,
    replicas: Option<u32>,
    revocations: Option<Arc<Revocations>>,
    commons: Option<Arc<dyn Commons>>,
    #[cfg(feature = "redis")]
    books: Option<Arc<Books>>,
    #[cfg(feature = "gateway")]
    predecessor: Option<Client>,
}

impl ClerkBuilder {
    /// Names the instance by its publishable key: issuer, Frontend API and cookie suffix follow.
    #[must_use]
    pub fn publishable_key(mut self, key: impl Into<String>) -> Self {
        self.publishable_key = Some(key.into());
        self
    }

    /// Names the issuer that tokens must have, as in `https://clerk.example.com`; needed where there
    /// is no publishable key.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Verifies with this PEM key and fetches none (`\n` escapes are allowed).
    #[must_use]
    pub fn jwt_key(mut self, pem: impl Into<String>) -> Self {
        self.jwt_key = Some(pem.into());
        self
    }

    /// Verifies with this JWKS document and fetches none.
    #[must_use]
    pub fn jwks(mut self, json: impl Into<String>) -> Self {
        self.jwks = Some(json.into());
        self
    }

    /// Accepts tokens minted for these origins only (`azp`); without it `azp` is not judged.
    #[must_use]
    pub fn authorized_parties<I>(mut self, parties: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.authorized_parties = Some(parties.into_iter().map(Into::into).collect());
        self
    }

    /// Accepts tokens without `azp` though authorized parties are set: Clerk's Backend API mints
    /// such ones.
    #[must_use]
    pub fn allow_missing_azp(mut self) -> Self {
        self.allow_missing_azp = true;
        self
    }

    /// Requires one of these audiences of tokens that name an audience.
    #[must_use]
    pub fn audience<I>(mut self, audience: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.audience = audience.into_iter().map(Into::into).collect();
        self
    }

    /// Tolerates clocks that differ by this much (5 s).
    #[must_use]
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.clock_skew = Some(skew);
        self
    }

    /// Refuses tokens that live longer than this (24 h).
    #[must_use]
    pub fn max_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_token_lifetime = Some(lifetime);
        self
    }

    /// Says what sessions with outstanding tasks count as.
    #[must_use]
    pub fn pending(mut self, pending: Pending) -> Self {
        self.pending = pending;
        self
    }

    /// Says how sessions are verified; by default through the Sessions API where there is a secret
    /// key to ask it with, else networkless.
    #[must_use]
    pub fn verify(mut self, mode: VerifyMode) -> Self {
        self.verify = Some(mode);
        self
    }

    /// Sets the caches' sizes and times.
    #[must_use]
    pub fn cache(mut self, settings: CacheSettings) -> Self {
        self.cache = settings;
        self
    }

    /// Reads the time from `clock`: for tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the handle. Nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where the settings do not name an instance and its keys, or cannot work.
    pub fn build(self) -> Result<Clerk, SetupError> {
        let key = self.publishable_key.as_deref();
        let key = key.map(PublishableKey::parse).transpose()?;
        let instance = self.instance(key.as_ref())?;
        let profile = self.profile(&instance)?;
        let mode = self.mode()?;
        #[cfg(feature = "client")]
        let revocations = self.revocations();
        #[cfg(feature = "client")]
        let client = self.client()?;
        #[cfg(feature = "client")]
        let keys = self.keys(client.as_ref(), key.as_ref())?;
        #[cfg(not(feature = "client"))]
        let keys = self.given_keys()?.ok_or(SetupError::NoKeys)?;
        let caches = Caches::new(
            &self.cache,
            #[cfg(feature = "client")]
            client.as_ref(),
            #[cfg(feature = "client")]
            self.remote.operation,
            #[cfg(feature = "client")]
            &self.clock,
            #[cfg(feature = "client")]
            &revocations,
            #[cfg(feature = "client")]
            self.remote.commons.as_ref(),
        );
        Ok(Clerk(Arc::new(Inner {
            instance,
            profile,
            mode,
            clock: self.clock,
            keys: Arc::new(keys),
            caches,
            #[cfg(feature = "client")]
            revocations,
            #[cfg(feature = "client")]
            commons: self.remote.commons,
            #[cfg(feature = "client")]
            client,
            #[cfg(feature = "client")]
            operation: self.remote.operation,
            #[cfg(feature = "client")]
            on_unavailable: self.remote.on_unavailable,
        })))
    }

    fn instance(&self, key: Option<&PublishableKey>) -> Result<Instance, SetupError> {
        let named = key.map(Instance::from_publishable_key);
        match (named, &self.issuer) {
            (Some(instance), Some(issuer)) => Ok(instance.with_issuer(issuer)?),
            (Some(instance), None) => Ok(instance),
            (None, Some(issuer)) => Ok(Instance::from_issuer(issuer)?),
            (None, None) => Err(SetupError::NoIssuer),
        }
    }

    fn profile(&self, instance: &Instance) -> Result<TokenProfile, SetupError> {
        let mut profile = TokenProfile::new(instance.issuer())?.pending(self.pending);
        if let Some(parties) = &self.authorized_parties {
            profile = profile.authorized_parties(parties.clone())?;
        }
        if self.allow_missing_azp {
            profile = profile.allow_missing_azp();
        }
        if !self.audience.is_empty() {
            profile = profile.audience(self.audience.clone())?;
        }
        if let Some(skew) = self.clock_skew {
            profile = profile.clock_skew(skew)?;
        }
        if let Some(lifetime) = self.max_token_lifetime {
            profile = profile.max_token_lifetime(lifetime)?;
        }
        Ok(profile)
    }

    fn mode(&self) -> Result<VerifyMode, SetupError> {
        #[cfg(feature = "client")]
        let can_ask = self.remote.secret_key.is_some();
        #[cfg(not(feature = "client"))]
        let can_ask = false;
        match (self.verify, can_ask) {
            (Some(VerifyMode::SessionsApi), false) => Err(SetupError::NoSecretKey(
                "verification through the Sessions API",
            )),
            (Some(mode), _) => Ok(mode),
            (None, true) => Ok(VerifyMode::SessionsApi),
            (None, false) => Ok(VerifyMode::Networkless),
        }
    }

    fn given_keys(&self) -> Result<Option<KeySource>, SetupError> {
        let set = match (&self.jwt_key, &self.jwks) {
            (Some(pem), _) => KeySet::from_pem(pem),
            (None, Some(json)) => KeySet::from_jwks(json.as_bytes()),
            (None, None) => return Ok(None),
        };
        let set = set.map_err(SetupError::Key)?;
        Ok(Some(KeySource::fixed(set)))
    }

    #[cfg(feature = "client")]
    fn revocations(&self) -> Arc<Revocations> {
        let retention = self.retention();
        match &self.remote.revocations {
            None => Arc::new(Revocations::new(retention)),
            Some(known) => {
                known.outlast(retention);
                Arc::clone(known)
            }
        }
    }

    /// A revocation must outlive every token and cache entry of its session.
    #[cfg(feature = "client")]
    fn retention(&self) -> Duration {
        let token = self
            .max_token_lifetime
            .unwrap_or(TokenProfile::DEFAULT_MAX_TOKEN_LIFETIME);
        let skew = self.clock_skew.unwrap_or(TokenProfile::DEFAULT_CLOCK_SKEW);
        // Twice: a token's issuer may be ahead of us, and its end is taken late.
        token
            .max(self.cache.longest_session())
            .saturating_add(2 * skew)
    }
}

#[cfg(feature = "client")]
impl ClerkBuilder {
    /// Gives the secret key, `sk_…`: needed for the Sessions API and for template tokens.
    #[must_use]
    pub fn secret_key(mut self, key: impl Into<SecretString>) -> Self {
        self.remote.secret_key = Some(key.into());
        self
    }

    /// Asks Clerk's Backend API here, in place of `https://api.clerk.com`.
    #[must_use]
    pub fn api_url(mut self, url: impl Into<String>) -> Self {
        self.remote.api_url = Some(url.into());
        self
    }

    /// Fetches the keys from this URL.
    #[must_use]
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.remote.jwks_url = Some(url.into());
        self
    }

    /// Asks this operation of the Sessions API.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.remote.operation = operation;
        self
    }

    /// Says what happens to a valid token where Clerk cannot be asked about its session.
    #[must_use]
    pub fn on_unavailable(mut self, on_unavailable: OnUnavailable) -> Self {
        self.remote.on_unavailable = on_unavailable;
        self
    }

    /// Sets how many calls of Clerk's Backend API may be made in any 10 seconds by all replicas together: see
    /// [`ClientBuilder::calls_per_10s`](crate::clerk::ClientBuilder::calls_per_10s).
    #[must_use]
    pub fn calls_per_10s(mut self, calls: u32) -> Self {
        self.remote.calls_per_10s = Some(calls);
        self
    }

    /// Sets how many processes share those calls (1): see
    /// [`ClientBuilder::replicas`](crate::clerk::ClientBuilder::replicas).
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.remote.replicas = Some(replicas);
        self
    }

    /// Takes the place of another handle: refuses the sessions that it refuses, and counts its calls.
    #[cfg(feature = "gateway")]
    pub(crate) fn succeeding(mut self, previous: &Clerk) -> Self {
        self.remote.revocations = Some(Arc::clone(previous.revocations()));
        self.remote.predecessor = previous.client().cloned();
        self
    }

    /// Shares with other replicas what is fetched, and the budget of calls.
    #[cfg(feature = "redis")]
    pub(crate) fn sharing(mut self, commons: Arc<dyn Commons>, books: Arc<Books>) -> Self {
        self.remote.commons = Some(commons);
        self.remote.books = Some(books);
        self
    }

    fn client(&self) -> Result<Option<Client>, SetupError> {
        let Some(key) = &self.remote.secret_key else {
            return Ok(None);
        };
        let mut builder = Client::builder(key.clone()).clock(self.clock.clone());
        if let Some(url) = &self.remote.api_url {
            builder = builder.api_url(url);
        }
        if let Some(calls) = self.remote.calls_per_10s {
            builder = builder.calls_per_10s(calls);
        }
        if let Some(replicas) = self.remote.replicas {
            builder = builder.replicas(replicas);
        }
        #[cfg(feature = "redis")]
        if let Some(books) = &self.remote.books {
            builder = builder.books(Arc::clone(books));
        }
        let client = builder.build()?;
        #[cfg(feature = "gateway")]
        if let Some(previous) = &self.remote.predecessor {
            return Ok(Some(client.succeeding(previous)));
        }
        Ok(Some(client))
    }

    fn keys(
        &self,
        client: Option<&Client>,
        key: Option<&PublishableKey>,
    ) -> Result<KeySource, SetupError> {
        if let Some(given) = self.given_keys()? {
            return Ok(given);
        }
        let endpoint = match (&self.remote.jwks_url, client, key) {
            (Some(url), _, _) => JwksEndpoint::Public(Box::new(PublicJwks::new(url)?)),
            (None, Some(client), _) => JwksEndpoint::BackendApi(client.clone()),
            (None, None, Some(key)) => {
                let url = format!("https://{}/.well-known/jwks.json", key.frontend_api());
                JwksEndpoint::Public(Box::new(PublicJwks::new(&url)?))
            }
            (None, None, None) => return Err(SetupError::NoKeys),
        };
        Ok(KeySource::remote(endpoint))
    }
}

impl fmt::Debug for ClerkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClerkBuilder")
            .field("publishable_key", &self.publishable_key)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
