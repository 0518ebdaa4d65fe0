//! What the sandbox holds, and the rules that keep it whole.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    SandboxError,
    ids::Ids,
    objects::{Membership, Organization, Template, User},
    seed::{SeedMembership, SeedOrganization, SeedTemplate, SeedUser},
    table::Table,
};
use crate::{
    clerk::model::{SessionActivity, SessionObject, SessionTask},
    session::SessionStatus,
    time::Timestamp,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Clerk's default maximum lifetime of a session.
const EXPIRES_AFTER_MS: i64 = 7 * DAY_MS;
const ABANDONED_AFTER_MS: i64 = 30 * DAY_MS;

/// Users, organizations, sessions and templates of one instance.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) ids: Ids,
    pub(crate) users: Table<User>,
    pub(crate) organizations: Table<Organization>,
    pub(crate) memberships: Table<Membership>,
    pub(crate) sessions: Table<SessionObject>,
    pub(crate) templates: Table<Template>,
    pub(crate) session_claims: Map<String, Value>,
    /// Session IDs by refresh token.
    pub(crate) refresh_tokens: HashMap<String, String>,
}

impl Store {
    pub(crate) fn add_user(&mut self, about: SeedUser, now: Timestamp) -> String {
        let id = about.id.clone().unwrap_or_else(|| self.ids.next("user"));
        let user = User {
            id: id.clone(),
            about,
            banned: false,
            locked: false,
            created_at: now.as_millis(),
            updated_at: now.as_millis(),
        };
        self.users.insert(&id, user);
        id
    }

    pub(crate) fn add_organization(
        &mut self,
        about: SeedOrganization,
        created_by: Option<String>,
        now: Timestamp,
    ) -> String {
        let id = about.id.clone().unwrap_or_else(|| self.ids.next("org"));
        let slug = about.slug.clone().unwrap_or_else(|| slug_of(&about.name));
        let organization = Organization {
            id: id.clone(),
            slug,
            about,
            created_by,
            created_at: now.as_millis(),
        };
        self.organizations.insert(&id, organization);
        id
    }

    pub(crate) fn add_membership(
        &mut self,
        mut about: SeedMembership,
        now: Timestamp,
    ) -> Result<String, SandboxError> {
        let unknown =
            |what: &str| SandboxError::Seed(format!("a membership names the unknown {what:?}"));
        about.organization = self
            .organization(&about.organization)
            .map(|organization| organization.id.clone())
            .ok_or_else(|| unknown(&about.organization))?;
        self.users
            .get(&about.user)
            .ok_or_else(|| unknown(&about.user))?;
        let id = self.ids.next("orgmem");
        let membership = Membership {
            id: id.clone(),
            about,
            created_at: now.as_millis(),
        };
        self.memberships.insert(&id, membership);
        Ok(id)
    }

    pub(crate) fn add_template(&mut self, about: SeedTemplate, now: Timestamp) -> String {
        let id = self.ids.next("jtmp");
        let template = Template {
            id: id.clone(),
            about,
            custom_key: None,
            created_at: now.as_millis(),
            updated_at: now.as_millis(),
        };
        let same_name = self
            .template(&template.about.name)
            .map(|old| old.id.clone());
        if let Some(old) = same_name {
            self.templates.remove(&old);
        }
        self.templates.insert(&id, template);
        id
    }

    /// Adds an active session of `user_id`, on a client of its own.
    pub(crate) fn add_session(
        &mut self,
        id: Option<String>,
        user_id: &str,
        organization: Option<String>,
        now: Timestamp,
    ) -> SessionObject {
        let now = now.as_millis();
        let session = SessionObject {
            object: "session".to_owned(),
            id: id.unwrap_or_else(|| self.ids.next("sess")),
            user_id: user_id.to_owned(),
            client_id: self.ids.next("client"),
            actor: None,
            status: SessionStatus::Active,
            last_active_organization_id: organization,
            last_active_at: now,
            latest_activity: Some(SessionActivity {
                object: "session_activity".to_owned(),
                id: self.ids.next("sess_activity"),
                ..SessionActivity::default()
            }),
            expire_at: now.saturating_add(EXPIRES_AFTER_MS),
            abandon_at: now.saturating_add(ABANDONED_AFTER_MS),
            updated_at: now,
            created_at: now,
            tasks: None,
            other: std::collections::BTreeMap::new(),
        };
        self.sessions.insert(&session.id, session.clone());
        session
    }

    /// Removes a user with their memberships; their sessions end as removed.
    pub(crate) fn remove_user(&mut self, id: &str, now: Timestamp) -> Option<User> {
        let user = self.users.remove(id)?;
        let memberships: Vec<String> = self
            .memberships_of(id)
            .iter()
            .map(|membership| membership.id.clone())
            .collect();
        for membership in memberships {
            self.memberships.remove(&membership);
        }
        for session in self.sessions.values_mut() {
            if session.user_id == id && is_live(session) {
                enter(session, SessionStatus::Removed, now);
            }
        }
        Some(user)
    }

    /// Removes all memberships of an organization.
    pub(crate) fn remove_members_of(&mut self, organization_id: &str) {
        let memberships = self.memberships.newest_first().into_iter();
        let of_it = memberships.filter(|one| one.about.organization == organization_id);
        let ids: Vec<String> = of_it.map(|one| one.id.clone()).collect();
        for id in ids {
            self.memberships.remove(&id);
        }
    }

    /// Returns a role's permissions: those that another member with it has.
    pub(crate) fn permissions_of_role(&self, role: &str) -> Vec<String> {
        self.memberships
            .find(|membership| membership.role() == role)
            .map(|membership| membership.about.permissions.clone())
            .unwrap_or_default()
    }

    /// Returns a session in the state that `now` puts it into.
    pub(crate) fn session(&mut self, id: &str, now: Timestamp) -> Option<&mut SessionObject> {
        let session = self.sessions.get_mut(id)?;
        settle(session, now);
        Some(session)
    }

    /// Returns all sessions, newest first, in the state that `now` puts them into.
    pub(crate) fn sessions(&mut self, now: Timestamp) -> Vec<&SessionObject> {
        self.sessions
            .values_mut()
            .for_each(|session| settle(session, now));
        self.sessions.newest_first()
    }

    /// Finds an organization by its ID or slug.
    pub(crate) fn organization(&self, name: &str) -> Option<&Organization> {
        self.organizations.get(name).or_else(|| {
            self.organizations
                .find(|organization| organization.slug == name)
        })
    }

    pub(crate) fn template(&self, name: &str) -> Option<&Template> {
        self.templates.find(|template| template.about.name == name)
    }

    pub(crate) fn memberships_of(&self, user_id: &str) -> Vec<&Membership> {
        let mut memberships = self.memberships.newest_first();
        memberships.retain(|membership| membership.about.user == user_id);
        memberships
    }

    pub(crate) fn membership(&self, user_id: &str, organization_id: &str) -> Option<&Membership> {
        self.memberships.find(|membership| {
            membership.about.user == user_id && membership.about.organization == organization_id
        })
    }
}

/// Puts a session into `status`, with what belongs to it.
pub(crate) fn enter(session: &mut SessionObject, status: SessionStatus, now: Timestamp) {
    session.tasks = (status == SessionStatus::Pending).then(|| {
        vec![SessionTask {
            key: "choose-organization".to_owned(),
        }]
    });
    session.status = status;
    session.updated_at = now.as_millis();
}

/// Tells whether a session still lives: active, or pending.
pub(crate) fn is_live(session: &SessionObject) -> bool {
    matches!(
        session.status,
        SessionStatus::Active | SessionStatus::Pending
    )
}

fn settle(session: &mut SessionObject, now: Timestamp) {
    let (end, status) = if session.abandon_at < session.expire_at {
        (session.abandon_at, SessionStatus::Abandoned)
    } else {
        (session.expire_at, SessionStatus::Expired)
    };
    if is_live(session) && end <= now.as_millis() {
        enter(session, status, now);
    }
}

fn slug_of(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}
