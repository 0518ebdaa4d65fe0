//! The handle of a running sandbox.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    SandboxBuilder,
    backend::{Backend, MintRequest},
    builder::reachable,
    faults::Faults,
    tokens::TokenVersion,
};
use crate::instance::PublishableKey;

/// Seconds that the ready session token lives, so that pasted command lines work.
const READY_TOKEN_LIFETIME: u64 = 60 * 60;

/// A running sandbox; it stops when this is dropped.
///
/// Methods that take an ID panic where the sandbox does not hold it: that is a mistake in the test.
pub struct Sandbox {
    pub(super) backend: Arc<Backend>,
    address: SocketAddr,
    url: String,
    publishable_key: PublishableKey,
    user_id: String,
    session_id: String,
    session_token: String,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Begins a sandbox.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::new()
    }

    pub(crate) fn new(
        backend: Arc<Backend>,
        address: SocketAddr,
        publishable_key: PublishableKey,
        running: (oneshot::Sender<()>, JoinHandle<()>),
    ) -> Self {
        let ready = backend.store().sessions.oldest().cloned();
        let (session_id, user_id) = ready
            .map(|session| (session.id, session.user_id))
            .unwrap_or_default();
        let request = MintRequest {
            lifetime: Some(READY_TOKEN_LIFETIME),
            ..MintRequest::default()
        };
        let token = backend.session_token(&session_id, &request);
        let session_token = token.map(|(header, claims)| backend.key().sign(&header, &claims));
        Self {
            address,
            url: format!("http://{}", reachable(address)),
            publishable_key,
            user_id,
            session_id,
            session_token: session_token.unwrap_or_default(),
            stop: Some(running.0),
            serving: Some(running.1),
            backend,
        }
    }

    /// Returns the URL of its APIs, as in `http://127.0.0.1:4010`; the Backend API is below `/v1`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the secret key, `sk_test_…`.
    pub fn secret_key(&self) -> &str {
        &self.backend.secret_key
    }

    /// Returns the publishable key; its Frontend API is this sandbox.
    pub fn publishable_key(&self) -> &str {
        self.publishable_key.as_str()
    }

    /// Returns the issuer of its tokens, as the publishable key implies it.
    pub fn issuer(&self) -> &str {
        &self.backend.issuer
    }

    /// Returns the public key that verifies its tokens: SPKI PEM.
    pub fn jwt_key(&self) -> String {
        self.backend.key().public_pem()
    }

    /// Returns the ready user's ID.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Returns the ID of the ready user's active session.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// Returns a token of the ready session that lives an hour.
    pub fn session_token(&self) -> &str {
        &self.session_token
    }

    /// Mints a session token (v2), of whatever status the session is.
    ///
    /// # Panics
    ///
    /// Where there is no such session.
    #[track_caller]
    pub fn mint(&self, session_id: &str) -> String {
        self.mint_with(session_id, |_, _| ())
    }

    /// Mints a session token (v1), of whatever status the session is.
    ///
    /// # Panics
    ///
    /// Where there is no such session.
    #[track_caller]
    pub fn mint_v1(&self, session_id: &str) -> String {
        let request = MintRequest {
            version: Some(TokenVersion::V1),
            ..MintRequest::default()
        };
        self.sign_session_token(session_id, &request, |_, _| ())
    }

    /// Mints a session token as for a Frontend API call from `origin`, so that it has `azp`.
    ///
    /// # Panics
    ///
    /// Where there is no such session.
    #[track_caller]
    pub fn mint_for_origin(&self, session_id: &str, origin: &str) -> String {
        let request = MintRequest {
            origin: Some(origin),
            ..MintRequest::default()
        };
        self.sign_session_token(session_id, &request, |_, _| ())
    }

    /// Mints a session token whose header and claims `edit` may change; the instance's key signs it.
    ///
    /// # Panics
    ///
    /// Where there is no such session.
    #[track_caller]
    pub fn mint_with(&self, session_id: &str, edit: impl FnOnce(&mut Value, &mut Value)) -> String {
        self.sign_session_token(session_id, &MintRequest::default(), edit)
    }

    /// Mints a template token, as the Backend API does.
    ///
    /// # Panics
    ///
    /// Where there is no such template, or no such live session.
    #[track_caller]
    pub fn template_token(&self, session_id: &str, template: &str) -> String {
        let request = MintRequest {
            template: Some(template),
            ..MintRequest::default()
        };
        match self.backend.mint(session_id, &request) {
            Ok(token) => token,
            Err(error) => panic!("no token of {template:?} for {session_id:?}: {error:?}"),
        }
    }

    /// Returns the switches for trouble.
    pub fn faults(&self) -> &Faults {
        &self.backend.faults
    }

    /// Returns how many requests of an operation came in; names are Clerk's `operationId`s, as in
    /// `GetSession` or `GetJWKS` (this one from either API).
    pub fn requests(&self, operation: &str) -> usize {
        self.backend.counted(operation)
    }

    /// Returns the dotenv lines that point Clerk's SDKs and the gateway here, quoted for `sh`.
    pub fn env_lines(&self) -> String {
        let pem = self.jwt_key().replace('\n', "\\n");
        [
            ("CLERK_API_URL", self.url()),
            ("CLERK_SECRET_KEY", self.secret_key()),
            ("CLERK_PUBLISHABLE_KEY", self.publishable_key()),
            ("CLERK_JWT_KEY", &pem),
            ("CLERK_USER_ID", self.user_id()),
            ("CLERK_SESSION_ID", self.session_id()),
            ("CLERK_SESSION_TOKEN", self.session_token()),
        ]
        .map(|(name, value)| format!("{name}='{value}'\n"))
        .concat()
    }

    /// Stops serving and waits until connections are closed, five seconds at most.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            // What still hangs then is cut off when the handle is dropped.
            let _ = tokio::time::timeout(Duration::from_secs(5), serving).await;
        }
    }

    #[track_caller]
    fn sign_session_token(
        &self,
        session_id: &str,
        request: &MintRequest<'_>,
        edit: impl FnOnce(&mut Value, &mut Value),
    ) -> String {
        let (mut header, mut claims) =
            known(session_id, self.backend.session_token(session_id, request));
        edit(&mut header, &mut claims);
        self.backend.key().sign(&header, &claims)
    }
}

#[track_caller]
pub(super) fn known<T>(session_id: &str, found: Option<T>) -> T {
    match found {
        Some(found) => found,
        None => panic!("the sandbox has no session {session_id:?}"),
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.backend.stopped.store(true, Ordering::SeqCst);
    }
}

impl fmt::Debug for Sandbox {
    // By hand, so that keys and tokens stay out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
