//! Envoy's `ext_authz` over HTTP: the question is the request itself, under a path prefix.

use http::{Uri, request::Parts};

use super::told::{self, Original};
use crate::request::{Peer, RequestError};

/// What the guide tells Envoy to put before each path.
const PREFIX: &str = "/envoy";

/// Returns what Envoy was asked for, from what it asks for here.
pub(super) fn target(asked: &str) -> Option<&str> {
    let rest = asked.strip_prefix(PREFIX)?;
    rest.starts_with('/').then_some(rest)
}

/// Takes the prefix off; method and host stand, scheme and client are in Envoy's own headers.
///
/// # Errors
///
/// A [`RequestError`] where it is not clear which request is asked about.
pub(super) fn original(peer: &Peer, mut asking: Parts) -> Result<Original, RequestError> {
    let asked = asking.uri.path_and_query().ok_or(RequestError::Target)?;
    let target = target(asked.as_str()).ok_or(RequestError::Target)?;
    // In HTTP/2 the host may be the authority; it must not be lost with the rest of the URI.
    let authority = asking.uri.authority().cloned();
    let mut uri = Uri::from(told::target(target.as_bytes())?).into_parts();
    if let Some(authority) = authority {
        uri.scheme = asking.uri.scheme().cloned();
        uri.authority = Some(authority);
    }
    asking.uri = Uri::from_parts(uri).map_err(|_| RequestError::Target)?;
    told::behind(peer, asking)
}
