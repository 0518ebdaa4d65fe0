//! What a caller is told over HTTP.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{CACHE_CONTROL, LOCATION},
};

use super::{Dialect, X_CLERK_AUTH_REASON};
use crate::{
    pipeline::Refusal,
    problem::{Form, sign_in_redirect},
};

/// What Envoy's `ext_authz` over HTTP takes away from a request.
const X_ENVOY_AUTH_HEADERS_TO_REMOVE: HeaderName =
    HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Builds the answer that lets a request pass, with what its headers are to be.
pub(crate) fn allowed(
    dialect: Dialect,
    headers: HeaderMap,
    reason: &'static str,
) -> Response<Bytes> {
    let removed = dialect.removes_headers().then(|| empty_names(&headers));
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    if let Some(names) = removed.and_then(|names| HeaderValue::try_from(names).ok()) {
        headers.insert(X_ENVOY_AUTH_HEADERS_TO_REMOVE, names);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CLERK_AUTH_REASON, HeaderValue::from_static(reason));
    response
}

/// Lists the names without a value: without this their headers would arrive empty.
fn empty_names(headers: &HeaderMap) -> String {
    let empty = headers.iter().filter(|(_, value)| value.is_empty());
    let names: Vec<_> = empty.map(|(name, _)| name.as_str()).collect();
    names.join(",")
}

/// Builds the answer that refuses a request, in the form that the caller passes on.
///
/// It is never gRPC's, whose status is 200: that would let the request pass.
pub(crate) fn refused<U>(
    dialect: Dialect,
    refusal: &Refusal<U>,
    request_id: &str,
) -> Response<Bytes> {
    let rejection = &refusal.rejection;
    let problem = rejection.problem(Some(request_id));
    let mut response = match &refusal.sign_in {
        Some(location) if dialect.redirects() => sign_in_redirect(location.clone()),
        _ => problem.to_response_in(Form::Problem),
    };
    *response.status_mut() = dialect.status(response.status());
    let headers = response.headers_mut();
    if let Some(location) = &refusal.sign_in {
        headers.insert(LOCATION, location.clone());
    }
    let reason = HeaderValue::from_static(rejection.reason());
    headers.insert(X_CLERK_AUTH_REASON, reason);
    response
}
