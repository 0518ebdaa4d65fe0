//! The door to the canonical request.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, request::Parts};
use ipnet::IpNet;

use super::{CanonicalRequest, ForwardedFor, Peer, Scheme, TrustedProxies};

/// A request's canonical form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Canonical {
    /// The method.
    pub method: String,
    /// The host's name.
    pub host: Option<String>,
    /// The host with its port.
    pub authority: Option<String>,
    /// The path.
    pub path: String,
    /// The query.
    pub query: Option<String>,
}

/// Who sent a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// The address.
    pub address: IpAddr,
    /// The scheme.
    pub scheme: &'static str,
    /// The host.
    pub host: Option<String>,
}

/// Reads the canonical form.
///
/// # Errors
///
/// The reason slug.
pub fn canonical(parts: &Parts) -> Result<Canonical, &'static str> {
    let request = CanonicalRequest::parse(parts).map_err(|error| error.slug())?;
    let host = request.host();
    let authority = host.and_then(|host| host.authority().to_str().ok());
    Ok(Canonical {
        method: request.method().to_string(),
        host: host.map(|host| host.name().to_owned()),
        authority: authority.map(str::to_owned),
        path: request.path().to_owned(),
        query: request.query().map(str::to_owned),
    })
}

/// Reads a path; `None` where it has no canonical form.
pub fn canonical_path(raw: &str) -> Option<String> {
    super::canonical_path(raw)
        .ok()
        .map(|path| path.into_owned())
}

/// Finds the client behind trusted proxies, and writes the head that the next gateway is told it by.
pub fn client(peer: IpAddr, parts: &Parts, trusted: &[IpNet]) -> Option<(Client, HeaderMap)> {
    let request = CanonicalRequest::parse(parts).ok()?;
    let trusted = TrustedProxies::new(trusted.to_vec()).ok()?;
    let peer = Peer::new(SocketAddr::new(peer, 0), Scheme::Http);
    let from = ForwardedFor::resolve(&peer, &request, &parts.headers, &trusted);
    let mut written = parts.headers.clone();
    from.write(&mut written);
    let host = from.host().and_then(|host| host.authority().to_str().ok());
    let client = Client {
        address: from.client(),
        scheme: from.scheme().as_str(),
        host: host.map(str::to_owned),
    };
    Some((client, written))
}

/// Reads the body of Hasura's webhook.
pub fn hasura_headers(body: &[u8]) -> Option<HeaderMap> {
    super::hasura_headers(body).ok()
}
