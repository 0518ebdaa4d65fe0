//! Clerk's errors: status, code, and a body with a trace ID.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::sandbox::ids::trace_id;

/// An answer of the Backend API that says no.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    parameter: Option<String>,
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            parameter: None,
            retry_after: None,
        }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// Says that there is no such `what`, as in `Session`.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "resource_not_found",
            format!("{what} not found"),
        )
    }

    /// Says what is wrong with a parameter: 422, `form_param_…`.
    pub(crate) fn parameter(code: &'static str, name: &str, message: &str) -> Self {
        Self {
            parameter: Some(name.to_owned()),
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                code,
                format!("{name} {message}"),
            )
        }
    }

    pub(crate) fn too_many_requests(wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "Too many requests, retry later",
            )
        }
    }

    /// Returns the error of a fault with this status.
    pub(crate) fn fault(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = match status.as_u16() {
            401 => "clerk_key_invalid",
            403 => "authorization_invalid",
            404 => "resource_not_found",
            410 => "operation_deprecated",
            429 => "too_many_requests",
            503 => "service_unavailable",
            504 => "gateway_timeout",
            _ => "internal_clerk_error",
        };
        Self::new(status, code, "The sandbox was told to fail")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({
            "message": self.message,
            "long_message": self.message,
            "code": self.code,
        });
        if let Some(name) = self.parameter {
            error["meta"] = json!({"param_name": name});
        }
        let trace_id = trace_id();
        let body: Value = json!({"errors": [error], "clerk_trace_id": trace_id});
        let mut response = (self.status, Json(body)).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let seconds = HeaderValue::from(seconds.max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
