//! What every operation passes first: the count, faults, version, key, rate limit.

use std::{io, sync::Arc, time::Duration};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Uri, header};

use super::{error::ApiError, query::Query};
use crate::sandbox::{backend::Backend, faults::Failure, tokens::TokenVersion};

/// How long the half of an answer that breaks off has to get out.
const FLUSH: Duration = Duration::from_millis(5);

/// Backend API versions, oldest first.
const VERSIONS: [&str; 6] = [
    "2021-02-05",
    "2024-10-01",
    "2025-03-12",
    "2025-04-10",
    "2025-11-10",
    "2026-05-12",
];

/// An operation at the gate.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) backend: Arc<Backend>,
    pub(crate) operation: &'static str,
    pub(crate) api: Api,
}

/// Which of Clerk's two APIs an operation belongs to.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Api {
    Backend,
    Frontend,
}

/// The Backend API version that a request asked for; a date, so that text order is time order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ApiVersion(&'static str);

impl ApiVersion {
    /// Tells whether sessions have `tasks`, since 2025-03-12.
    pub(crate) fn has_tasks(self) -> bool {
        self.0 >= "2025-03-12"
    }

    /// Tells whether `VerifySession` exists, until 2025-03-12.
    pub(crate) fn has_verify(self) -> bool {
        self.0 <= "2025-03-12"
    }

    /// Returns which session tokens it mints: v2 since 2025-04-10.
    pub(crate) fn token_version(self) -> TokenVersion {
        if self.0 < "2025-04-10" {
            return TokenVersion::V1;
        }
        TokenVersion::V2
    }
}

/// Lets a request through to its operation, or answers for it.
pub(crate) async fn pass(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Gate {
        backend,
        operation,
        api,
    } = gate;
    backend.count(operation);
    let fate = backend.faults.fate(operation);
    tokio::time::sleep(fate.latency).await;
    match fate.failure {
        Some(Failure::Status(status)) => return Err(ApiError::fault(status)),
        Some(Failure::RateLimited(wait)) => return Err(ApiError::too_many_requests(wait)),
        None => {}
    }
    if api == Api::Backend {
        let version = version_of(request.headers(), request.uri())?;
        authenticate(request.headers(), &backend.secret_key)?;
        // Clerk does not limit the JWKS.
        if operation != "GetJWKS" {
            backend.admit().map_err(ApiError::too_many_requests)?;
        }
        if operation == "VerifySession" && fate.verify_is_gone {
            return Err(ApiError::fault(410));
        }
        request.extensions_mut().insert(version);
    }
    let response = next.run(request).await;
    tracing::debug!(
        clerk.operation = operation,
        http.status = response.status().as_u16(),
        "the sandbox answered"
    );
    match fate.breaks_off {
        true => Ok(broken_off(response).await),
        false => Ok(response),
    }
}

/// Leaves the head as it is, and of the body the first half; then the connection ends.
async fn broken_off(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    // Bodies of the sandbox are whole in memory.
    let mut half = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers
        .insert(header::CONTENT_LENGTH, half.len().into());
    half.truncate(half.len() / 2);
    let end = async {
        // The half has to be on its way: hyper drops what it holds when a body fails.
        tokio::time::sleep(FLUSH).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    };
    let body = stream::iter([Ok(half)]).chain(stream::once(end));
    Response::from_parts(head, Body::from_stream(body))
}

fn version_of(headers: &HeaderMap, uri: &Uri) -> Result<ApiVersion, ApiError> {
    let wrong =
        || ApiError::bad_request("api_version_invalid", "The API version is not a known one");
    let header = headers.get("clerk-api-version");
    let query = Query::of(uri).text("__clerk_api_version");
    let wanted = match (header, query) {
        (Some(_), Some(_)) => return Err(wrong()),
        (Some(header), None) => header.to_str().map_err(|_| wrong())?.to_owned(),
        (None, Some(query)) => query,
        (None, None) => return VERSIONS.last().copied().map(ApiVersion).ok_or_else(wrong),
    };
    let known = VERSIONS.into_iter().find(|version| *version == wanted);
    known.map(ApiVersion).ok_or_else(wrong)
}

fn authenticate(headers: &HeaderMap, secret_key: &str) -> Result<(), ApiError> {
    let header = headers.get(header::AUTHORIZATION).ok_or_else(|| {
        ApiError::unauthorized("authentication_invalid", "The secret key is missing")
    })?;
    let key = header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim());
    let key = key.ok_or_else(|| {
        ApiError::unauthorized(
            "authorization_header_format_invalid",
            "The Authorization header must be a bearer secret key",
        )
    })?;
    verify_slices_are_equal(key.as_bytes(), secret_key.as_bytes()).map_err(|_| {
        ApiError::unauthorized("clerk_key_invalid", "The secret key is not this instance's")
    })
}
