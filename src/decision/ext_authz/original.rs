//! The request that Envoy asks about.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    uri::PathAndQuery,
};

use super::messages::{self, AttributeContext, AttributePeer, CheckRequest, HttpRequest};
use crate::{
    decision::Original,
    request::{HeadFault, OriginalError, Peer, RequestError, Scheme},
};

/// More lines than any client's head has that a proxy accepts.
const MAX_HEADERS: usize = 1024;

/// Builds the request from its attributes.
///
/// # Errors
///
/// A [`RequestError`] where one of them is missing, or is told twice and differently.
pub(crate) fn original(question: CheckRequest) -> Result<Original, RequestError> {
    let AttributeContext { source, request } = question.attributes.ok_or(absent("attributes"))?;
    let http = request.and_then(|request| request.http);
    let http = http.ok_or(absent("request.http"))?;
    let peer = peer(source, &http.scheme)?;
    let target = target(&http)?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(&http.method).map_err(|_| RequestError::Method)?;
    parts.uri = Uri::from(target);
    parts.headers = headers(http)?;
    Ok(Original { peer, parts })
}

fn peer(source: Option<AttributePeer>, scheme: &[u8]) -> Result<Peer, RequestError> {
    let address = source.and_then(|source| source.address);
    let address = address.and_then(|address| address.socket_address);
    let address = address.ok_or(absent("source.address"))?.address;
    let address: IpAddr = address.parse().map_err(|_| malformed("source.address"))?;
    let scheme = match scheme {
        b"http" => Scheme::Http,
        b"https" => Scheme::Https,
        b"" => return Err(absent("scheme")),
        _ => return Err(malformed("scheme")),
    };
    Ok(Peer::new(SocketAddr::new(address, 0), scheme))
}

/// Reads path and query, which are one field: the first `?` parts them, once.
fn target(http: &HttpRequest) -> Result<PathAndQuery, RequestError> {
    if !http.query.is_empty() {
        return Err(repeated("query"));
    }
    if !http.fragment.is_empty() || http.path.contains(&b'#') {
        return Err(RequestError::Head(HeadFault::Fragment));
    }
    if !http.path.starts_with(b"/") {
        return Err(RequestError::Target);
    }
    PathAndQuery::from_maybe_shared(http.path.clone()).map_err(|_| RequestError::Target)
}

fn headers(http: HttpRequest) -> Result<HeaderMap, RequestError> {
    if http.host.is_empty() {
        return Err(RequestError::Host);
    }
    let pseudo = [
        (":authority", http.host.clone()),
        (":method", http.method),
        (":path", http.path),
        (":scheme", http.scheme),
    ];
    let lines = match http.header_map {
        Some(map) if http.headers.is_empty() => map.headers,
        Some(_) => return Err(repeated("headers")),
        None => http.headers,
    };
    if lines.len() > MAX_HEADERS {
        return Err(malformed("headers"));
    }
    let mut headers = HeaderMap::with_capacity(lines.len() + 1);
    for line in lines {
        add(&mut headers, line, &pseudo)?;
    }
    let host = HeaderValue::from_maybe_shared(http.host).map_err(|_| RequestError::Host)?;
    if headers.get(HOST).is_some_and(|named| named != host) {
        return Err(RequestError::Host);
    }
    headers.entry(HOST).or_insert(host);
    // The body's framing is Envoy's: it has judged it, and frames the body anew.
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    Ok(headers)
}

/// Adds a line; pseudo headers only say again what the attributes say.
fn add(
    headers: &mut HeaderMap,
    line: messages::HeaderValue,
    pseudo: &[(&'static str, Bytes)],
) -> Result<(), RequestError> {
    let value = match (line.value.is_empty(), line.raw_value.is_empty()) {
        (true, _) => line.raw_value,
        (false, true) => line.value,
        (false, false) => return Err(repeated("header value")),
    };
    if line.key.starts_with(b":") {
        let said = pseudo
            .iter()
            .find(|(name, _)| name.as_bytes() == &line.key[..]);
        return match said {
            Some((name, said)) if *said != value => Err(repeated(name)),
            _ => Ok(()),
        };
    }
    let name = HeaderName::from_bytes(&line.key).map_err(|_| malformed("header name"))?;
    let value = HeaderValue::from_maybe_shared(value).map_err(|_| malformed("header value"))?;
    headers.append(name, value);
    Ok(())
}

fn absent(what: &'static str) -> RequestError {
    RequestError::Original(OriginalError::Absent(what))
}

fn malformed(what: &'static str) -> RequestError {
    RequestError::Original(OriginalError::Malformed(what))
}

fn repeated(what: &'static str) -> RequestError {
    RequestError::Original(OriginalError::Repeated(what))
}
