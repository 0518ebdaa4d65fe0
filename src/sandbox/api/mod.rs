//! The HTTP interface: Clerk's Backend API below `/v1`, and of its Frontend API what others need.

mod body;
mod error;
mod gate;
mod query;
mod sessions;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    handler::Handler,
    middleware::from_fn_with_state,
    routing::{MethodFilter, MethodRouter, on},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::backend::Backend;
use error::ApiError;
use gate::{Api, Gate};

/// Registers operations, each behind its gate.
struct Operations {
    backend: Arc<Backend>,
}

/// Returns the whole interface.
pub(crate) fn router(backend: Arc<Backend>) -> Router {
    let operations = Operations {
        backend: Arc::clone(&backend),
    };
    operations
        .sessions()
        .merge(operations.keys())
        .fallback(async || ApiError::not_found("Resource"))
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This path does not take this method",
            )
        })
        .layer(DefaultBodyLimit::max(body::LIMIT))
        .with_state(backend)
}

impl Operations {
    fn sessions(&self) -> Router<Arc<Backend>> {
        Router::new()
            .route(
                "/v1/sessions",
                self.get("GetSessionList", sessions::list)
                    .merge(self.post("createSession", sessions::create)),
            )
            .route(
                "/v1/sessions/{session_id}",
                self.get("GetSession", sessions::get),
            )
            .route(
                "/v1/sessions/{session_id}/revoke",
                self.post("RevokeSession", sessions::revoke),
            )
            .route(
                "/v1/sessions/{session_id}/tokens",
                self.post("CreateSessionToken", sessions::create_token),
            )
            .route(
                "/v1/sessions/{session_id}/tokens/{template_name}",
                self.post(
                    "CreateSessionTokenFromTemplate",
                    sessions::create_token_from_template,
                ),
            )
    }

    fn keys(&self) -> Router<Arc<Backend>> {
        let frontend = self.gated(MethodFilter::GET, "GetFrontendJWKS", Api::Frontend, jwks);
        Router::new()
            .route("/v1/jwks", self.get("GetJWKS", jwks))
            .route("/.well-known/jwks.json", frontend)
    }

    fn get<H: Handler<T, Arc<Backend>>, T: 'static>(
        &self,
        operation: &'static str,
        handler: H,
    ) -> MethodRouter<Arc<Backend>> {
        self.gated(MethodFilter::GET, operation, Api::Backend, handler)
    }

    fn post<H: Handler<T, Arc<Backend>>, T: 'static>(
        &self,
        operation: &'static str,
        handler: H,
    ) -> MethodRouter<Arc<Backend>> {
        self.gated(MethodFilter::POST, operation, Api::Backend, handler)
    }

    fn gated<H: Handler<T, Arc<Backend>>, T: 'static>(
        &self,
        method: MethodFilter,
        operation: &'static str,
        api: Api,
        handler: H,
    ) -> MethodRouter<Arc<Backend>> {
        let gate = Gate {
            backend: Arc::clone(&self.backend),
            operation,
            api,
        };
        on(method, handler).route_layer(from_fn_with_state(gate, gate::pass))
    }
}

async fn jwks(State(backend): State<Arc<Backend>>) -> Json<Value> {
    Json(json!({"keys": [backend.key().jwk()]}))
}
