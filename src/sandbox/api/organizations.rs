//! Organizations and memberships, as far as tokens and the SDKs need them.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::Uri;
use serde_json::{Value, json};

use super::{
    Answer,
    body::{Body, Segments},
    error::ApiError,
    query::Query,
};
use crate::sandbox::{
    backend::Backend,
    objects::{Membership, Organization},
    seed::{SeedMembership, SeedOrganization},
    store::Store,
};

pub(crate) async fn list(State(backend): State<Arc<Backend>>, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let page = query.page()?;
    let wanted = query.text("query").unwrap_or_default().to_lowercase();
    let store = backend.store();
    let mut organizations = store.organizations.newest_first();
    organizations.retain(|organization| {
        let names = [
            &organization.id,
            &organization.about.name,
            &organization.slug,
        ];
        names
            .iter()
            .any(|name| name.to_lowercase().contains(&wanted))
    });
    let total = organizations.len();
    let data: Vec<Value> = page
        .of(organizations)
        .into_iter()
        .map(Organization::json)
        .collect();
    Ok(Json(json!({"data": data, "total_count": total})))
}

pub(crate) async fn create(State(backend): State<Arc<Backend>>, body: Body) -> Answer {
    let about = SeedOrganization {
        name: body.required_text("name")?,
        slug: body.text("slug")?.filter(|slug| !slug.is_empty()),
        public_metadata: body.object("public_metadata")?.unwrap_or_default(),
        private_metadata: body.object("private_metadata")?.unwrap_or_default(),
        ..SeedOrganization::default()
    };
    let created_by = body.text("created_by")?.filter(|id| !id.is_empty());
    let now = backend.now();
    let mut store = backend.store();
    if about
        .slug
        .as_ref()
        .is_some_and(|slug| store.organization(slug).is_some())
    {
        return Err(ApiError::parameter(
            "form_identifier_exists",
            "slug",
            "is taken",
        ));
    }
    if let Some(user) = &created_by
        && store.users.get(user).is_none()
    {
        return Err(ApiError::not_found("User"));
    }
    let id = store.add_organization(about, created_by.clone(), now);
    if let Some(user) = created_by {
        // The creator is the first admin.
        add_member(&mut store, &id, &user, "org:admin", now)?;
    }
    show(&store, &id)
}

pub(crate) async fn get(
    State(backend): State<Arc<Backend>>,
    Segments(name): Segments<String>,
) -> Answer {
    show(&backend.store(), &name)
}

pub(crate) async fn list_memberships(
    State(backend): State<Arc<Backend>>,
    Segments(name): Segments<String>,
    uri: Uri,
) -> Answer {
    let page = Query::of(&uri).page()?;
    let store = backend.store();
    let organization = find(&store, &name)?;
    let mut memberships = store.memberships.newest_first();
    memberships.retain(|membership| membership.about.organization == organization.id);
    let total = memberships.len();
    let shown = page.of(memberships).into_iter();
    let data: Vec<Value> = shown
        .filter_map(|membership| show_membership(&store, membership))
        .collect();
    Ok(Json(json!({"data": data, "total_count": total})))
}

pub(crate) async fn create_membership(
    State(backend): State<Arc<Backend>>,
    Segments(name): Segments<String>,
    body: Body,
) -> Answer {
    let user = body.required_text("user_id")?;
    let role = body.required_text("role")?;
    let now = backend.now();
    let mut store = backend.store();
    let organization = find(&store, &name)?.id.clone();
    if store.membership(&user, &organization).is_some() {
        return Err(ApiError::bad_request(
            "already_a_member_in_organization",
            "The user is already a member of the organization",
        ));
    }
    let id = add_member(&mut store, &organization, &user, &role, now)?;
    let membership = store.memberships.get(&id);
    let shown = membership.and_then(|membership| show_membership(&store, membership));
    shown.map(Json).ok_or_else(|| ApiError::not_found("User"))
}

pub(crate) async fn delete(
    State(backend): State<Arc<Backend>>,
    Segments(name): Segments<String>,
) -> Answer {
    let deleted = backend.delete_organization(&name);
    deleted
        .map(Json)
        .ok_or_else(|| ApiError::not_found("Organization"))
}

pub(crate) async fn update_membership(
    State(backend): State<Arc<Backend>>,
    Segments((name, user)): Segments<(String, String)>,
    body: Body,
) -> Answer {
    let role = body.required_text("role")?;
    let membership = backend.update_membership(&name, &user, &role);
    membership
        .map(Json)
        .ok_or_else(|| ApiError::not_found("Membership"))
}

pub(crate) async fn delete_membership(
    State(backend): State<Arc<Backend>>,
    Segments((name, user)): Segments<(String, String)>,
) -> Answer {
    let membership = backend.delete_membership(&name, &user);
    membership
        .map(Json)
        .ok_or_else(|| ApiError::not_found("Membership"))
}

fn add_member(
    store: &mut Store,
    organization: &str,
    user: &str,
    role: &str,
    now: crate::time::Timestamp,
) -> Result<String, ApiError> {
    let membership = SeedMembership {
        user: user.to_owned(),
        organization: organization.to_owned(),
        role: Some(role.to_owned()),
        permissions: store.permissions_of_role(role),
        ..SeedMembership::default()
    };
    store
        .add_membership(membership, now)
        .map_err(|_| ApiError::not_found("User"))
}

fn find<'a>(store: &'a Store, name: &str) -> Result<&'a Organization, ApiError> {
    store
        .organization(name)
        .ok_or_else(|| ApiError::not_found("Organization"))
}

fn show(store: &Store, name: &str) -> Answer {
    let organization = find(store, name)?;
    let members = store.memberships.newest_first();
    let mut shown = organization.json();
    let of_this = |membership: &&&Membership| membership.about.organization == organization.id;
    shown["members_count"] = members.iter().filter(of_this).count().into();
    Ok(Json(shown))
}

fn show_membership(store: &Store, membership: &Membership) -> Option<Value> {
    let organization = store.organizations.get(&membership.about.organization)?;
    Some(membership.json(organization, store.users.get(&membership.about.user)?))
}
