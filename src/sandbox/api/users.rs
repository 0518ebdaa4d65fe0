//! Users.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::Uri;
use serde_json::{Map, Value, json};

use super::{
    Answer,
    body::{Body, Segments},
    error::ApiError,
    query::Query,
};
use crate::sandbox::{backend::Backend, objects::User, seed::SeedUser, store::Store};

/// Filters that take several values, any of which may fit.
const FILTERS: [&str; 5] = [
    "user_id",
    "email_address",
    "phone_number",
    "external_id",
    "username",
];

pub(crate) async fn list(State(backend): State<Arc<Backend>>, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let page = query.page()?;
    let store = backend.store();
    let users = page.of(matching(&store, &query));
    Ok(Json(users.into_iter().map(User::json).collect()))
}

pub(crate) async fn count(State(backend): State<Arc<Backend>>, uri: Uri) -> Answer {
    let store = backend.store();
    let total = matching(&store, &Query::of(&uri)).len();
    Ok(Json(json!({"object": "total_count", "total_count": total})))
}

pub(crate) async fn get(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
) -> Answer {
    let store = backend.store();
    let user = store
        .users
        .get(&id)
        .ok_or_else(|| ApiError::not_found("User"))?;
    Ok(Json(user.json()))
}

pub(crate) async fn create(State(backend): State<Arc<Backend>>, body: Body) -> Answer {
    // An empty text is none.
    let text = |name| Ok::<_, ApiError>(body.text(name)?.filter(|text| !text.is_empty()));
    let user = SeedUser {
        external_id: text("external_id")?,
        username: text("username")?,
        first_name: text("first_name")?,
        last_name: text("last_name")?,
        email_address: body.texts("email_address")?,
        phone_number: body.texts("phone_number")?,
        public_metadata: body.object("public_metadata")?.unwrap_or_default(),
        private_metadata: body.object("private_metadata")?.unwrap_or_default(),
        unsafe_metadata: body.object("unsafe_metadata")?.unwrap_or_default(),
        ..SeedUser::default()
    };
    check_identifiers(&backend.store(), &user)?;
    let id = backend.create_user(user);
    get(State(backend), Segments(id)).await
}

pub(crate) async fn update_metadata(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
    body: Body,
) -> Answer {
    let public = body.object("public_metadata")?.unwrap_or_default();
    let private = body.object("private_metadata")?.unwrap_or_default();
    let unsafe_ = body.object("unsafe_metadata")?.unwrap_or_default();
    let user = backend.update_user(&id, |about| {
        merge(&mut about.public_metadata, public);
        merge(&mut about.private_metadata, private);
        merge(&mut about.unsafe_metadata, unsafe_);
    });
    user.map(Json).ok_or_else(|| ApiError::not_found("User"))
}

pub(crate) async fn delete(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
) -> Answer {
    let deleted = backend.delete_user(&id);
    deleted.map(Json).ok_or_else(|| ApiError::not_found("User"))
}

pub(crate) async fn ban(state: State<Arc<Backend>>, id: Segments<String>) -> Answer {
    changed(state, id, |backend, id| backend.ban_user(id, true))
}

pub(crate) async fn unban(state: State<Arc<Backend>>, id: Segments<String>) -> Answer {
    changed(state, id, |backend, id| backend.ban_user(id, false))
}

pub(crate) async fn lock(state: State<Arc<Backend>>, id: Segments<String>) -> Answer {
    changed(state, id, |backend, id| backend.lock_user(id, true))
}

pub(crate) async fn unlock(state: State<Arc<Backend>>, id: Segments<String>) -> Answer {
    changed(state, id, |backend, id| backend.lock_user(id, false))
}

fn changed(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
    change: impl FnOnce(&Backend, &str) -> Option<Value>,
) -> Answer {
    let user = change(&backend, &id);
    user.map(Json).ok_or_else(|| ApiError::not_found("User"))
}

pub(crate) async fn memberships(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
    uri: Uri,
) -> Answer {
    let page = Query::of(&uri).page()?;
    let store = backend.store();
    let user = store
        .users
        .get(&id)
        .ok_or_else(|| ApiError::not_found("User"))?;
    let memberships = store.memberships_of(&id);
    let total = memberships.len();
    let shown = page.of(memberships).into_iter().filter_map(|membership| {
        let organization = store.organizations.get(&membership.about.organization)?;
        Some(membership.json(organization, user))
    });
    let data: Vec<Value> = shown.collect();
    Ok(Json(json!({"data": data, "total_count": total})))
}

fn matching<'a>(store: &'a Store, query: &Query) -> Vec<&'a User> {
    let filters: Vec<(&str, Vec<String>)> = FILTERS
        .into_iter()
        .map(|name| (name, query.all(name)))
        .filter(|(_, wanted)| !wanted.is_empty())
        .collect();
    let organizations = query.all("organization_id");
    let text = query.text("query").map(|text| text.to_lowercase());
    let mut users = store.users.newest_first();
    users.retain(|user| {
        filters.iter().all(|(name, wanted)| {
            values(user, name)
                .iter()
                .any(|value| wanted.contains(value))
        }) && (organizations.is_empty()
            || organizations
                .iter()
                .any(|id| store.membership(&user.id, id).is_some()))
            && text.as_ref().is_none_or(|text| mentions(user, text))
    });
    users
}

fn values(user: &User, filter: &str) -> Vec<String> {
    let about = &user.about;
    match filter {
        "user_id" => vec![user.id.clone()],
        "email_address" => about.email_address.clone(),
        "phone_number" => about.phone_number.clone(),
        "external_id" => about.external_id.iter().cloned().collect(),
        "username" => about.username.iter().cloned().collect(),
        _ => Vec::new(),
    }
}

fn mentions(user: &User, text: &str) -> bool {
    let names = [&user.about.first_name, &user.about.last_name];
    let names = names.into_iter().flatten().cloned();
    let identifiers = FILTERS.iter().flat_map(|filter| values(user, filter));
    names
        .chain(identifiers)
        .any(|value| value.to_lowercase().contains(text))
}

fn check_identifiers(store: &Store, user: &SeedUser) -> Result<(), ApiError> {
    if user.email_address.iter().any(|address| !is_email(address)) {
        return Err(ApiError::parameter(
            "form_param_format_invalid",
            "email_address",
            "must be valid email addresses",
        ));
    }
    let taken = |filter: &str, wanted: &[String]| {
        let holds = |user: &User| {
            values(user, filter)
                .iter()
                .any(|value| wanted.contains(value))
        };
        store.users.find(holds).is_some()
    };
    for (name, wanted) in [
        ("email_address", user.email_address.as_slice()),
        ("phone_number", user.phone_number.as_slice()),
        ("username", user.username.as_slice()),
        ("external_id", user.external_id.as_slice()),
    ] {
        if taken(name, wanted) {
            return Err(ApiError::parameter(
                "form_identifier_exists",
                name,
                "is taken",
            ));
        }
    }
    Ok(())
}

// The same as the pattern in openapi.json.
fn is_email(text: &str) -> bool {
    let label = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let local = |c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c);
    text.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty()
            && name.chars().all(local)
            && domain.contains('.')
            && domain.split('.').all(label)
    })
}

// Clerk merges metadata deeply, and null removes a key.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (_, Value::Null) => {
                into.remove(&key);
            }
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
