//! The Sessions API.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use http::Uri;
use serde_json::{Value, json};

use super::{
    Answer,
    body::{Body, Segments},
    error::ApiError,
    gate::ApiVersion,
    query::Query,
};
use crate::{
    clerk::model::SessionObject,
    sandbox::backend::{Backend, MintError, MintRequest},
    session::SessionStatus,
};

/// What `status` may filter by: `pending` is not among them.
const LISTED_STATUSES: [SessionStatus; 7] = [
    SessionStatus::Abandoned,
    SessionStatus::Active,
    SessionStatus::Ended,
    SessionStatus::Expired,
    SessionStatus::Removed,
    SessionStatus::Replaced,
    SessionStatus::Revoked,
];

pub(crate) async fn list(
    State(backend): State<Arc<Backend>>,
    Extension(version): Extension<ApiVersion>,
    uri: Uri,
) -> Answer {
    let query = Query::of(&uri);
    let page = query.page()?;
    let paginated = query.flag("paginated")?;
    let status = listed_status(&query)?;
    let (client, user) = (query.text("client_id"), query.text("user_id"));
    let mut store = backend.store();
    let mut sessions = store.sessions(backend.now());
    sessions.retain(|session| {
        client.as_ref().is_none_or(|id| *id == session.client_id)
            && user.as_ref().is_none_or(|id| *id == session.user_id)
            && status
                .as_ref()
                .is_none_or(|status| *status == session.status)
    });
    let total = sessions.len();
    let shown = page
        .of(sessions)
        .into_iter()
        .map(|session| show(session, version));
    let data: Vec<Value> = shown.collect();
    if paginated {
        return Ok(Json(json!({"data": data, "total_count": total})));
    }
    Ok(Json(data.into()))
}

pub(crate) async fn create(
    State(backend): State<Arc<Backend>>,
    Extension(version): Extension<ApiVersion>,
    body: Body,
) -> Answer {
    let user_id = body.required_text("user_id")?;
    let organization = body
        .text("active_organization_id")?
        .filter(|id| !id.is_empty());
    if let Some(id) = &organization
        && backend.store().membership(&user_id, id).is_none()
    {
        return Err(ApiError::not_found("Organization"));
    }
    let session = backend
        .create_session(&user_id, organization)
        .ok_or_else(|| ApiError::not_found("User"))?;
    Ok(Json(show(&session, version)))
}

pub(crate) async fn get(
    State(backend): State<Arc<Backend>>,
    Extension(version): Extension<ApiVersion>,
    Segments(id): Segments<String>,
) -> Answer {
    let session = backend
        .session(&id)
        .ok_or_else(|| ApiError::not_found("Session"))?;
    Ok(Json(show(&session, version)))
}

pub(crate) async fn revoke(
    State(backend): State<Arc<Backend>>,
    Extension(version): Extension<ApiVersion>,
    Segments(id): Segments<String>,
) -> Answer {
    let session = backend.end(&id, SessionStatus::Revoked);
    let session = session.ok_or_else(|| ApiError::not_found("Session"))?;
    Ok(Json(show(&session, version)))
}

pub(crate) async fn create_token(
    State(backend): State<Arc<Backend>>,
    Extension(version): Extension<ApiVersion>,
    Segments(id): Segments<String>,
    body: Body,
) -> Answer {
    let request = MintRequest {
        lifetime: lifetime(&body)?,
        version: Some(version.token_version()),
        ..MintRequest::default()
    };
    let jwt = backend.mint(&id, &request)?;
    Ok(Json(json!({"object": "token", "jwt": jwt})))
}

pub(crate) async fn create_token_from_template(
    State(backend): State<Arc<Backend>>,
    Segments((id, template)): Segments<(String, String)>,
    body: Body,
) -> Answer {
    let request = MintRequest {
        template: Some(&template),
        lifetime: lifetime(&body)?,
        ..MintRequest::default()
    };
    let jwt = backend.mint(&id, &request)?;
    Ok(Json(json!({"object": "token", "jwt": jwt})))
}

fn lifetime(body: &Body) -> Result<Option<u64>, ApiError> {
    body.number("expires_in_seconds", 30, 315_360_000)
}

fn listed_status(query: &Query) -> Result<Option<SessionStatus>, ApiError> {
    let Some(word) = query.raw("status") else {
        return Ok(None);
    };
    let status = LISTED_STATUSES
        .into_iter()
        .find(|status| status.as_str() == word);
    status.map(Some).ok_or_else(|| {
        ApiError::parameter(
            "form_param_value_invalid",
            "status",
            "is not a status to filter by",
        )
    })
}

/// Writes a session as `version` knows it.
pub(crate) fn show(session: &SessionObject, version: ApiVersion) -> Value {
    // A `SessionObject` has string keys only, which serialise always.
    let mut value = serde_json::to_value(session).unwrap_or_default();
    if let Some(fields) = value.as_object_mut()
        && !version.has_tasks()
    {
        fields.remove("tasks");
    }
    value
}

impl From<MintError> for ApiError {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Session => Self::not_found("Session"),
            MintError::Template => Self::not_found("JWT template"),
        }
    }
}
