//! The services behind the gateway and where they listen.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::ProxyError;

/// A service behind the gateway, with one or more equal URLs that take turns.
#[derive(Debug)]
pub(crate) struct Upstream {
    name: String,
    origins: Vec<Origin>,
    turn: AtomicUsize,
}

/// Where one instance of a service listens.
#[derive(Debug)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
}

/// Why an upstream cannot be one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum UpstreamError {
    /// There is no URL.
    #[error("upstream `{0}` has no url")]
    NoUrl(String),
    /// A URL is not of the form `http(s)://host[:port]`.
    #[error(
        "upstream `{name}`: `{url}` must be `http://host:port` or `https://host:port`, without a path or user"
    )]
    Url {
        /// The upstream.
        name: String,
        /// The URL as it was written; its user part is left out.
        url: String,
    },
}

impl Upstream {
    /// Takes a service's name and URLs, which are origins: a path would have to be joined with the request's.
    ///
    /// # Errors
    ///
    /// An [`UpstreamError`] naming the URL.
    pub(crate) fn new(name: impl Into<String>, urls: &[String]) -> Result<Self, UpstreamError> {
        let name = name.into();
        if urls.is_empty() {
            return Err(UpstreamError::NoUrl(name));
        }
        let origin = |url: &String| {
            Origin::parse(url).ok_or_else(|| UpstreamError::Url {
                name: name.clone(),
                // A password may stand before the `@`.
                url: url.rsplit('@').next().unwrap_or_default().to_owned(),
            })
        };
        let origins = urls.iter().map(origin).collect::<Result<_, _>>()?;
        Ok(Self {
            name,
            origins,
            turn: AtomicUsize::new(0),
        })
    }

    /// Returns the service's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns all origins once, beginning with the one whose turn it is.
    pub(super) fn rotation(&self) -> impl Iterator<Item = &Origin> {
        let count = self.origins.len();
        let turn = match count {
            1 => 0,
            _ => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        self.origins.iter().cycle().skip(turn).take(count)
    }
}

impl Origin {
    fn parse(url: &str) -> Option<Self> {
        let parts = url.parse::<Uri>().ok()?.into_parts();
        let (scheme, authority) = parts.scheme.zip(parts.authority)?;
        let known = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        let bare = parts
            .path_and_query
            .is_none_or(|path| matches!(path.as_str(), "" | "/"));
        // `http` drops a fragment unseen.
        let plain =
            !authority.as_str().contains('@') && !authority.host().is_empty() && !url.contains('#');
        if !(known && bare && plain) {
            return None;
        }
        let default = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let host = match authority.port_u16() {
            Some(port) if port == default => authority.host(),
            _ => authority.as_str(),
        };
        let host = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(host.as_bytes())).ok()?;
        Some(Self {
            scheme,
            authority,
            host,
        })
    }

    /// Returns the `Host` that this origin expects.
    pub(super) fn host(&self) -> &HeaderValue {
        &self.host
    }

    pub(super) fn uri(&self, target: PathAndQuery) -> Result<Uri, ProxyError> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).map_err(|_| ProxyError::Target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(urls: &[&str]) -> Result<Upstream, UpstreamError> {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        Upstream::new("app", &urls)
    }

    #[test]
    fn the_host_is_the_authority_without_a_default_port() {
        for (url, host) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://app.internal:80/", "app.internal"),
            ("https://app.internal:443", "app.internal"),
            ("https://app.internal:80", "app.internal:80"),
            ("http://[::1]:3000", "[::1]:3000"),
        ] {
            let upstream = upstream(&[url]).unwrap();
            assert_eq!(upstream.rotation().next().unwrap().host(), host, "{url}");
        }
    }

    #[test]
    fn urls_that_are_no_origins_are_refused() {
        for url in [
            "",
            "app:3000",
            "/x",
            "ftp://a",
            "http://a/base",
            "http://a?q",
            "http://a#f",
            "http://u:p@a",
            "http://",
        ] {
            assert!(upstream(&[url]).is_err(), "{url}");
        }
        assert!(upstream(&[]).is_err());
    }

    #[test]
    fn a_refused_url_is_told_without_its_password() {
        let error = upstream(&["http://user:secret@a"]).unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn urls_take_turns() {
        let upstream = upstream(&["http://a", "http://b", "http://c"]).unwrap();
        let turns: Vec<_> = (0..4)
            .map(|_| {
                upstream
                    .rotation()
                    .map(|origin| origin.host().clone())
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(turns[0], ["a", "b", "c"]);
        assert_eq!(turns[1], ["b", "c", "a"]);
        assert_eq!(turns[3], turns[0]);
    }
}
