//! The canonical request: built once, read by matching, deciding, logging and forwarding.

mod cookies;
mod forwarded;
mod forwarded_header;
mod framing;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod hasura_body;
mod host;
mod original;
mod path;
mod peer;
mod spelling;
mod trace;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version, header::HOST, request::Parts, uri::PathAndQuery};

pub(crate) use cookies::{check_cookies, join_cookies};
pub(crate) use forwarded::{ForwardedFor, is_forwarding_name};
use framing::check_framing_names;
pub(crate) use framing::{FramingError, HeadFault, check_framing};
pub(crate) use hasura_body::{HasuraBodyError, hasura_headers};
pub(crate) use host::Host;
pub(crate) use original::OriginalError;
pub(crate) use path::{PathError, canonical_path, decoded_bytes};
pub(crate) use peer::{Peer, Scheme, TrustedProxies};
pub(crate) use spelling::{same_name, same_prefix};
pub(crate) use trace::{retain_trace, trace_id};

/// A request's method, host and target in the one form that every stage reads and the upstream gets.
///
/// The headers stay where they are: they are no part of it.
#[derive(Clone, Debug)]
pub(crate) struct CanonicalRequest {
    method: Method,
    host: Option<Host>,
    target: PathAndQuery,
}

/// Why a request has no canonical form.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RequestError {
    /// `Transfer-Encoding` and `Content-Length` leave the body's end open.
    #[error("the body's framing is ambiguous")]
    Framing(#[source] FramingError),
    /// The body of a question of Hasura's is not one.
    #[error("hasura's question cannot be read")]
    Hasura(#[source] HasuraBodyError),
    /// The head's bytes can be read in more than one way.
    #[error("the head is ambiguous")]
    Head(#[source] HeadFault),
    /// `Host` is absent, repeated, malformed, or another than the target's authority.
    #[error("the host is missing or ambiguous")]
    Host,
    /// The method is not a token of capitals, so that another server may fold it.
    #[error("the method is not made of capital letters")]
    Method,
    /// More cookies than browsers keep for one site.
    #[error("the request holds too many cookies")]
    TooManyCookies,
    /// `CONNECT` would open a tunnel, and `TRACE` would show the client what the gateway adds.
    #[error("the method is not allowed")]
    MethodNotAllowed,
    /// A caller of the decision endpoints does not say clearly which request it asks about.
    #[error("the request that is asked about is unclear")]
    Original(#[source] OriginalError),
    /// The path could mean another thing to the upstream.
    #[error("the path is ambiguous")]
    Path(#[source] PathError),
    /// The query holds a control byte or a `#`.
    #[error("the query is malformed")]
    Query,
    /// The target is neither a path nor an absolute `http` or `https` URL.
    #[error("the request target has no accepted form")]
    Target,
    /// The target is longer than the limit.
    #[error("the request target is too long")]
    TargetTooLong,
}

impl RequestError {
    /// Returns the reason's slug.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Framing(_) | Self::Head(HeadFault::Framing) => "request-ambiguous-framing",
            Self::Head(HeadFault::Fragment) => "request-ambiguous-target",
            Self::Head(HeadFault::Line) => "request-ambiguous-head",
            Self::Head(HeadFault::TooManyFields) => "request-too-many-headers",
            Self::Hasura(error) => error.slug(),
            Self::Host => "request-ambiguous-host",
            Self::Method => "request-ambiguous-method",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Original(_) => "request-ambiguous-original",
            Self::Path(_) => "request-ambiguous-path",
            Self::Query => "request-ambiguous-query",
            Self::Target => "request-ambiguous-target",
            Self::TooManyCookies => "request-too-many-cookies",
            Self::TargetTooLong => "request-target-too-long",
        }
    }
}

impl CanonicalRequest {
    /// Reads the canonical form of a request from its head.
    ///
    /// Override headers (`X-HTTP-Method-Override`, `X-Original-URL` and their like) are never read.
    ///
    /// # Errors
    ///
    /// A [`RequestError`] where two readers could understand the request differently.
    pub(crate) fn parse(parts: &Parts) -> Result<Self, RequestError> {
        check_method(&parts.method)?;
        check_framing(parts.version, &parts.headers)
            .and_then(|()| check_framing_names(&parts.headers))
            .map_err(RequestError::Framing)?;
        check_cookies(&parts.headers)?;
        let target = target_of(&parts.uri, parts.version)?;
        let host = host_of(&parts.uri, &parts.headers, parts.version)?;
        Ok(Self {
            method: parts.method.clone(),
            host,
            target,
        })
    }

    /// Returns the method.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the host; `None` only for HTTP/1.0 without one.
    pub(crate) fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &str {
        self.target.path()
    }

    /// Returns the query, byte for byte as it was sent.
    pub(crate) fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// Makes this form the one that `parts` goes on with.
    pub(crate) fn apply(&self, parts: &mut Parts) {
        parts.uri = Uri::from(self.target.clone());
    }
}

fn check_method(method: &Method) -> Result<(), RequestError> {
    match *method {
        Method::GET | Method::POST | Method::HEAD | Method::OPTIONS => Ok(()),
        Method::CONNECT | Method::TRACE => Err(RequestError::MethodNotAllowed),
        _ => method
            .as_str()
            .bytes()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_'))
            .then_some(())
            .ok_or(RequestError::Method),
    }
}

fn host_of(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<Option<Host>, RequestError> {
    let mut lines = headers.get_all(HOST).iter();
    let line = lines
        .next()
        .map(|value| Host::parse(value).ok_or(RequestError::Host));
    if lines.next().is_some() {
        return Err(RequestError::Host);
    }
    let host = line.transpose()?;
    let Some(authority) = uri.authority() else {
        // RFC 9112 §3.2: only HTTP/1.0 may leave it out.
        let optional = version < Version::HTTP_11;
        return if host.is_some() || optional {
            Ok(host)
        } else {
            Err(RequestError::Host)
        };
    };
    let named = Host::parse_str(authority.as_str()).ok_or(RequestError::Host)?;
    match host {
        Some(host) if host == named => Ok(Some(host)),
        None if version != Version::HTTP_11 => Ok(Some(named)),
        _ => Err(RequestError::Host),
    }
}

fn target_of(uri: &Uri, version: Version) -> Result<PathAndQuery, RequestError> {
    let form_is_known = match (uri.scheme_str(), uri.authority()) {
        (None, None) => true,
        (Some("http" | "https"), Some(_)) => true,
        // `GET admin HTTP/1.1` arrives as an authority without a scheme.
        _ => false,
    };
    let target = uri
        .path_and_query()
        .filter(|_| form_is_known)
        .ok_or(RequestError::Target)?;
    // Only an absolute target may leave the path out; HTTP/2 has none (RFC 9113 §8.3.1).
    let may_be_empty = uri.authority().is_some() && version < Version::HTTP_2;
    if target.path() == "*" || !(may_be_empty || target.as_str().starts_with('/')) {
        return Err(RequestError::Target);
    }
    let query = target.query();
    if query.is_some_and(|query| query.bytes().any(is_refused_in_query)) {
        return Err(RequestError::Query);
    }
    match canonical_path(target.path()).map_err(RequestError::Path)? {
        // `http://host?query` has no path of its own, though it reads as `/`.
        Cow::Borrowed(_) if target.as_str().starts_with('/') => Ok(target.clone()),
        path => rebuilt(&path, query),
    }
}

fn is_refused_in_query(byte: u8) -> bool {
    byte.is_ascii_control() || matches!(byte, b' ' | b'#')
}

fn rebuilt(path: &str, query: Option<&str>) -> Result<PathAndQuery, RequestError> {
    let text = match query {
        Some(query) => [path, "?", query].concat(),
        None => path.to_owned(),
    };
    PathAndQuery::from_maybe_shared(Bytes::from(text)).map_err(|_| RequestError::Target)
}

#[cfg(test)]
mod tests;
