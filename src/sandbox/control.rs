//! Changing what a running sandbox holds, from the test's own process.

use serde_json::json;

use super::{
    Sandbox, SandboxError,
    handle::known,
    seed::{SeedMembership, SeedOrganization, SeedTemplate, SeedUser},
};
use crate::{clerk::model::SessionObject, session::SessionStatus};

impl Sandbox {
    /// Adds a user and returns the ID.
    pub fn create_user(&self, user: SeedUser) -> String {
        self.backend.create_user(user)
    }

    /// Adds an organization and returns the ID.
    pub fn create_organization(&self, organization: SeedOrganization) -> String {
        let now = self.backend.now();
        self.backend
            .store()
            .add_organization(organization, None, now)
    }

    /// Adds a membership and returns the ID.
    ///
    /// # Panics
    ///
    /// Where there is no such user or organization.
    #[track_caller]
    pub fn create_membership(&self, membership: SeedMembership) -> String {
        let now = self.backend.now();
        let added = self.backend.store().add_membership(membership, now);
        match added {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        }
    }

    /// Adds a JWT template, in place of one with the same name.
    pub fn create_template(&self, template: SeedTemplate) {
        let now = self.backend.now();
        self.backend.store().add_template(template, now);
    }

    /// Adds an active session of a user, without an organization, and returns the ID.
    ///
    /// # Panics
    ///
    /// Where there is no such user.
    #[track_caller]
    pub fn create_session(&self, user_id: &str) -> String {
        match self.backend.create_session(user_id, None) {
            Some(session) => session.id,
            None => panic!("the sandbox has no user {user_id:?}"),
        }
    }

    /// Returns a session as the Backend API would show it now.
    pub fn session(&self, session_id: &str) -> Option<SessionObject> {
        self.backend.session(session_id)
    }

    /// Puts a session into a status, whatever it was before.
    ///
    /// # Panics
    ///
    /// Where there is no such session.
    #[track_caller]
    pub fn set_status(&self, session_id: &str, status: SessionStatus) {
        known(session_id, self.backend.set_status(session_id, status));
    }

    /// Revokes a session, as the Backend API does.
    ///
    /// # Panics
    ///
    /// Where there is no such session.
    #[track_caller]
    pub fn revoke(&self, session_id: &str) {
        known(
            session_id,
            self.backend.end(session_id, SessionStatus::Revoked),
        );
    }

    /// Changes a session's fields.
    ///
    /// # Panics
    ///
    /// Where there is no such session.
    #[track_caller]
    pub fn edit_session(&self, session_id: &str, edit: impl FnOnce(&mut SessionObject)) {
        let now = self.backend.now();
        known(
            session_id,
            self.backend.store().session(session_id, now).map(edit),
        );
    }

    /// Makes an organization the session's active one, or none.
    ///
    /// # Panics
    ///
    /// Where there is no such session.
    #[track_caller]
    pub fn set_active_organization(&self, session_id: &str, organization_id: Option<&str>) {
        let organization = organization_id.map(str::to_owned);
        known(session_id, self.backend.activate(session_id, organization));
    }

    /// Removes a user and ends their sessions, as the Backend API does.
    pub fn delete_user(&self, user_id: &str) {
        self.backend.delete_user(user_id);
    }

    /// Bans a user and revokes their sessions, as the Backend API does.
    pub fn ban_user(&self, user_id: &str) {
        self.backend.ban_user(user_id, true);
    }

    /// Lifts a user's ban.
    pub fn unban_user(&self, user_id: &str) {
        self.backend.ban_user(user_id, false);
    }

    /// Locks a user out of signing in; their sessions go on.
    pub fn lock_user(&self, user_id: &str) {
        self.backend.lock_user(user_id, true);
    }

    /// Gives a member of an organization another role.
    pub fn update_membership(&self, organization_id: &str, user_id: &str, role: &str) {
        self.backend
            .update_membership(organization_id, user_id, role);
    }

    /// Ends a user's membership in an organization.
    pub fn delete_membership(&self, organization_id: &str, user_id: &str) {
        self.backend.delete_membership(organization_id, user_id);
    }

    /// Removes an organization and its memberships.
    pub fn delete_organization(&self, organization_id: &str) {
        self.backend.delete_organization(organization_id);
    }

    /// Sends webhooks to `url` from now on, as [`SandboxBuilder::webhook`](super::SandboxBuilder::webhook) does
    /// from the start.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Webhook`] where it is no URL, or the secret is not `whsec_` and base64 of 24 to 64 bytes.
    pub fn send_webhooks_to(&self, url: &str, secret: &str) -> Result<(), SandboxError> {
        self.backend.send_webhooks_to(url, secret)
    }

    /// Issues a refresh token of a session: the value of a `__refresh_…` cookie.
    pub fn refresh_token(&self, session_id: &str) -> String {
        self.backend.issue_refresh_token(session_id)
    }

    /// Returns the value of the `__client` cookie, which the Frontend API asks for.
    ///
    /// # Panics
    ///
    /// Where there is no such session.
    #[track_caller]
    pub fn client_token(&self, session_id: &str) -> String {
        let session = known(session_id, self.backend.session(session_id));
        let key = self.backend.key();
        let header = json!({"alg": "RS256", "kid": key.kid(), "typ": "JWT"});
        key.sign(&header, &json!({"id": session.client_id}))
    }

    /// Replaces the signing key; tokens signed before verify no more.
    ///
    /// # Panics
    ///
    /// Where no key can be made, which no supported platform does.
    pub fn rotate_key(&self) {
        if let Err(error) = self.backend.rotate_key() {
            panic!("{error}");
        }
    }
}
