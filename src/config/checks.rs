//! What several sections check alike: URLs, header names, addresses, networks.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use http::{HeaderName, Uri};
use ipnet::IpNet;

use super::error::Findings;
use crate::{instance::is_loopback, request::canonical_path};

const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Reads an `http(s)://` URL without user name, password, query or fragment.
pub(crate) fn url(key: &str, text: &str, findings: &mut Findings) -> Option<Uri> {
    let complaint = match text.parse::<Uri>() {
        Err(_) => "is not a URL",
        Ok(uri) if !matches!(uri.scheme_str(), Some("http" | "https")) => {
            "does not begin with http:// or https://"
        }
        // Nothing of the text is repeated: what stands before the @ may be a password.
        Ok(uri) if uri.authority().is_none_or(|a| a.as_str().contains('@')) => {
            "holds a user name or password"
        }
        Ok(uri) if uri.host().is_none_or(str::is_empty) => "names no host",
        Ok(uri) if uri.authority().is_some_and(bad_port) => "has a port that is none",
        Ok(uri) if uri.query().is_some() || text.contains('#') => "has a query or a fragment",
        Ok(uri) => return Some(uri),
    };
    findings.problem(
        key,
        complaint,
        "write a URL such as https://api.example.com",
    );
    None
}

fn bad_port(authority: &http::uri::Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host());
    after_host.is_some_and(|port| !port.is_empty()) && authority.port_u16().is_none_or(|p| p == 0)
}

/// Reads a URL that secrets or keys travel over: plain HTTP only where it stays on this machine.
pub(crate) fn private_url(key: &str, text: &str, findings: &mut Findings) -> Option<Uri> {
    let uri = url(key, text, findings)?;
    if uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_loopback) {
        findings.problem(
            key,
            "is plain http:// to another machine",
            "use https:// (http:// is for loopback only)",
        );
        return None;
    }
    Some(uri)
}

/// Reads a header name that a gateway may set, read or strip.
pub(crate) fn header(key: &str, text: &str, findings: &mut Findings) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_str(text) else {
        findings.problem(
            key,
            format!("{text:?} is not a header name"),
            "use letters, digits and hyphens, as in X-Clerk-User-Id",
        );
        return None;
    };
    if HOP_BY_HOP.contains(&name.as_str()) || matches!(name.as_str(), "host" | "content-length") {
        findings.problem(
            key,
            format!("{text:?} belongs to HTTP itself"),
            "choose another header name",
        );
        return None;
    }
    Some(name)
}

/// Checks a path that the gateway itself answers at: exactly one, in canonical form.
pub(crate) fn own_path(key: &str, text: &str, findings: &mut Findings) {
    let exact = text.len() > 1
        && !text.contains(['*', '{', '?'])
        && canonical_path(text).is_ok_and(|path| path == text);
    if !exact {
        findings.problem(
            key,
            format!("{text:?} is not one path in canonical form"),
            "write an absolute path without patterns, escapes, empty or dot segments",
        );
    }
}

/// Reads an address to listen on.
pub(crate) fn address(key: &str, text: &str, findings: &mut Findings) -> Option<SocketAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        findings.problem(
            key,
            format!("{text:?} is not an address to listen on"),
            "write an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080",
        );
    }
    parsed
}

/// Reads networks whose word is trusted; the whole internet is not one.
pub(crate) fn networks(key: &str, texts: &[String], findings: &mut Findings) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let key = format!("{key}[{index}]");
        let parsed = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match parsed {
            Ok(network) if network.prefix_len() == 0 => findings.problem(
                &key,
                format!("{text} trusts every address"),
                "name the networks of your own proxies and callers, as in 10.0.0.0/8",
            ),
            Ok(network) => networks.push(network),
            Err(_) => findings.problem(
                &key,
                format!("{text:?} is not a network"),
                "write CIDR notation, as in 10.0.0.0/8 or ::1/128",
            ),
        }
    }
    networks
}

/// Tells whether a text is an origin, as browsers and Clerk's `azp` write it: no path, no final slash.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#' | '@' | '*');
    !scheme.is_empty()
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !rest.is_empty()
        && rest.chars().all(plain)
}

/// Reads a list of authorised parties.
pub(crate) fn parties(key: &str, texts: &[String], findings: &mut Findings) {
    if texts.is_empty() {
        findings.problem(
            key,
            "is empty, so no token could ever pass",
            "name your application's origins, as in [\"https://app.example.com\"], or remove the key",
        );
    }
    for (index, text) in texts.iter().enumerate() {
        if !is_origin(text) {
            findings.problem(
                &format!("{key}[{index}]"),
                format!("{text:?} is not an origin"),
                "write scheme and host without a path or final slash, as in https://app.example.com",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Origins;

    fn complaint(check: impl FnOnce(&mut Findings)) -> Option<String> {
        let mut findings = Findings::new(Origins::default());
        check(&mut findings);
        findings.problems.first().map(ToString::to_string)
    }

    #[test]
    fn bad_urls_are_refused() {
        for (text, part) in [
            ("", "not a URL"),
            ("app:3000", "http://"),
            ("ftp://a.example", "http://"),
            ("http://u:p@a.example", "user name or password"),
            ("http://a.example?x=1", "query"),
            ("http://a.example/#x", "fragment"),
            ("http://a.example:99999", "port"),
            ("http://a.example:", "port"),
            ("/relative", "http://"),
        ] {
            let said = complaint(|findings| {
                url("key", text, findings);
            });
            assert!(
                said.as_deref().is_some_and(|said| said.contains(part)),
                "{text}: {said:?}"
            );
        }
        assert!(complaint(|f| assert!(url("k", "http://[::1]:80/v1", f).is_some())).is_none());
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for (text, good) in [
            ("http://127.0.0.1:4000", true),
            ("http://localhost:4000", true),
            ("https://api.clerk.com", true),
            ("http://api.clerk.com", false),
            ("http://127.0.0.1.evil.example", false),
        ] {
            let said = complaint(|findings| {
                private_url("key", text, findings);
            });
            assert_eq!(said.is_none(), good, "{text}");
        }
    }

    #[test]
    fn headers_that_belong_to_http_are_refused() {
        for (name, good) in [
            ("X-Clerk-User-Id", true),
            ("Authorization", true),
            ("Host", false),
            ("content-length", false),
            ("Transfer-Encoding", false),
            ("X Y", false),
            ("", false),
            ("x\n", false),
        ] {
            let said = complaint(|findings| {
                header("key", name, findings);
            });
            assert_eq!(said.is_none(), good, "{name:?}");
        }
    }

    #[test]
    fn the_whole_internet_is_not_a_trusted_network() {
        for (text, good) in [
            ("10.0.0.0/8", true),
            ("127.0.0.1", true),
            ("::1/128", true),
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("10.0.0.0/33", false),
            ("app", false),
        ] {
            let said = complaint(|findings| {
                networks("key", &[text.to_owned()], findings);
            });
            assert_eq!(said.is_none(), good, "{text}");
        }
    }

    #[test]
    fn origins_have_neither_path_nor_slash() {
        for (text, good) in [
            ("https://app.example.com", true),
            ("http://localhost:3000", true),
            ("chrome-extension://abcdef", true),
            ("https://app.example.com/", false),
            ("https://*.example.com", false),
            ("app.example.com", false),
            ("", false),
        ] {
            assert_eq!(is_origin(text), good, "{text}");
        }
    }
}
