//! `RefreshSession` and the withdrawn `VerifySession`: operations that read a token.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use http::Uri;
use serde_json::json;

use super::{
    Answer,
    body::{Body, Segments},
    error::ApiError,
    gate::ApiVersion,
    query::Query,
    sessions::show,
};
use crate::{
    sandbox::{
        backend::{Backend, MintRequest},
        store::is_live,
    },
    time::Timestamp,
};

const FIELDS: [&str; 6] = [
    "expired_token",
    "refresh_token",
    "request_origin",
    "request_headers",
    "format",
    "request_originating_ip",
];

/// The template class, which no session can be refreshed with.
const TEMPLATE_CATEGORY: &str = "cl_B7d4PD222AAA";

pub(crate) async fn refresh(
    State(backend): State<Arc<Backend>>,
    Extension(version): Extension<ApiVersion>,
    Segments(id): Segments<String>,
    uri: Uri,
    body: Body,
) -> Answer {
    body.only(&FIELDS)?;
    let expired_token = body.required_text("expired_token")?;
    let refresh_token = body.required_text("refresh_token")?;
    let origin = body.required_text("request_origin")?;
    let as_cookies = wants_cookies(&body)?;
    body.object("request_headers")?;
    body.text("request_originating_ip")?;
    check_expired_token(&backend, &id, &expired_token, &origin)?;
    check_session(&backend, &id, &refresh_token)?;
    let request = MintRequest {
        origin: Some(&origin),
        version: Some(version.token_version()),
        ..MintRequest::default()
    };
    let jwt = backend
        .mint(&id, &request)
        .map_err(|_| refused("session_refresh_user_not_found"))?;
    if !as_cookies {
        return Ok(Json(json!({"object": "token", "jwt": jwt})));
    }
    let mut names = vec!["__session".to_owned()];
    if Query::of(&uri).flag("suffixed_cookies")? {
        names.push(format!("__session_{}", backend.cookie_suffix));
    }
    let cookie = |name: &String| format!("{name}={jwt}; Path=/; Max-Age=315360000; SameSite=Lax");
    let cookies: Vec<String> = names.iter().map(cookie).collect();
    Ok(Json(json!({"object": "cookies", "cookies": cookies})))
}

pub(crate) async fn verify(
    State(backend): State<Arc<Backend>>,
    Extension(version): Extension<ApiVersion>,
    Segments(id): Segments<String>,
    body: Body,
) -> Answer {
    if !version.has_verify() {
        return Err(ApiError::not_found("Resource"));
    }
    body.only(&["token"])?;
    let session = backend.session(&id).filter(is_live);
    let session = session.ok_or_else(|| ApiError::not_found("Session"))?;
    if let Some(token) = body.text("token")? {
        let claims = backend.key().open(&token).map(|(_, claims)| claims);
        let genuine = claims.is_some_and(|claims| {
            let ends = claims["exp"].as_i64().map(Timestamp::from_secs);
            claims["sid"] == id.as_str() && ends.is_some_and(|ends| ends > backend.now())
        });
        if !genuine {
            let message = "The token is not a valid one of this session";
            return Err(ApiError::bad_request("invalid_session_token", message));
        }
    }
    Ok(Json(show(&session, version)))
}

fn wants_cookies(body: &Body) -> Result<bool, ApiError> {
    match body.text("format")?.as_deref() {
        None | Some("token") => Ok(false),
        Some("cookie") => Ok(true),
        Some(_) => Err(ApiError::parameter(
            "form_param_value_invalid",
            "format",
            "must be token or cookie",
        )),
    }
}

fn check_expired_token(
    backend: &Backend,
    id: &str,
    token: &str,
    origin: &str,
) -> Result<(), ApiError> {
    let opened = backend.key().open(token);
    let (header, claims) = opened.ok_or_else(|| refused("expired_session_token_invalid"))?;
    if header["cat"] == TEMPLATE_CATEGORY {
        return Err(refused("session_refresh_session_token_ineligible"));
    }
    let party = claims["azp"].as_str();
    let party = party.ok_or_else(|| refused("expired_session_token_missing_azp"))?;
    let session = claims["sid"].as_str();
    let session = session.ok_or_else(|| refused("expired_session_token_missing_sid"))?;
    if !claims["iat"].is_i64() {
        return Err(refused("session_refresh_expired_session_token_missing_iat"));
    }
    if session != id {
        return Err(refused("refresh_sid_mismatch"));
    }
    if !origin.starts_with("https://") && !origin.starts_with("http://") {
        return Err(refused("refresh_request_origin_invalid"));
    }
    if party != origin {
        return Err(refused("refresh_request_origin_azp_mismatch"));
    }
    Ok(())
}

fn check_session(backend: &Backend, id: &str, refresh_token: &str) -> Result<(), ApiError> {
    let owner = backend.store().refresh_tokens.get(refresh_token).cloned();
    if owner.as_deref() != Some(id) {
        return Err(refused("refresh_token_not_found"));
    }
    let session = backend.session(id);
    let session = session.ok_or_else(|| refused("session_refresh_session_not_found"))?;
    if !is_live(&session) {
        return Err(refused("session_refresh_inactive_session"));
    }
    Ok(())
}

fn refused(code: &'static str) -> ApiError {
    ApiError::unauthorized(code, "The session cannot be refreshed")
}
