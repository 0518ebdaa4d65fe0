//! Trailers: a request's filters saw its headers only, so what they judge cannot come after the body.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AGE, CACHE_CONTROL, DATE, EXPECT, EXPIRES, LOCATION, MAX_FORWARDS, PRAGMA, RANGE,
        RETRY_AFTER, SET_COOKIE, TRAILER, VARY, WARNING, WWW_AUTHENTICATE,
    },
};

use super::hop_by_hop::{is_hop_by_hop, is_protected, tokens};
use crate::request::same_prefix;

/// Tells whether a field may be a trailer: not one of framing, routing, authentication or control (RFC 9110 §6.5.1).
pub(super) fn is_allowed(name: &HeaderName) -> bool {
    let text = name.as_str();
    let is_control = matches!(
        *name,
        AGE | CACHE_CONTROL
            | DATE
            | EXPECT
            | EXPIRES
            | LOCATION
            | MAX_FORWARDS
            | PRAGMA
            | RANGE
            | RETRY_AFTER
            | SET_COOKIE
            | VARY
            | WARNING
            | WWW_AUTHENTICATE
    );
    // The names with `_` are those that a CGI-like upstream would take for the real ones.
    let is_judged = [
        "authorization",
        "content-",
        "cookie",
        "host",
        "proxy-",
        "set-cookie",
        "transfer-encoding",
    ]
    .iter()
    .any(|prefix| same_prefix(text, prefix));
    !(is_control || is_judged || is_hop_by_hop(name) || is_protected(name))
}

/// Removes the trailers that `is_kept` refuses.
pub(super) fn retain(trailers: &mut HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) {
    let refused: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| !is_kept(name))
        .cloned()
        .collect();
    for name in refused {
        trailers.remove(name);
    }
}

/// Removes the names that `is_kept` refuses from the `Trailer` header.
pub(super) fn retain_announced(headers: &mut HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) {
    if !headers.contains_key(TRAILER) {
        return;
    }
    let is_kept =
        |token: &&str| HeaderName::from_bytes(token.as_bytes()).is_ok_and(|name| is_kept(&name));
    let kept: Vec<&str> = tokens(headers, &TRAILER).filter(is_kept).collect();
    let line =
        (!kept.is_empty()).then(|| HeaderValue::from_maybe_shared(Bytes::from(kept.join(", "))));
    match line {
        Some(Ok(line)) => drop(headers.insert(TRAILER, line)),
        _ => drop(headers.remove(TRAILER)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_requests_are_judged_by_is_no_trailer() {
        for name in [
            "authorization",
            "cookie",
            "set-cookie",
            "host",
            "content-length",
            "content-type",
            "content_length",
            "transfer-encoding",
            "connection",
            "te",
            "trailer",
            "upgrade",
            "proxy-authorization",
            "x-clerk-user-id",
            "x_clerk_user_id",
            "x-hasura-role",
            "x-forwarded-for",
            "forwarded",
            "x-real-ip",
            "cache-control",
            "www-authenticate",
        ] {
            assert!(!is_allowed(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn grpc_status_and_checksums_are_trailers() {
        for name in [
            "grpc-status",
            "grpc-message",
            "grpc-status-details-bin",
            "x-amz-checksum-crc32",
            "server-timing",
            "digest",
        ] {
            assert!(is_allowed(&HeaderName::from_static(name)), "{name}");
        }
    }
}
