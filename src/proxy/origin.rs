//! Where one instance of a service listens, how busy it is and whether it answers.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderValue, Uri,
    uri::{self, Authority, PathAndQuery, Scheme},
};
use tokio::time::Instant;

use super::{connector::SOCKET_HOST, pool::Pool};

/// Failures in a row that take an origin out.
const FAILURES: u32 = 3;
/// How long it stays out at first; doubled with each further failure up to the longest.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Where one instance of a service listens.
#[derive(Debug)]
pub(super) struct Origin {
    /// As it was written.
    url: String,
    /// With `/` as its path.
    base: Uri,
    /// As requests name it, without a default port; and the same as `Host`.
    authority: Authority,
    host: HeaderValue,
    pub(super) pool: Arc<Pool>,
    in_flight: AtomicUsize,
    health: Health,
}

#[derive(Debug)]
struct Health {
    made: Instant,
    failures: AtomicU32,
    /// Milliseconds since `made`; 0: it is in.
    out_until: AtomicU64,
    check_failed: AtomicBool,
}

impl Origin {
    /// Reads `http(s)://host[:port]` or `unix:/path`; a socket's path goes to `sockets`.
    pub(super) fn parse(
        url: &str,
        keep_alive: Duration,
        sockets: &mut Vec<PathBuf>,
    ) -> Option<Self> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Self::socket(url, path, keep_alive, sockets);
        }
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
        let named = match authority.port_u16() {
            Some(port) if port == default => authority.host().parse().ok()?,
            _ => authority.clone(),
        };
        Self::new(url, (scheme, authority), named, keep_alive)
    }

    fn socket(
        url: &str,
        path: &str,
        keep_alive: Duration,
        sockets: &mut Vec<PathBuf>,
    ) -> Option<Self> {
        if !Path::new(path).is_absolute() {
            return None;
        }
        let authority = format!("{}{SOCKET_HOST}", sockets.len()).parse().ok()?;
        sockets.push(path.into());
        let named = Authority::from_static("localhost");
        Self::new(url, (Scheme::HTTP, authority), named, keep_alive)
    }

    fn new(
        url: &str,
        (scheme, authority): (Scheme, Authority),
        named: Authority,
        keep_alive: Duration,
    ) -> Option<Self> {
        let mut base = uri::Parts::default();
        base.scheme = Some(scheme);
        base.authority = Some(authority);
        base.path_and_query = Some(PathAndQuery::from_static("/"));
        Some(Self {
            url: url.to_owned(),
            base: Uri::from_parts(base).ok()?,
            host: HeaderValue::from_str(named.as_str()).ok()?,
            authority: named,
            pool: Arc::new(Pool::new(keep_alive)),
            in_flight: AtomicUsize::new(0),
            health: Health {
                made: Instant::now(),
                failures: AtomicU32::new(0),
                out_until: AtomicU64::new(0),
                check_failed: AtomicBool::new(false),
            },
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_tls(&self) -> bool {
        self.base.scheme() == Some(&Scheme::HTTPS)
    }

    /// Returns the `Host` that this origin expects.
    pub(super) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Returns where it is connected to.
    pub(super) fn base(&self) -> &Uri {
        &self.base
    }

    /// Returns a target as HTTP/2 sends it: with scheme and authority.
    pub(super) fn absolute(&self, target: &Uri) -> Uri {
        let mut parts = self.base.clone().into_parts();
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = target.path_and_query().cloned().or(parts.path_and_query);
        // There are all three parts, which make a URI.
        Uri::from_parts(parts).unwrap_or_else(|_| target.clone())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells whether requests should go here.
    pub(super) fn is_healthy(&self, now: Instant) -> bool {
        let out_until = self.health.out_until.load(Ordering::Relaxed);
        let is_in = out_until == 0 || self.millis(now) >= out_until;
        is_in && !self.health.check_failed.load(Ordering::Relaxed)
    }

    /// Notes that it answered.
    pub(super) fn succeeded(&self) {
        if self.health.failures.load(Ordering::Relaxed) > 0 {
            self.health.failures.store(0, Ordering::Relaxed);
            self.health.out_until.store(0, Ordering::Relaxed);
        }
    }

    /// Notes that it could not be reached or did not answer.
    pub(super) fn failed(&self, now: Instant) {
        let failures = self.health.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(further) = failures.checked_sub(FAILURES) else {
            return;
        };
        let rest = FIRST_REST * 2u32.pow(further.min(5));
        let until = self.millis(now + rest.min(LONGEST_REST));
        self.health.out_until.store(until.max(1), Ordering::Relaxed);
        if further == 0 {
            tracing::warn!(upstream.url = self.url, "origin taken out after failures");
        }
    }

    /// Notes what a health check has found.
    pub(super) fn checked(&self, healthy: bool) {
        if self.health.check_failed.swap(!healthy, Ordering::Relaxed) == healthy {
            tracing::warn!(
                upstream.url = self.url,
                healthy,
                "origin's health has changed"
            );
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.health.made);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Option<Origin> {
        Origin::parse(url, Duration::from_secs(4), &mut Vec::new())
    }

    #[test]
    fn the_host_is_the_authority_without_a_default_port() {
        for (url, host) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://app.internal:80/", "app.internal"),
            ("https://app.internal:443", "app.internal"),
            ("https://app.internal:80", "app.internal:80"),
            ("http://[::1]:3000", "[::1]:3000"),
            ("unix:/run/app.sock", "localhost"),
        ] {
            let origin = origin(url).unwrap();
            assert_eq!(origin.host(), host, "{url}");
            let target = origin.absolute(&Uri::from_static("/x?y"));
            assert_eq!(target.authority().unwrap(), host, "{url}");
            assert_eq!(target.path_and_query().unwrap(), "/x?y");
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
            "unix:run/app.sock",
            "unix:",
        ] {
            assert!(origin(url).is_none(), "{url}");
        }
    }

    #[test]
    fn failures_in_a_row_take_an_origin_out_for_longer_each_time() {
        let origin = origin("http://a").unwrap();
        let now = Instant::now();
        let after = |secs| now + Duration::from_secs(secs);
        origin.failed(now);
        origin.failed(now);
        assert!(origin.is_healthy(now));
        origin.failed(now);
        assert!(!origin.is_healthy(now) && origin.is_healthy(after(2)));
        origin.failed(now);
        assert!(!origin.is_healthy(after(1)) && origin.is_healthy(after(3)));
        for _ in 0..40 {
            origin.failed(now);
        }
        assert!(!origin.is_healthy(after(29)) && origin.is_healthy(after(31)));
        origin.succeeded();
        assert!(origin.is_healthy(now));
    }

    #[test]
    fn a_failed_check_holds_until_one_succeeds() {
        let origin = origin("http://a").unwrap();
        origin.checked(false);
        assert!(!origin.is_healthy(Instant::now()));
        origin.checked(true);
        assert!(origin.is_healthy(Instant::now()));
    }
}
