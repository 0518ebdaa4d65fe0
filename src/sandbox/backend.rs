//! The instance behind both the HTTP interface and the in-process handle.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    SandboxError,
    faults::Faults,
    ids::random_text,
    objects::CustomKey,
    rate::Limiter,
    seed::SeedUser,
    signing::{SigningKey, signing_input},
    store::{Store, enter, is_live},
    tokens::{Facts, Mint, TokenVersion, session_header, template_header},
    webhooks::Webhooks,
};
use crate::{
    clerk::model::SessionObject,
    session::SessionStatus,
    time::{Clock, Timestamp},
};

/// One sandboxed instance.
pub(crate) struct Backend {
    pub(crate) issuer: String,
    pub(crate) secret_key: String,
    pub(crate) cookie_suffix: String,
    pub(crate) token_lifetime: Duration,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) key: RwLock<Arc<SigningKey>>,
    pub(crate) store: Mutex<Store>,
    pub(crate) limiter: Mutex<Limiter>,
    pub(crate) counts: Mutex<BTreeMap<&'static str, usize>>,
    pub(crate) stopped: AtomicBool,
    pub(crate) instance_id: String,
    pub(crate) webhooks: RwLock<Option<Webhooks>>,
}

/// What a Backend or Frontend API call wants minted.
#[derive(Default)]
pub(crate) struct MintRequest<'a> {
    pub(crate) template: Option<&'a str>,
    pub(crate) lifetime: Option<u64>,
    pub(crate) origin: Option<&'a str>,
    pub(crate) version: Option<TokenVersion>,
}

/// Why nothing was minted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MintError {
    /// No such session, or one that is over.
    Session,
    /// No such template.
    Template,
}

impl Backend {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(crate) fn key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the signing key: every token signed before verifies no more.
    pub(crate) fn rotate_key(&self) -> Result<(), SandboxError> {
        let kid = format!("ins_{}", random_text(27));
        let key = Arc::new(SigningKey::generate(kid)?);
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// Sends webhooks to `url` from now on.
    pub(crate) fn send_webhooks_to(&self, url: &str, secret: &str) -> Result<(), SandboxError> {
        let instance_id = self.instance_id.clone();
        let webhooks = Webhooks::new(url.to_owned(), secret, instance_id, self.clock.clone())?;
        *self
            .webhooks
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(webhooks);
        Ok(())
    }

    pub(crate) fn count(&self, operation: &'static str) {
        *lock(&self.counts).entry(operation).or_default() += 1;
    }

    pub(crate) fn counted(&self, operation: &str) -> usize {
        lock(&self.counts)
            .get(operation)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn admit(&self) -> Result<(), Duration> {
        lock(&self.limiter).admit(self.now())
    }

    /// Tells whether connections are to be dropped: an outage, or the end.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) || self.faults.is_cut_off()
    }

    pub(crate) fn session(&self, id: &str) -> Option<SessionObject> {
        self.store().session(id, self.now()).cloned()
    }

    pub(crate) fn create_user(&self, user: SeedUser) -> String {
        let now = self.now();
        let mut store = self.store();
        let id = store.add_user(user, now);
        if let Some(user) = store.users.get(&id) {
            self.announce("user.created", &user.json());
        }
        id
    }

    /// Changes a user and returns how the Backend API shows them then.
    pub(crate) fn update_user(
        &self,
        id: &str,
        update: impl FnOnce(&mut SeedUser),
    ) -> Option<Value> {
        let now = self.now().as_millis();
        let mut store = self.store();
        let user = store.users.get_mut(id)?;
        update(&mut user.about);
        user.updated_at = now;
        let shown = user.json();
        self.announce("user.updated", &shown);
        Some(shown)
    }

    /// Removes a user, whose sessions end with them.
    pub(crate) fn delete_user(&self, id: &str) -> Option<Value> {
        let user = self.store().remove_user(id, self.now())?;
        let mut deleted = json!({"object": "user", "id": id, "deleted": true});
        if let Some(external_id) = user.about.external_id {
            deleted["external_id"] = external_id.into();
        }
        self.announce("user.deleted", &deleted);
        Some(deleted)
    }

    /// Begins a session, where the user exists.
    pub(crate) fn create_session(
        &self,
        user_id: &str,
        organization: Option<String>,
    ) -> Option<SessionObject> {
        let now = self.now();
        let mut store = self.store();
        store.users.get(user_id)?;
        let session = store.add_session(None, user_id, organization, now);
        self.announce_session(&store, &session);
        Some(session)
    }

    /// Puts a session into `status`, whatever it was before.
    pub(crate) fn set_status(&self, id: &str, status: SessionStatus) -> Option<SessionObject> {
        let now = self.now();
        let mut store = self.store();
        let session = store.session(id, now)?;
        enter(session, status, now);
        let session = session.clone();
        self.announce_session(&store, &session);
        Some(session)
    }

    /// Makes an organization the session's active one, which may be what a pending session waits for.
    pub(crate) fn activate(&self, id: &str, organization: Option<String>) -> Option<SessionObject> {
        let now = self.now();
        let mut store = self.store();
        let session = store.session(id, now)?;
        if organization.is_some() && session.status == SessionStatus::Pending {
            enter(session, SessionStatus::Active, now);
        }
        session.last_active_organization_id = organization;
        session.updated_at = now.as_millis();
        Some(session.clone())
    }

    /// Ends a live session in `status`; one that is over stays as it is.
    pub(crate) fn end(&self, id: &str, status: SessionStatus) -> Option<SessionObject> {
        let session = self.session(id)?;
        if is_live(&session) {
            return self.set_status(id, status);
        }
        Some(session)
    }

    /// Mints a token for a live session.
    pub(crate) fn mint(&self, id: &str, request: &MintRequest<'_>) -> Result<String, MintError> {
        let session = self.session(id).ok_or(MintError::Session)?;
        if !is_live(&session) {
            return Err(MintError::Session);
        }
        match request.template {
            Some(name) => self.mint_from_template(id, name, request),
            None => {
                let (header, claims) = self.session_token(id, request).ok_or(MintError::Session)?;
                Ok(self.key().sign(&header, &claims))
            }
        }
    }

    /// Returns a session token's header and claims, of whatever status the session is.
    pub(crate) fn session_token(
        &self,
        id: &str,
        request: &MintRequest<'_>,
    ) -> Option<(Value, Value)> {
        let lifetime = request.lifetime.unwrap_or(self.token_lifetime.as_secs());
        let mint = self.order(request, lifetime);
        let mut store = self.store();
        let jti = store.ids.text(20);
        let facts = Facts::of(&store, id)?;
        let version = request.version.unwrap_or(TokenVersion::V2);
        let claims = facts.session_claims(&mint, version, jti);
        Some((session_header(self.key().kid()), claims))
    }

    /// Issues a refresh token, the value of a `__refresh_…` cookie.
    pub(crate) fn issue_refresh_token(&self, session_id: &str) -> String {
        let mut store = self.store();
        let token = store.ids.text(40);
        store
            .refresh_tokens
            .insert(token.clone(), session_id.to_owned());
        token
    }

    pub(super) fn announce(&self, kind: &'static str, data: &Value) {
        let webhooks = self.webhooks.read();
        if let Some(webhooks) = webhooks.unwrap_or_else(PoisonError::into_inner).as_ref() {
            webhooks.send(kind, data);
        }
    }

    // Clerk has no event for a session that expires, is abandoned or is replaced.
    fn announce_session(&self, store: &Store, session: &SessionObject) {
        let kind = match session.status {
            SessionStatus::Active => "session.created",
            SessionStatus::Pending => "session.pending",
            SessionStatus::Ended => "session.ended",
            SessionStatus::Removed => "session.removed",
            SessionStatus::Revoked => "session.revoked",
            _ => return,
        };
        let mut data = serde_json::to_value(session).unwrap_or_default();
        let user = store.users.get(&session.user_id);
        if let (true, Some(user)) = (is_live(session), user) {
            data["user"] = user.json();
        }
        self.announce(kind, &data);
    }

    fn mint_from_template(
        &self,
        id: &str,
        name: &str,
        request: &MintRequest<'_>,
    ) -> Result<String, MintError> {
        let mut store = self.store();
        let jti = store.ids.text(20);
        let template = store.template(name).ok_or(MintError::Template)?;
        let facts = Facts::of(&store, id).ok_or(MintError::Session)?;
        let mint = self.order(request, request.lifetime.unwrap_or(template.lifetime()));
        let claims = facts.template_claims(&mint, &template.about.claims, template.skew(), jti);
        let custom_key = template.custom_key.clone();
        // Signing takes long, and nobody needs to wait for it.
        drop(store);
        if let Some(key) = custom_key {
            return Ok(sign_with(&key, &claims));
        }
        let key = self.key();
        Ok(key.sign(&template_header(Some(key.kid()), "RS256"), &claims))
    }

    fn order<'a>(&'a self, request: &MintRequest<'a>, lifetime: u64) -> Mint<'a> {
        Mint {
            issuer: &self.issuer,
            origin: request.origin,
            lifetime,
            now: self.now(),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test's panic while it held the lock must not hide behind a second one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sign_with(key: &CustomKey, claims: &Value) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    let input = signing_input(&template_header(None, &key.name), claims);
    let mac_key = aws_lc_rs::hmac::Key::new(key.algorithm, key.secret.as_bytes());
    let mac = aws_lc_rs::hmac::sign(&mac_key, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac))
}
