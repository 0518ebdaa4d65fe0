//! Headers that belong to one connection and end with it (RFC 9110 §7.6.1).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CONNECTION, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
        TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};

use super::{ManagedNames, trailers};
use crate::request::{is_forwarding_name, same_prefix};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// `Trailer` is not among them: hyper sends only trailers that it names.
static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes a request's hop-by-hop headers, and what its `Connection` lines name.
///
/// A name that says who is asking, or that the gateway sets, is not removed: a client could undo the gateway's work.
/// `TE: trailers` stays, since gRPC asks for it. `Expect` was answered by the gateway's own server.
pub(crate) fn strip_request(headers: &mut HeaderMap, managed: &ManagedNames) {
    // Mostly there is none, and few headers are looked at sooner than each of these is looked up.
    if !headers
        .keys()
        .any(|name| is_hop_by_hop(name) || *name == EXPECT)
    {
        return;
    }
    let wants_trailers = lists(headers, &TE, "trailers");
    remove_named(headers, |name| is_protected(name) || managed.contains(name));
    remove_all(headers);
    headers.remove(EXPECT);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    trailers::retain_announced(headers, |name| {
        trailers::is_allowed(name) && !managed.contains(name)
    });
}

/// Removes a response's hop-by-hop headers, and what its `Connection` lines name.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    remove_named(headers, |_| false);
    remove_all(headers);
    trailers::retain_announced(headers, trailers::is_allowed);
}

/// Tells whether the gateway's decision hangs on a header, so that `Connection` cannot remove it.
pub(super) fn is_protected(name: &HeaderName) -> bool {
    let text = name.as_str();
    *name == AUTHORIZATION
        || *name == COOKIE
        || *name == HOST
        || is_forwarding_name(text)
        || same_prefix(text, "x-clerk-")
        || same_prefix(text, "x-hasura-")
}

pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Most others are told from these by their first letter.
    let first = name.as_str().as_bytes().first();
    matches!(first, Some(b'c' | b'k' | b'p' | b't' | b'u'))
        && (HOP_BY_HOP.contains(name) || *name == TRAILER)
}

fn remove_all(headers: &mut HeaderMap) {
    let found = |headers: &HeaderMap| {
        let ends_here = |name: &&HeaderName| **name != TRAILER && is_hop_by_hop(name);
        headers.keys().find(ends_here).cloned()
    };
    while let Some(name) = found(headers) {
        headers.remove(name);
    }
}

fn remove_named(headers: &mut HeaderMap, is_kept: impl Fn(&HeaderName) -> bool) {
    // Almost always `close` or `keep-alive`, which name no header of their own or one that goes anyway.
    let is_option = |token: &str| {
        ["close", "keep-alive", "upgrade", "te"]
            .iter()
            .any(|option| token.eq_ignore_ascii_case(option))
    };
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter(|token| !is_option(token))
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !is_kept(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

/// Returns the members of a comma-separated list over all its lines.
pub(super) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    // A line with bytes outside ASCII still names the headers that it can.
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .filter_map(|token| str::from_utf8(token).ok())
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn left(headers: &[(&str, &str)]) -> Vec<String> {
        let mut map = map(headers);
        strip_request(&mut map, &ManagedNames::new(|name| name == "x-tenant"));
        let mut names: Vec<_> = map.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn every_hop_by_hop_header_ends_here() {
        let all = [
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ];
        assert_eq!(left(&all), ["accept"]);
    }

    #[test]
    fn all_connection_lines_name_headers() {
        let lines = [
            ("connection", "X-One , close"),
            ("connection", "x-two,,x three"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
        ];
        assert_eq!(left(&lines), ["x-three"]);
    }

    #[test]
    fn connection_cannot_remove_what_a_decision_hangs_on() {
        let names = [
            "authorization",
            "cookie",
            "forwarded",
            "host",
            "x-clerk-user-id",
            "x-forwarded-for",
            "x-hasura-role",
            "x-real-ip",
            "x-tenant",
            "x_clerk_user_id",
        ];
        let mut headers: Vec<_> = names.iter().map(|name| (*name, "kept")).collect();
        let line = names.join(", ").to_uppercase();
        headers.push(("connection", &line));
        assert_eq!(left(&headers), names);
    }

    #[test]
    fn te_keeps_only_trailers() {
        let mut headers = map(&[("te", "gzip, Trailers"), ("connection", "te")]);
        strip_request(&mut headers, &ManagedNames::default());
        assert_eq!(headers, map(&[("te", "trailers")]));
    }

    #[test]
    fn a_response_loses_what_its_connection_names() {
        let mut headers = map(&[
            ("connection", "x-internal, keep-alive"),
            ("x-internal", "1"),
            ("keep-alive", "5"),
            ("set-cookie", "a=b"),
        ]);
        strip_response(&mut headers);
        assert_eq!(headers, map(&[("set-cookie", "a=b")]));
    }

    #[test]
    fn forbidden_trailers_are_not_announced() {
        let mut headers = map(&[
            ("trailer", "Grpc-Status, X-Clerk-User-Id"),
            ("trailer", "Authorization, x-sum, x-tenant"),
        ]);
        strip_request(&mut headers, &ManagedNames::new(|name| name == "x-tenant"));
        assert_eq!(headers, map(&[("trailer", "Grpc-Status, x-sum")]));
    }
}
