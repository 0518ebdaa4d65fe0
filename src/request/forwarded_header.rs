//! The `Forwarded` header of RFC 7239, read strictly.

use std::net::{IpAddr, SocketAddr};

/// What one proxy said about the hop before it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Element<'a> {
    pub(super) node: Option<&'a str>,
    pub(super) host: Option<&'a str>,
    pub(super) proto: Option<&'a str>,
}

impl Element<'_> {
    /// Returns the `for` address; `None` where it is absent, `unknown` or obfuscated.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let node = self.node?;
        if let Some(bare) = node
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            return bare.parse().ok().map(IpAddr::V6);
        }
        let with_port = || node.parse::<SocketAddr>().ok().map(|address| address.ip());
        node.parse().ok().map(IpAddr::V4).or_else(with_port)
    }
}

/// Reads a field value; `None` for anything that is not RFC 7239's grammar, escapes in quoted strings included.
pub(super) fn parse(value: &str) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    let mut element = Element::default();
    let mut rest = value;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (pair_value, after) = pair_value(after)?;
        set(
            &mut element,
            name.trim_start_matches([' ', '\t']),
            pair_value,
        )?;
        let after = after.trim_start_matches([' ', '\t']);
        match after.split_at_checked(1) {
            Some((";", next)) => rest = next,
            Some((",", next)) => {
                elements.push(std::mem::take(&mut element));
                rest = next;
            }
            Some(_) => return None,
            None => {
                elements.push(element);
                return Some(elements);
            }
        }
    }
}

/// Splits a token or quoted string off the front.
fn pair_value(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (inner, rest) = quoted.split_once('"')?;
        return (!inner.contains('\\')).then_some((inner, rest));
    }
    let end = text.find(|c| !is_token_char(c)).unwrap_or(text.len());
    text.split_at_checked(end)
        .filter(|(token, _)| !token.is_empty())
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// Sets a known parameter; a repeated one, or a name that is no token, is `None`.
fn set<'a>(element: &mut Element<'a>, name: &str, value: &'a str) -> Option<()> {
    let slot = match name.to_ascii_lowercase().as_str() {
        "for" => &mut element.node,
        "host" => &mut element.host,
        "proto" => &mut element.proto,
        other => return (!other.is_empty() && other.chars().all(is_token_char)).then_some(()),
    };
    slot.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_are_read_with_and_without_quotes() {
        let elements = parse(
            "For=192.0.2.60;proto=http;by=203.0.113.43, for=\"[2001:db8::17]:4711\";host=\"a:80\"",
        )
        .unwrap();
        let addresses: Vec<_> = elements.iter().map(Element::address).collect();
        assert_eq!(
            addresses,
            [
                Some("192.0.2.60".parse().unwrap()),
                Some("2001:db8::17".parse().unwrap())
            ]
        );
        assert_eq!(
            (elements[0].proto, elements[1].host),
            (Some("http"), Some("a:80"))
        );
    }

    #[test]
    fn nodes_that_are_no_address_are_none() {
        for node in [
            "unknown",
            "_hidden",
            "_x;host=evil",
            "2001:db8::17",
            "1.2.3",
            "[1.2.3.4]",
            "",
        ] {
            let value = format!("for=\"{node}\"");
            assert_eq!(parse(&value).unwrap()[0].address(), None, "{node}");
        }
    }

    #[test]
    fn broken_syntax_is_refused_as_a_whole() {
        for value in [
            "",
            "for",
            "for=",
            "for=a,",
            "for=a;;host=b",
            "for=\"a",
            "for=\"a\\\"b\"",
            "for=a b",
            "for=1.1.1.1;for=2.2.2.2",
            "f r=a",
            "=a",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_panics(value in "[a-z=;,\" \\\\\\[\\]:.0-9]{0,48}") {
            for element in parse(&value).unwrap_or_default() {
                let _ = element.address();
            }
        }
    }
}
