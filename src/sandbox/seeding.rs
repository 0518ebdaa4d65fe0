//! Filling a store: from a seed, and with a ready user, organization and session.

use std::time::Duration;

use serde_json::Map;

use super::{
    SandboxError,
    ids::Ids,
    objects::built_in_templates,
    seed::{Seed, SeedMembership, SeedOrganization, SeedSession, SeedUser},
    store::{Store, enter},
};
use crate::time::Timestamp;

impl Store {
    /// Fills a store from `seed`, and with a ready user and session where it has none.
    pub(crate) fn new(seed: Seed, ids: Ids, now: Timestamp) -> Result<Self, SandboxError> {
        let mut store = Self {
            ids,
            session_claims: seed.session_claims,
            ..Self::default()
        };
        let ready = if seed.users.is_empty() {
            Some(ready_user())
        } else {
            None
        };
        for user in seed.users.into_iter().chain(ready.clone()) {
            store.add_user(user, now);
        }
        for organization in seed.organizations {
            store.add_organization(organization, None, now);
        }
        for membership in seed.memberships {
            store.add_membership(membership, now)?;
        }
        if ready.is_some() {
            store.add_ready_organization(now)?;
        }
        for template in built_in_templates().into_iter().chain(seed.templates) {
            store.add_template(template, now);
        }
        for session in seed.sessions {
            store.add_seeded_session(session, now)?;
        }
        if store.sessions.oldest().is_none() {
            store.add_ready_session(now)?;
        }
        Ok(store)
    }

    fn add_seeded_session(
        &mut self,
        seed: SeedSession,
        now: Timestamp,
    ) -> Result<(), SandboxError> {
        let unknown =
            |what: &str| SandboxError::Seed(format!("a session names the unknown {what:?}"));
        let user = match seed.user {
            Some(user) => self.users.get(&user).ok_or_else(|| unknown(&user)),
            None => self.users.oldest().ok_or_else(|| unknown("user")),
        };
        let user = user?.id.clone();
        let organization = match seed.organization {
            Some(name) => Some(
                self.organization(&name)
                    .ok_or_else(|| unknown(&name))?
                    .id
                    .clone(),
            ),
            None => None,
        };
        let id = self.add_session(seed.id, &user, organization, now).id;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.actor = seed.actor;
            if let Some(seconds) = seed.expires_in {
                session.expire_at = now.plus(Duration::from_secs(seconds)).as_millis();
            }
            if let Some(status) = seed.status {
                enter(session, status, now);
            }
        }
        Ok(())
    }

    fn add_ready_organization(&mut self, now: Timestamp) -> Result<(), SandboxError> {
        let user = self
            .users
            .oldest()
            .map(|user| user.id.clone())
            .unwrap_or_default();
        let organization = match self.organizations.oldest() {
            Some(organization) => organization.id.clone(),
            None => self.add_organization(ready_organization(), Some(user.clone()), now),
        };
        let membership = SeedMembership {
            user,
            organization,
            role: Some("org:admin".to_owned()),
            permissions: [
                "org:invoices:read",
                "org:invoices:manage",
                "org:reports:read",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..SeedMembership::default()
        };
        self.add_membership(membership, now).map(drop)
    }

    fn add_ready_session(&mut self, now: Timestamp) -> Result<(), SandboxError> {
        let user = self
            .users
            .oldest()
            .map(|user| user.id.clone())
            .unwrap_or_default();
        let organization = self
            .memberships_of(&user)
            .last()
            .map(|membership| membership.about.organization.clone());
        self.add_seeded_session(
            SeedSession {
                user: Some(user),
                organization,
                ..SeedSession::default()
            },
            now,
        )
    }
}

fn ready_user() -> SeedUser {
    SeedUser {
        username: Some("ada".to_owned()),
        first_name: Some("Ada".to_owned()),
        last_name: Some("Lovelace".to_owned()),
        email_address: vec!["ada@example.com".to_owned()],
        public_metadata: Map::from_iter([("role".to_owned(), "editor".into())]),
        plan: Some("pro".to_owned()),
        features: vec!["export".to_owned()],
        ..SeedUser::default()
    }
}

fn ready_organization() -> SeedOrganization {
    SeedOrganization {
        name: "Acme".to_owned(),
        plan: Some("team".to_owned()),
        features: vec!["invoices".to_owned(), "reports".to_owned()],
        ..SeedOrganization::default()
    }
}
