//! Who the client is: the peer, or what trusted proxies say, told to the upstream afresh.

use std::{fmt::Write, net::IpAddr};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use super::{
    CanonicalRequest, Host, Peer, Scheme, TrustedProxies,
    forwarded_header::{self, Element},
    spelling::{same_name, same_prefix},
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

const NAMES: [&str; 4] = ["forwarded", "proxy", "x-method-override", "x-real-ip"];
const PREFIXES: [&str; 6] = [
    "x-envoy-original-",
    "x-forwarded",
    "x-http-method",
    // Next.js skips its own middleware for a request that carries its internal header.
    "x-middleware-",
    "x-original-",
    "x-rewrite-",
];

/// Tells whether `name`, in any spelling, tells an upstream where a request comes from or what it means.
///
/// A client's own are never passed on: `Forwarded`, `X-Forwarded-*`, `X-Real-IP`, `X-Original-*`, `X-Rewrite-*`,
/// `X-Envoy-Original-*`, `X-HTTP-Method*`, `X-Method-Override`, `X-Middleware-*` and `Proxy`.
pub(crate) fn is_forwarding_name(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x' | b'X') => {
            PREFIXES.iter().any(|prefix| same_prefix(name, prefix)) || is_one_of_names(name)
        }
        Some(b'f' | b'F' | b'p' | b'P') => is_one_of_names(name),
        _ => false,
    }
}

fn is_one_of_names(name: &str) -> bool {
    NAMES.iter().any(|known| same_name(name, known))
}

/// Where a request comes from, as far as trusted proxies vouch for it.
#[derive(Clone, Debug)]
pub(crate) struct ForwardedFor {
    client: IpAddr,
    scheme: Scheme,
    host: Option<Host>,
    /// The client and the trusted proxies after it, as `X-Forwarded-For` lists them.
    chain: HeaderValue,
}

impl ForwardedFor {
    /// Finds the client: the right-most address that is not a trusted proxy's.
    ///
    /// The walk ends at the first entry that is no address. `X-Forwarded-For` wins over `Forwarded`, which a proxy
    /// that writes the former may pass on unread. Scheme and host count only where there is exactly one.
    pub(crate) fn resolve(
        peer: &Peer,
        request: &CanonicalRequest,
        headers: &HeaderMap,
        trusted: &TrustedProxies,
    ) -> Self {
        let own = Self {
            client: peer.address,
            scheme: peer.scheme,
            host: request.host().cloned(),
            chain: peer.value.clone(),
        };
        if !trusted.contains(peer.address) {
            return own;
        }
        if headers.contains_key(FORWARDED) && !headers.contains_key(X_FORWARDED_FOR) {
            return own.told_by_forwarded(headers, trusted);
        }
        let hops = headers
            .get_all(X_FORWARDED_FOR)
            .into_iter()
            .rev()
            .flat_map(|line| line.to_str().unwrap_or_default().rsplit(','))
            .map(|entry| entry.trim().parse().ok());
        own.behind(walk(peer.address, hops, trusted)).described(
            only(headers, &X_FORWARDED_PROTO),
            only(headers, &X_FORWARDED_HOST),
        )
    }

    /// Returns the client's address.
    pub(crate) fn client(&self) -> IpAddr {
        self.client
    }

    /// Returns the scheme that the client spoke.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host that the client asked for.
    pub(crate) fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Replaces all forwarding headers of a request by this.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        strip(headers);
        headers.insert(X_FORWARDED_FOR, self.chain.clone());
        headers.insert(
            X_FORWARDED_PROTO,
            HeaderValue::from_static(self.scheme.as_str()),
        );
        if let Some(host) = &self.host {
            headers.insert(X_FORWARDED_HOST, host.authority().clone());
        }
        if let Ok(value) = HeaderValue::from_maybe_shared(self.forwarded()) {
            headers.insert(FORWARDED, value);
        }
    }

    fn told_by_forwarded(self, headers: &HeaderMap, trusted: &TrustedProxies) -> Self {
        let lines = headers
            .get_all(FORWARDED)
            .into_iter()
            .map(HeaderValue::to_str);
        let Ok(lines) = lines.collect::<Result<Vec<_>, _>>() else {
            return self;
        };
        let text = lines.join(",");
        let elements = forwarded_header::parse(&text).unwrap_or_default();
        let chain = walk(
            self.client,
            elements.iter().rev().map(Element::address),
            trusted,
        );
        // The element that names the client was written by the proxy that the client spoke to.
        let described = chain
            .len()
            .checked_sub(2)
            .and_then(|depth| elements.iter().rev().nth(depth));
        let element = described.copied().unwrap_or_default();
        self.behind(chain).described(element.proto, element.host)
    }

    /// Takes the hops, nearest first, of which the last is the client.
    fn behind(mut self, mut hops: Vec<IpAddr>) -> Self {
        hops.reverse();
        if let [client, _, ..] = *hops {
            self.client = client;
            self.chain = addresses_value(&hops);
        }
        self
    }

    fn described(mut self, scheme: Option<&str>, host: Option<&str>) -> Self {
        self.scheme = scheme.and_then(Scheme::parse).unwrap_or(self.scheme);
        self.host = host.and_then(Host::parse_str).or(self.host);
        self
    }

    /// Returns one RFC 7239 element that describes the client.
    fn forwarded(&self) -> Bytes {
        let mut value = BytesMut::with_capacity(96);
        // The chain begins with the client's address; an IPv6 one is quoted and in brackets (RFC 7239 §6).
        let client = self
            .chain
            .as_bytes()
            .split(|&byte| byte == b',')
            .next()
            .unwrap_or_default();
        let (open, close): (&[u8], &[u8]) = match self.client {
            IpAddr::V4(_) => (b"for=", b";"),
            IpAddr::V6(_) => (b"for=\"[", b"]\";"),
        };
        for part in [open, client, close] {
            value.put_slice(part);
        }
        if let Some(host) = &self.host {
            for part in [b"host=\"", host.authority().as_bytes(), b"\";"] {
                value.put_slice(part);
            }
        }
        value.put_slice(b"proto=");
        value.put_slice(self.scheme.as_str().as_bytes());
        value.freeze()
    }
}

/// Removes every forwarding header, in any spelling.
fn strip(headers: &mut HeaderMap) {
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_forwarding_name(name.as_str()))
        .cloned()
        .collect();
    for name in found {
        headers.remove(name);
    }
}

/// Collects the addresses from the peer on, nearest first, up to and with the first untrusted one.
fn walk(
    peer: IpAddr,
    mut hops: impl Iterator<Item = Option<IpAddr>>,
    trusted: &TrustedProxies,
) -> Vec<IpAddr> {
    let mut chain = vec![peer];
    while chain.last().is_some_and(|hop| trusted.contains(*hop)) {
        match hops.next().flatten() {
            Some(hop) => chain.push(hop.to_canonical()),
            None => break,
        }
    }
    chain
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Returns addresses as `X-Forwarded-For` lists them.
pub(super) fn addresses_value(addresses: &[IpAddr]) -> HeaderValue {
    let mut text = String::with_capacity(16);
    for (index, address) in addresses.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{address}");
    }
    // An address holds only hexadecimal digits, dots and colons.
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
#[path = "forwarded_tests.rs"]
mod tests;
