//! `Clerk`: the handle to one instance, with its keys, its client and its caches.

mod builder;
mod caches;
mod error;

#[cfg(feature = "gateway")]
use std::time::Duration;
use std::{env, fmt, sync::Arc};

#[cfg(feature = "client")]
use secrecy::SecretString;

pub use builder::ClerkBuilder;
pub use caches::CacheSettings;
use caches::Caches;
pub use error::SetupError;

#[cfg(feature = "client")]
use crate::{
    cache::Commons,
    clerk::{Client, Sessions},
    mutate::template_tokens::TemplateTokens,
    revocation::Revocations,
    verify::{OnUnavailable, Operation},
};
#[cfg(feature = "gateway")]
use crate::{
    clerk::budget::{Pace, Priority},
    revocation::{Revocation, SessionEnd},
    session::Session,
    verify::VerifyError,
};
use crate::{
    instance::Instance,
    time::Clock,
    verify::{TokenProfile, Verifier, VerifyMode, key_source::KeySource},
};

/// One Clerk instance: what layers, guards and the gateway are made from.
///
/// A clone costs one reference count and shares keys, caches and the client.
///
/// ```
/// use clerk_gateway::Clerk;
/// # const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0WrU6xYvMS/EGyHJ8qhUUGSYE7RzE2aHgSCqVJ4rqTr6OGTbvk+D+Xc7q8AvOYqz4Oj3Jz5rCw6/hA2zyhvW0QIDAQAB\n-----END PUBLIC KEY-----";
/// # fn main() {
/// let clerk = Clerk::builder()
///     .publishable_key("pk_test_Y2xlcmsuY2xlcmsuZGV2JA")
///     .jwt_key(PEM)
///     .build();
/// # let _ = clerk;
/// # }
/// ```
#[derive(Clone)]
pub struct Clerk(Arc<Inner>);

struct Inner {
    instance: Instance,
    profile: TokenProfile,
    mode: VerifyMode,
    clock: Clock,
    keys: Arc<KeySource>,
    caches: Caches,
    #[cfg(feature = "client")]
    client: Option<Client>,
    #[cfg(feature = "client")]
    revocations: Arc<Revocations>,
    #[cfg(feature = "client")]
    commons: Option<Arc<dyn Commons>>,
    #[cfg(feature = "client")]
    operation: Operation,
    #[cfg(feature = "client")]
    on_unavailable: OnUnavailable,
}

/// Why sessions cannot be verified now.
#[cfg(feature = "gateway")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotReady {
    pub(crate) reason: &'static str,
}

/// What one layer or route changes of its instance's verification.
#[derive(Clone, Debug, Default)]
pub(crate) struct VerifierOptions {
    /// In place of the handle's.
    pub(crate) mode: Option<VerifyMode>,
    /// In place of the instance's.
    pub(crate) authorized_parties: Option<Vec<String>>,
}

impl Clerk {
    /// Begins a handle.
    pub fn builder() -> ClerkBuilder {
        ClerkBuilder::default()
    }

    /// Makes a handle from `CLERK_SECRET_KEY`, `CLERK_PUBLISHABLE_KEY`, `CLERK_API_URL` and
    /// `CLERK_JWT_KEY`, as Clerk's SDKs name them.
    ///
    /// # Errors
    ///
    /// [`SetupError`] where they do not name an instance and its keys.
    pub fn from_env() -> Result<Self, SetupError> {
        let mut builder = Self::builder();
        builder.publishable_key = variable("CLERK_PUBLISHABLE_KEY")?;
        builder.jwt_key = variable("CLERK_JWT_KEY")?;
        #[cfg(feature = "client")]
        {
            builder.remote.secret_key = variable("CLERK_SECRET_KEY")?.map(SecretString::from);
            builder.remote.api_url = variable("CLERK_API_URL")?;
        }
        builder.build()
    }

    /// Returns the instance.
    pub fn instance(&self) -> &Instance {
        &self.0.instance
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Makes the verifier of one layer or route.
    pub(crate) fn verifier(&self, options: VerifierOptions) -> Result<Verifier, SetupError> {
        let profile = match options.authorized_parties {
            Some(parties) => self.0.profile.clone().authorized_parties(parties)?,
            None => self.0.profile.clone(),
        };
        let mode = options.mode.unwrap_or(self.0.mode);
        if mode == VerifyMode::SessionsApi && !self.has_secret_key() {
            return Err(SetupError::NoSecretKey(
                "verification through the Sessions API",
            ));
        }
        Ok(self.make_verifier(profile, mode))
    }

    /// Makes the verifier that the handle itself was set up for.
    pub(crate) fn own_verifier(&self) -> Verifier {
        self.make_verifier(self.0.profile.clone(), self.0.mode)
    }

    fn make_verifier(&self, profile: TokenProfile, mode: VerifyMode) -> Verifier {
        Verifier {
            number: self.0.caches.tokens.number(&profile, mode),
            profile,
            keys: Arc::clone(&self.0.keys),
            tokens: Arc::clone(&self.0.caches.tokens),
            #[cfg(feature = "client")]
            revocations: Arc::clone(&self.0.revocations),
            #[cfg(feature = "client")]
            statuses: match mode {
                VerifyMode::Networkless => None,
                VerifyMode::SessionsApi => self.0.caches.statuses.clone(),
            },
            #[cfg(feature = "client")]
            on_unavailable: self.0.on_unavailable,
            #[cfg(feature = "client")]
            clock: self.0.clock.clone(),
        }
    }

    fn has_secret_key(&self) -> bool {
        #[cfg(feature = "client")]
        return self.0.client.is_some();
        #[cfg(not(feature = "client"))]
        return false;
    }
}

#[cfg(feature = "client")]
impl Clerk {
    /// Returns the client of the Sessions API.
    ///
    /// A session that is revoked through it is refused by this handle's layers at once.
    ///
    /// Without a secret key its operations fail with `Error::NoSecretKey`, and nothing is sent.
    pub fn sessions(&self) -> Sessions {
        let revocations = Arc::clone(&self.0.revocations);
        Sessions::new(self.0.client.clone()).recording(revocations, self.0.clock.clone())
    }

    /// Returns the handle with caches of its own; keys, client and revocations stay shared.
    pub(crate) fn with_caches(&self, settings: &CacheSettings) -> Self {
        let inner = &self.0;
        let skew = inner.profile.accepted_skew();
        inner
            .revocations
            .outlast(settings.longest_session().saturating_add(skew));
        Self(Arc::new(Inner {
            instance: inner.instance.clone(),
            profile: inner.profile.clone(),
            mode: inner.mode,
            clock: inner.clock.clone(),
            keys: Arc::clone(&inner.keys),
            revocations: Arc::clone(&inner.revocations),
            commons: inner.commons.clone(),
            caches: Caches::new(
                settings,
                inner.client.as_ref(),
                inner.operation,
                &inner.clock,
                &inner.revocations,
                inner.commons.as_ref(),
            ),
            client: inner.client.clone(),
            operation: inner.operation,
            on_unavailable: inner.on_unavailable,
        }))
    }

    /// Lists the names of the instance's JWT templates.
    #[cfg(feature = "gateway")]
    pub(crate) async fn template_names(&self) -> Result<Vec<String>, crate::clerk::Error> {
        match &self.0.client {
            Some(client) => client.template_names().await,
            None => Err(crate::clerk::Error::NoSecretKey),
        }
    }

    /// Tells whether sessions could be verified now; fetches the keys where they are not at hand.
    #[cfg(feature = "gateway")]
    pub(crate) async fn ready(&self) -> Result<(), NotReady> {
        let refused = |client: &Client| client.is_key_refused();
        if self.0.client.as_ref().is_some_and(refused) {
            return Err(NotReady {
                reason: "secret-key-invalid",
            });
        }
        match self.0.keys.load(self.0.clock.now()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(NotReady {
                reason: "jwks-unavailable",
            }),
        }
    }

    /// Forgets what is cached of a session.
    #[cfg(feature = "gateway")]
    pub(crate) fn evict_session(&self, session_id: &str) {
        if let Some(statuses) = &self.0.caches.statuses {
            statuses.evict(session_id);
        }
        if let Some(tokens) = &self.0.caches.template_tokens {
            tokens.evict(session_id);
        }
    }

    /// Refuses a session from now on, whatever Clerk or its token says.
    #[cfg(feature = "gateway")]
    pub(crate) fn refuse_session(&self, session_id: &str) {
        self.revoke(Revocation::Session {
            id: session_id.to_owned(),
            end: SessionEnd::Revoked,
        });
    }

    /// Refuses what a revocation concerns from now on.
    #[cfg(feature = "gateway")]
    pub(crate) fn revoke(&self, revocation: Revocation) {
        self.0.revocations.record(revocation, self.0.clock.now());
    }

    /// Judges a proven session by what is known here to be revoked.
    ///
    /// # Errors
    ///
    /// The revocation that concerns it.
    #[cfg(feature = "gateway")]
    pub(crate) fn judge(&self, session: &Session) -> Result<(), VerifyError> {
        if self.0.revocations.is_empty() {
            // Nor is the clock read.
            return Ok(());
        }
        let now = self.0.clock.now();
        Ok(self.0.revocations.judge(&session.subject(), now)?)
    }

    /// Asks whether a proven session is still good; cached answers count.
    ///
    /// # Errors
    ///
    /// Why it is not, or why that cannot be said.
    #[cfg(feature = "gateway")]
    pub(crate) async fn check(
        &self,
        session: &Session,
        priority: Priority,
    ) -> Result<(), VerifyError> {
        let verifier = self.make_verifier(self.0.profile.clone(), VerifyMode::SessionsApi);
        let now = self.0.clock.now();
        verifier.check(session, now, priority).await
    }

    /// Returns how far clocks may differ.
    #[cfg(feature = "gateway")]
    pub(crate) fn clock_skew(&self) -> Duration {
        self.0.profile.accepted_skew()
    }

    /// Drops whatever is cached of what was revoked; it is not served any more in any case.
    #[cfg(feature = "gateway")]
    pub(crate) fn drop_revoked(&self) {
        let now = self.0.clock.now();
        if let Some(statuses) = &self.0.caches.statuses {
            statuses.drop_revoked(now);
        }
        if let Some(tokens) = &self.0.caches.template_tokens {
            tokens.drop_revoked(now);
        }
    }

    /// Returns how old the fetched keys are; `None` where they were given, or none are at hand.
    #[cfg(feature = "gateway")]
    pub(crate) fn keys_age(&self) -> Option<Duration> {
        self.0.keys.age(self.0.clock.now())
    }

    /// Returns what is left of the budget of Clerk's calls; nothing where none are made.
    #[cfg(feature = "gateway")]
    pub(crate) fn pace(&self) -> Option<Pace> {
        Some(self.0.client.as_ref()?.pace())
    }

    /// Returns the client of Clerk's Backend API, for the handle that takes this one's place.
    #[cfg(feature = "gateway")]
    pub(crate) fn client(&self) -> Option<&Client> {
        self.0.client.as_ref()
    }

    /// Tells whether Clerk can be asked at all.
    #[cfg(feature = "gateway")]
    pub(crate) fn can_ask(&self) -> bool {
        self.has_secret_key()
    }

    /// Returns the sessions that this handle refuses, for the handle that takes its place.
    #[cfg(feature = "gateway")]
    pub(crate) fn revocations(&self) -> &Arc<Revocations> {
        &self.0.revocations
    }

    pub(crate) fn template_tokens(&self) -> Result<Arc<TemplateTokens>, SetupError> {
        let tokens = self.0.caches.template_tokens.clone();
        tokens.ok_or(SetupError::NoSecretKey("minting template tokens"))
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clerk")
            .field("instance", &self.0.instance)
            .finish_non_exhaustive()
    }
}

fn variable(name: &'static str) -> Result<Option<String>, SetupError> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(SetupError::Environment(name)),
    }
}
