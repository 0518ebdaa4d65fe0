//! The request that a caller tells of in headers.

use std::net::IpAddr;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Uri, Version,
    header::{CONTENT_LENGTH, FORWARDED, HOST, TRANSFER_ENCODING},
    request::Parts,
    uri::PathAndQuery,
};

use crate::request::{HeadFault, OriginalError, Peer, RequestError, Scheme};

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The request that is asked about, as if its client's side had sent it here.
#[derive(Debug)]
pub(crate) struct Original {
    /// The caller, speaking the scheme that the client speaks to it.
    pub(crate) peer: Peer,
    pub(crate) parts: Parts,
}

/// The headers that tell of the method and of the target.
pub(super) struct Names {
    method: &'static str,
    target: &'static str,
}

/// What nginx's and HAProxy's files set.
pub(super) const ORIGINAL: Names = Names {
    method: "x-original-method",
    target: "x-original-uri",
};

/// What Traefik and Caddy set by themselves.
pub(super) const FORWARD_AUTH: Names = Names {
    method: "x-forwarded-method",
    target: "x-forwarded-uri",
};

/// Builds the request from the names' headers, and `X-Forwarded-Host`, `-Proto` and `-For`.
///
/// # Errors
///
/// A [`RequestError`] where one of them is missing, repeated or unreadable.
pub(super) fn original(
    names: &Names,
    peer: &Peer,
    mut asking: Parts,
) -> Result<Original, RequestError> {
    let headers = &asking.headers;
    let method = only(headers, names.method)?;
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| RequestError::Original(OriginalError::Malformed(names.method)))?;
    let target = target(only(headers, names.target)?.as_bytes())?;
    let host = only(headers, X_FORWARDED_HOST)?.clone();
    asking.method = method;
    asking.uri = Uri::from(target);
    asking.headers.insert(HOST, host);
    behind(peer, asking)
}

/// Takes the client's side from `X-Forwarded-Proto` and `-For`; method, target and host are right already.
///
/// # Errors
///
/// A [`RequestError`] where one of the two is missing, repeated or unreadable.
pub(super) fn behind(peer: &Peer, mut asking: Parts) -> Result<Original, RequestError> {
    let scheme = scheme(only(&asking.headers, X_FORWARDED_PROTO)?).ok_or(
        RequestError::Original(OriginalError::Malformed(X_FORWARDED_PROTO)),
    )?;
    check_client(&asking.headers)?;
    asking.version = Version::HTTP_11;
    // They frame the question. And `Forwarded` is the client's own: no caller writes it.
    for name in [CONTENT_LENGTH, FORWARDED, TRANSFER_ENCODING] {
        asking.headers.remove(name);
    }
    Ok(Original {
        peer: peer.speaking(scheme),
        parts: asking,
    })
}

/// Reads a target in origin-form.
///
/// # Errors
///
/// A [`RequestError`] for every other form, and for a `#`, which readers cut at different places.
pub(super) fn target(bytes: &[u8]) -> Result<PathAndQuery, RequestError> {
    if bytes.contains(&b'#') {
        return Err(RequestError::Head(HeadFault::Fragment));
    }
    if !bytes.starts_with(b"/") {
        return Err(RequestError::Target);
    }
    PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(bytes)).map_err(|_| RequestError::Target)
}

/// A caller that tells no client would make itself the client, with all that its address may do.
fn check_client(headers: &HeaderMap) -> Result<(), RequestError> {
    let malformed = OriginalError::Malformed(X_FORWARDED_FOR);
    let last = headers.get_all(X_FORWARDED_FOR).iter().next_back();
    let last = last.ok_or(RequestError::Original(OriginalError::Absent(
        X_FORWARDED_FOR,
    )))?;
    let nearest = last.to_str().ok().and_then(|line| line.rsplit(',').next());
    let address = nearest.and_then(|entry| entry.trim().parse::<IpAddr>().ok());
    address.map(drop).ok_or(RequestError::Original(malformed))
}

/// Callers name WebSocket's schemes where a client asks for one.
fn scheme(value: &HeaderValue) -> Option<Scheme> {
    match value.as_bytes() {
        b"http" | b"ws" => Some(Scheme::Http),
        b"https" | b"wss" => Some(Scheme::Https),
        _ => None,
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a HeaderValue, RequestError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(RequestError::Original(OriginalError::Absent(name))),
        (Some(_), Some(_)) => Err(RequestError::Original(OriginalError::Repeated(name))),
    }
}
