//! Changes of users and organizations after which tokens that are out say too much; each is announced.

use serde_json::{Value, json};

use super::{
    backend::Backend,
    objects::User,
    store::{Store, enter, is_live},
};
use crate::session::SessionStatus;

impl Backend {
    /// Bans a user, which revokes their sessions, or lifts the ban.
    pub(crate) fn ban_user(&self, id: &str, banned: bool) -> Option<Value> {
        let now = self.now();
        let shown = self.change_user(id, |user| user.banned = banned)?;
        let mut store = self.store();
        for session in store.sessions.values_mut() {
            if banned && session.user_id == id && is_live(session) {
                enter(session, SessionStatus::Revoked, now);
            }
        }
        self.announce("user.updated", &shown);
        Some(shown)
    }

    /// Locks a user out of signing in, or ends that; sessions go on.
    pub(crate) fn lock_user(&self, id: &str, locked: bool) -> Option<Value> {
        let shown = self.change_user(id, |user| user.locked = locked)?;
        self.announce("user.updated", &shown);
        Some(shown)
    }

    /// Gives a member another role, with the permissions that others have by it.
    pub(crate) fn update_membership(
        &self,
        organization: &str,
        user: &str,
        role: &str,
    ) -> Option<Value> {
        let mut store = self.store();
        let id = membership_id(&store, organization, user)?;
        let permissions = store.permissions_of_role(role);
        let membership = store.memberships.get_mut(&id)?;
        membership.about.role = Some(role.to_owned());
        membership.about.permissions = permissions;
        let shown = show(&store, &id)?;
        self.announce("organizationMembership.updated", &shown);
        Some(shown)
    }

    /// Ends a membership; the organization is active in no session of the user's any more.
    pub(crate) fn delete_membership(&self, organization: &str, user: &str) -> Option<Value> {
        let mut store = self.store();
        let id = membership_id(&store, organization, user)?;
        let shown = show(&store, &id)?;
        let membership = store.memberships.remove(&id)?;
        leave(&mut store, &membership.about.organization, Some(user));
        self.announce("organizationMembership.deleted", &shown);
        Some(shown)
    }

    /// Removes an organization with its memberships.
    pub(crate) fn delete_organization(&self, name: &str) -> Option<Value> {
        let mut store = self.store();
        let id = store.organization(name)?.id.clone();
        store.organizations.remove(&id);
        store.remove_members_of(&id);
        leave(&mut store, &id, None);
        let deleted = json!({"object": "organization", "id": id, "deleted": true});
        self.announce("organization.deleted", &deleted);
        Some(deleted)
    }

    fn change_user(&self, id: &str, change: impl FnOnce(&mut User)) -> Option<Value> {
        let now = self.now().as_millis();
        let mut store = self.store();
        let user = store.users.get_mut(id)?;
        change(user);
        user.updated_at = now;
        Some(user.json())
    }
}

fn membership_id(store: &Store, organization: &str, user: &str) -> Option<String> {
    let organization = store.organization(organization)?;
    let membership = store.membership(user, &organization.id)?;
    Some(membership.id.clone())
}

fn show(store: &Store, id: &str) -> Option<Value> {
    let membership = store.memberships.get(id)?;
    let organization = store.organizations.get(&membership.about.organization)?;
    Some(membership.json(organization, store.users.get(&membership.about.user)?))
}

/// Makes the organization no session's active one: of a user, or of anybody.
fn leave(store: &mut Store, organization: &str, user: Option<&str>) {
    for session in store.sessions.values_mut() {
        let is_in = session.last_active_organization_id.as_deref() == Some(organization);
        if is_in && user.is_none_or(|user| session.user_id == user) {
            session.last_active_organization_id = None;
        }
    }
}
