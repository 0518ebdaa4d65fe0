//! Where a browser is sent whose user is merely signed out.

use std::{fmt::Write, sync::Arc};

use http::{HeaderMap, HeaderValue, Method};

use crate::request::{CanonicalRequest, ForwardedFor};

/// A sign-in page, and the places that it may send its users back to.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    url: Box<str>,
    back_to: Arc<KnownPlaces>,
}

/// The hosts and origins that are ours: a redirect back to any other would be an open one.
#[derive(Debug)]
pub(crate) struct KnownPlaces {
    /// In lower case, without ports.
    hosts: Vec<String>,
    /// As browsers write them.
    origins: Vec<String>,
}

/// Tells whether a browser is about to show the answer as a page; without its `Sec-Fetch-*` nobody guesses.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &str, wanted: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|value| value == wanted) && values.next().is_none()
    };
    method == Method::GET && is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

impl KnownPlaces {
    pub(crate) fn new(hosts: Vec<String>, origins: Vec<String>) -> Self {
        Self { hosts, origins }
    }
}

impl SignIn {
    /// Takes the sign-in page's URL, without a query or fragment.
    pub(crate) fn new(url: &str, back_to: Arc<KnownPlaces>) -> Self {
        Self {
            url: url.into(),
            back_to,
        }
    }

    /// Returns the sign-in page with `redirect_url`, where the request's host is a known one, else without.
    ///
    /// It is `None` for the sign-in page itself, which would be redirected to for ever.
    pub(crate) fn location(
        &self,
        request: &CanonicalRequest,
        from: &ForwardedFor,
    ) -> Option<HeaderValue> {
        let Some(origin) = self.origin(from) else {
            return HeaderValue::from_str(&self.url).ok();
        };
        let page = [origin.as_str(), request.path()].concat();
        if page == *self.url {
            return None;
        }
        let mut location = format!("{}?redirect_url=", self.url);
        encode(&page, &mut location);
        if let Some(query) = request.query() {
            encode("?", &mut location);
            encode(query, &mut location);
        }
        HeaderValue::try_from(location).ok()
    }

    /// Returns the origin that the client asked, where it is ours.
    fn origin(&self, from: &ForwardedFor) -> Option<String> {
        let host = from.host()?;
        let authority = host.authority().to_str().ok()?;
        let origin = format!("{}://{authority}", from.scheme().as_str());
        let known = self.back_to.hosts.iter().any(|known| known == host.name())
            || self.back_to.origins.contains(&origin);
        known.then_some(origin)
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::request::{Peer, Scheme, TrustedProxies};

    fn location(host: &str, target: &str) -> Option<String> {
        let request = Request::builder().uri(target).header("host", host);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let request = CanonicalRequest::parse(&parts).unwrap();
        let peer = Peer::new("192.0.2.1:1".parse().unwrap(), Scheme::Https);
        let trusted = TrustedProxies::default();
        let from = ForwardedFor::resolve(&peer, &request, &parts.headers, &trusted);
        let known = KnownPlaces::new(
            vec!["app.test".to_owned()],
            vec!["https://party.test:8443".to_owned()],
        );
        let sign_in = SignIn::new("https://app.test/sign-in", Arc::new(known));
        let location = sign_in.location(&request, &from)?;
        Some(location.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_browser_comes_back_only_to_a_place_of_ours() {
        let bare = "https://app.test/sign-in";
        for (host, target, query) in [
            (
                "app.test",
                "/a?b=c&d",
                "?redirect_url=https%3A%2F%2Fapp.test%2Fa%3Fb%3Dc%26d",
            ),
            (
                "APP.test.",
                "/%61",
                "?redirect_url=https%3A%2F%2Fapp.test%2Fa",
            ),
            (
                "party.test:8443",
                "/",
                "?redirect_url=https%3A%2F%2Fparty.test%3A8443%2F",
            ),
            ("party.test", "/", ""),
            ("evil.test", "/", ""),
            ("app.test.evil.test", "/", ""),
        ] {
            let expected = Some(format!("{bare}{query}"));
            assert_eq!(location(host, target), expected, "{host}{target}");
        }
    }

    #[test]
    fn the_sign_in_page_is_never_redirected_to_itself() {
        assert_eq!(location("app.test", "/sign-in?x=y"), None);
    }

    #[test]
    fn only_a_browsers_own_word_makes_a_navigation() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let pair = |(name, value): &(&'static str, &'static str)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            };
            pairs.iter().map(pair).collect()
        };
        let page = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(is_navigation(&Method::GET, &headers(&page)));
        assert!(!is_navigation(&Method::POST, &headers(&page)));
        for other in [
            &[("accept", "text/html")][..],
            &[("sec-fetch-mode", "navigate")],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
            &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "document")],
        ] {
            assert!(!is_navigation(&Method::GET, &headers(other)), "{other:?}");
        }
    }
}
