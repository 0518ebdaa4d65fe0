//! The admin port: is the process alive, is it ready, what has it counted.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use super::Drain;
use crate::{
    handle::{Clerk, NotReady},
    telemetry::exporter::Exporter,
};

/// What the admin port speaks of.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) clerk: Clerk,
    pub(crate) exporter: Exporter,
    pub(crate) drain: Drain,
}

impl Admin {
    /// Returns `/livez`, `/readyz` and `/metrics`.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if admin.drain.has_begun() {
        return not_ready("draining");
    }
    match admin.clerk.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(NotReady { reason }) => not_ready(reason),
    }
}

fn not_ready(reason: &'static str) -> Response {
    let body = json!({ "ready": false, "reason": reason });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let text = admin.exporter.render();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
