//! JWT templates.

use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::{Json, extract::State};
use http::Uri;
use serde_json::{Map, Value, json};

use super::{
    Answer,
    body::{Body, Segments, missing},
    error::ApiError,
    query::Query,
};
use crate::sandbox::{
    backend::Backend,
    objects::{CustomKey, Template},
    seed::SeedTemplate,
};

/// Claims that Clerk sets, or never lets a template have.
const RESERVED_CLAIMS: [&str; 11] = [
    "azp", "exp", "fea", "iat", "iss", "jti", "nbf", "pla", "sid", "sub", "v",
];

pub(crate) async fn list(State(backend): State<Arc<Backend>>, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let page = query.page()?;
    let paginated = query.flag("paginated")?;
    let store = backend.store();
    let templates = store.templates.newest_first();
    let total = templates.len();
    let data: Vec<Value> = page.of(templates).into_iter().map(Template::json).collect();
    if paginated {
        return Ok(Json(json!({"data": data, "total_count": total})));
    }
    Ok(Json(data.into()))
}

pub(crate) async fn get(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
) -> Answer {
    let store = backend.store();
    let template = store.templates.get(&id).ok_or_else(unknown)?;
    Ok(Json(template.json()))
}

pub(crate) async fn create(State(backend): State<Arc<Backend>>, body: Body) -> Answer {
    let (about, custom_key) = read(&body)?;
    let now = backend.now();
    let mut store = backend.store();
    if store.template(&about.name).is_some() {
        return Err(name_taken());
    }
    let id = store.add_template(about, now);
    let template = store.templates.get_mut(&id).ok_or_else(unknown)?;
    template.custom_key = custom_key;
    Ok(Json(template.json()))
}

pub(crate) async fn update(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
    body: Body,
) -> Answer {
    let (about, custom_key) = read(&body)?;
    let now = backend.now().as_millis();
    let mut store = backend.store();
    store.templates.get(&id).ok_or_else(unknown)?;
    if store
        .template(&about.name)
        .is_some_and(|other| other.id != id)
    {
        return Err(name_taken());
    }
    let template = store.templates.get_mut(&id).ok_or_else(unknown)?;
    template.about = about;
    template.custom_key = custom_key;
    template.updated_at = now;
    Ok(Json(template.json()))
}

pub(crate) async fn delete(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
) -> Answer {
    backend.store().templates.remove(&id).ok_or_else(unknown)?;
    Ok(Json(
        json!({"object": "jwt_template", "id": id, "deleted": true}),
    ))
}

fn read(body: &Body) -> Result<(SeedTemplate, Option<CustomKey>), ApiError> {
    let about = SeedTemplate {
        name: body.required_text("name")?,
        claims: body.object("claims")?.ok_or_else(|| missing("claims"))?,
        lifetime: body.number("lifetime", 30, 315_360_000)?,
        allowed_clock_skew: body.number("allowed_clock_skew", 0, 300)?,
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !about.name.chars().all(good) {
        return Err(ApiError::parameter(
            "form_param_format_invalid",
            "name",
            "may only hold letters, digits, - and _",
        ));
    }
    check_claims(&about.claims)?;
    Ok((about, custom_key(body)?))
}

fn check_claims(claims: &Map<String, Value>) -> Result<(), ApiError> {
    match claims
        .keys()
        .find(|name| RESERVED_CLAIMS.contains(&name.as_str()))
    {
        None => Ok(()),
        Some(name) => Err(ApiError::bad_request(
            "jwt_template_reserved_claim",
            format!("The claim {name} is reserved"),
        )),
    }
}

// HMAC alone: a key that the JWKS does not show is for upstreams that share a secret.
fn custom_key(body: &Body) -> Result<Option<CustomKey>, ApiError> {
    let is_custom = body.flag("custom_signing_key")?;
    let name = body.text("signing_algorithm")?;
    let secret = body.text("signing_key")?;
    if !is_custom {
        return Ok(None);
    }
    let name = name.ok_or_else(|| missing("signing_algorithm"))?;
    let secret = secret.filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(|| missing("signing_key"))?;
    let algorithm = match name.as_str() {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => {
            return Err(ApiError::parameter(
                "form_param_value_invalid",
                "signing_algorithm",
                "must be HS256, HS384 or HS512 in the sandbox",
            ));
        }
    };
    Ok(Some(CustomKey {
        algorithm,
        name,
        secret,
    }))
}

fn unknown() -> ApiError {
    ApiError::not_found("JWT template")
}

fn name_taken() -> ApiError {
    ApiError::parameter("form_identifier_exists", "name", "is taken")
}
