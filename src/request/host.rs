//! The host of a request: lower-case, without a trailing dot, with the port kept apart.

use std::{borrow::Cow, net::Ipv6Addr};

use bytes::Bytes;
use http::HeaderValue;

/// RFC 1035 §2.3.4: the most characters a name can have.
const MAX_NAME: usize = 253;

/// A valid host with an optional port, in canonical form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Host {
    authority: HeaderValue,
    name_len: usize,
}

impl Host {
    /// Reads a `Host` or `X-Forwarded-Host` value; `None` where it is not exactly one host.
    pub(crate) fn parse(value: &HeaderValue) -> Option<Self> {
        Self::canonical(value.to_str().ok()?, Some(value))
    }

    /// Reads `host` or `host:port`; `None` where it is malformed.
    pub(crate) fn parse_str(text: &str) -> Option<Self> {
        Self::canonical(text, None)
    }

    /// Returns the name without the port; an IPv6 address is in brackets.
    pub(crate) fn name(&self) -> &str {
        let text = self.authority.to_str().unwrap_or_default();
        text.get(..self.name_len).unwrap_or_default()
    }

    /// Returns the name and the port, if one was given, as a header's value.
    pub(crate) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    fn canonical(text: &str, original: Option<&HeaderValue>) -> Option<Self> {
        let (raw, port) = split_port(text)?;
        let name = canonical_name(raw)?;
        let name_len = name.len();
        let authority = match (&name, original) {
            (Cow::Borrowed(same), Some(value)) if same.len() == raw.len() => value.clone(),
            _ => HeaderValue::from_maybe_shared(Bytes::from([&name, port].concat())).ok()?,
        };
        Some(Self {
            authority,
            name_len,
        })
    }
}

/// Splits off the port with its colon, empty where there is none.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let name_end = match text.starts_with('[') {
        true => text.find(']')? + 1,
        false => text.find(':').unwrap_or(text.len()),
    };
    let (name, port) = text.split_at_checked(name_end)?;
    let Some(digits) = port.strip_prefix(':') else {
        return port.is_empty().then_some((name, port));
    };
    // `u16::from_str` alone would take a sign.
    let plain = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    (plain && digits.parse::<u16>().is_ok()).then_some((name, port))
}

fn canonical_name(raw: &str) -> Option<Cow<'_, str>> {
    if let Some(inner) = raw.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(Cow::Owned(format!("[{address}]")));
    }
    let name = raw.strip_suffix('.').unwrap_or(raw);
    if name.len() > MAX_NAME || !is_name(name) {
        return None;
    }
    Some(match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    })
}

/// Tells whether `text` is labels with a dot between each two, none of them empty.
fn is_name(text: &str) -> bool {
    let mut before = b'.';
    for byte in text.bytes() {
        let is_good = match byte {
            b'.' => before != b'.',
            b'-' | b'_' => true,
            other => other.is_ascii_alphanumeric(),
        };
        if !is_good {
            return false;
        }
        before = byte;
    }
    before != b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_trailing_dot_and_port_do_not_change_the_name() {
        for (text, name, authority) in [
            ("gw.test", "gw.test", "gw.test"),
            ("GW.Test", "gw.test", "gw.test"),
            ("gw.test.", "gw.test", "gw.test"),
            ("gw.test.:8080", "gw.test", "gw.test:8080"),
            ("127.0.0.1:80", "127.0.0.1", "127.0.0.1:80"),
            ("[0:0::1]:80", "[::1]", "[::1]:80"),
            ("under_score.test", "under_score.test", "under_score.test"),
        ] {
            let host = Host::parse(&HeaderValue::from_static(text)).unwrap();
            assert_eq!(host.name(), name, "{text}");
            assert_eq!(host.authority(), authority, "{text}");
        }
    }

    #[test]
    fn a_host_that_is_canonical_is_shared_not_copied() {
        let value = HeaderValue::from_str("gw.test:8080").unwrap();
        let host = Host::parse(&value).unwrap();
        let place = |value: &HeaderValue| value.as_bytes().as_ptr();
        assert_eq!(place(host.authority()), place(&value));
    }

    #[test]
    fn a_name_has_253_characters_at_most() {
        for (length, is_good) in [(1, true), (252, true), (253, true), (254, false)] {
            let name = "a".repeat(length);
            assert_eq!(Host::parse_str(&name).is_some(), is_good, "{length}");
        }
    }

    #[test]
    fn what_is_not_exactly_one_host_is_refused() {
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a;for=1.2.3.4,b",
            "user@gw.test",
            "a b",
            "a/b",
            "gw.test:",
            "gw.test:+80",
            "gw.test:65536",
            "gw.test:80:80",
            "a,b",
            "%67w.test",
            "[::1",
            "[::1]x",
            "[gw.test]",
            "[fe80::1%25eth0]",
        ] {
            assert_eq!(Host::parse_str(text), None, "{text}");
        }
    }
}
