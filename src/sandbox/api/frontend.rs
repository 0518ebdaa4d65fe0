//! The Frontend API as far as sessions need it: minting with an origin, signing out, switching organizations.

use std::sync::Arc;

use axum::{Json, extract::State};
use http::{HeaderMap, header};
use serde_json::json;

use super::{
    Answer,
    body::{Body, Segments},
    error::ApiError,
};
use crate::{
    clerk::model::SessionObject,
    sandbox::backend::{Backend, MintRequest},
    session::SessionStatus,
};

pub(crate) async fn create_token(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
) -> Answer {
    mint(&backend, &headers, &id, None)
}

pub(crate) async fn create_token_from_template(
    State(backend): State<Arc<Backend>>,
    Segments((id, template)): Segments<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    mint(&backend, &headers, &id, Some(&template))
}

pub(crate) async fn end(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
) -> Answer {
    own_session(&backend, &headers, &id)?;
    show(backend.end(&id, SessionStatus::Ended))
}

pub(crate) async fn remove(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
) -> Answer {
    own_session(&backend, &headers, &id)?;
    show(backend.end(&id, SessionStatus::Removed))
}

pub(crate) async fn touch(
    State(backend): State<Arc<Backend>>,
    Segments(id): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let session = own_session(&backend, &headers, &id)?;
    let organization = body
        .text("active_organization_id")?
        .filter(|id| !id.is_empty());
    if let Some(organization) = &organization
        && backend
            .store()
            .membership(&session.user_id, organization)
            .is_none()
    {
        return Err(ApiError::not_found("Organization"));
    }
    show(backend.activate(&id, organization))
}

fn mint(backend: &Backend, headers: &HeaderMap, id: &str, template: Option<&str>) -> Answer {
    own_session(backend, headers, id)?;
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok());
    let request = MintRequest {
        template,
        origin: origin.filter(|origin| !origin.is_empty() && *origin != "null"),
        ..MintRequest::default()
    };
    let jwt = backend.mint(id, &request)?;
    Ok(Json(json!({"jwt": jwt})))
}

fn own_session(
    backend: &Backend,
    headers: &HeaderMap,
    id: &str,
) -> Result<SessionObject, ApiError> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let token = cookies
        .flat_map(|line| line.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix("__client="));
    let client = token
        .and_then(|token| backend.key().open(token))
        .and_then(|(_, claims)| claims["id"].as_str().map(str::to_owned));
    let client = client.ok_or_else(|| {
        ApiError::unauthorized("authentication_invalid", "The client is not known")
    })?;
    let session = backend
        .session(id)
        .filter(|session| session.client_id == client);
    session.ok_or_else(|| ApiError::not_found("Session"))
}

fn show(session: Option<SessionObject>) -> Answer {
    let session = session.ok_or_else(|| ApiError::not_found("Session"))?;
    Ok(Json(json!({"response": session, "client": null})))
}
