//! Building and starting a sandbox.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpListener, sync::oneshot};

use super::{
    Sandbox, api,
    backend::Backend,
    faults::Faults,
    ids::Ids,
    listener::CuttableListener,
    rate::{Limiter, RateLimit},
    seed::Seed,
    signing::SigningKey,
    store::Store,
};
use crate::{instance::PublishableKey, time::Clock};

/// Configures a sandbox; [`Sandbox::builder`] begins one.
#[derive(Debug)]
#[must_use]
pub struct SandboxBuilder {
    listen: SocketAddr,
    allow_remote: bool,
    clock: Clock,
    seed: Seed,
    deterministic: bool,
    rate_limit: RateLimit,
    token_lifetime: Duration,
    webhook: Option<(String, SecretString)>,
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The address could not be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file of dotenv lines could not be written.
    #[error("cannot write {}", path.display())]
    EnvFile {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No publishable key can name the address.
    #[error("{0} cannot be the host in a publishable key: listen on an IPv4 address")]
    Host(SocketAddr),
    /// The signing key could not be made or read.
    #[error("the signing key is not an RSA private key in PKCS#8 PEM")]
    Key,
    /// The address is not this machine's own and remote access was not allowed.
    #[error(
        "{0} can be reached from other machines: the sandbox is a development tool, so this must be allowed explicitly"
    )]
    Remote(SocketAddr),
    /// The seed is not one.
    #[error("the seed is not usable: {0}")]
    Seed(String),
    /// The webhook endpoint cannot be used.
    #[error("the webhook endpoint is not usable: {0}")]
    Webhook(&'static str),
}

impl SandboxBuilder {
    pub(crate) fn new() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            allow_remote: false,
            clock: Clock::system(),
            seed: Seed::default(),
            deterministic: false,
            rate_limit: RateLimit::Off,
            token_lifetime: Duration::from_secs(60),
            webhook: None,
        }
    }

    /// Listens on `address`; the default is a free port of 127.0.0.1.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Lets [`SandboxBuilder::listen`] take an address that other machines can reach.
    pub fn allow_remote(mut self) -> Self {
        self.allow_remote = true;
        self
    }

    /// Takes the time from `clock`; the default is the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts with the content of `seed`.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Counts IDs instead of drawing them, and signs with a built-in key that everybody knows.
    pub fn deterministic(mut self) -> Self {
        self.deterministic = true;
        self
    }

    /// Limits Backend API requests as Clerk does.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = limit;
        self
    }

    /// Sets how long session tokens live; the default is Clerk's 60 seconds.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Sends events of users, sessions, memberships and organizations to `url`, signed with `secret` (`whsec_` and base64).
    pub fn webhook(mut self, url: impl Into<String>, secret: impl Into<String>) -> Self {
        self.webhook = Some((url.into(), SecretString::from(secret.into())));
        self
    }

    /// Binds the address and starts serving, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`SandboxError`] where the address cannot be bound or is not loopback, or the seed or its
    /// key cannot be used.
    pub async fn start(self) -> Result<Sandbox, SandboxError> {
        if !self.allow_remote && !self.listen.ip().is_loopback() {
            return Err(SandboxError::Remote(self.listen));
        }
        let bind = |source| SandboxError::Bind {
            address: self.listen,
            source,
        };
        let listener = TcpListener::bind(self.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        tracing::info!(
            server.address = %address,
            "the sandbox listens; it is a development tool, never for production"
        );
        let publishable_key = publishable_key(address)?;
        let backend = Arc::new(self.into_backend(&publishable_key)?);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(
            CuttableListener::new(listener, Arc::clone(&backend)),
            api::router(Arc::clone(&backend)),
        )
        .with_graceful_shutdown(async move {
            // An error is the handle's end, which is the same signal.
            let _ = stopped.await;
        });
        let cut = Arc::clone(&backend);
        let serving = tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(error = %error, "the sandbox stopped serving");
            }
            cut.stopped.store(true, Ordering::SeqCst);
        });
        Ok(Sandbox::new(
            backend,
            address,
            publishable_key,
            (stop, serving),
        ))
    }

    fn into_backend(mut self, publishable_key: &PublishableKey) -> Result<Backend, SandboxError> {
        let mut ids = Ids::new(self.deterministic);
        let instance_id = ids.next("ins");
        let secret_key = format!("sk_test_{}", ids.text(42));
        let key = match self.seed.signing_key.take() {
            Some(seeded) => {
                SigningKey::from_pem(seeded.kid.unwrap_or(instance_id.clone()), &seeded.pem)?
            }
            None if self.deterministic => SigningKey::development(instance_id.clone())?,
            None => SigningKey::generate(instance_id.clone())?,
        };
        let store = Store::new(self.seed, ids, self.clock.now())?;
        let backend = Backend {
            issuer: format!("https://{}", publishable_key.frontend_api()),
            cookie_suffix: publishable_key.cookie_suffix(),
            secret_key,
            instance_id,
            webhooks: RwLock::default(),
            token_lifetime: self.token_lifetime,
            clock: self.clock,
            faults: Faults::default(),
            key: RwLock::new(Arc::new(key)),
            store: Mutex::new(store),
            limiter: Mutex::new(Limiter::new(self.rate_limit)),
            counts: Mutex::new(BTreeMap::new()),
            stopped: AtomicBool::new(false),
        };
        if let Some((url, secret)) = self.webhook {
            backend.send_webhooks_to(&url, secret.expose_secret())?;
        }
        Ok(backend)
    }
}

// A wildcard address is no host that a client could call.
fn publishable_key(address: SocketAddr) -> Result<PublishableKey, SandboxError> {
    let host = reachable(address);
    PublishableKey::for_development(&host.to_string()).map_err(|_| SandboxError::Host(host))
}

pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        return SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    }
    address
}
