//! The services behind the gateway: their origins, the connections to them, and how much they get.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::digest::{Digest, SHA256, digest};
use secrecy::ExposeSecret;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    ProxyError,
    client::Client,
    connector::{Protocol, UpstreamTls, UpstreamTlsError},
    gate::Gate,
    health::HealthCheck,
    origin::Origin,
};
use crate::telemetry::upstreams::UpstreamMetrics;

/// The most origins of one upstream.
const MOST_ORIGINS: usize = 64;

/// What an upstream is and may take.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamConfig {
    pub(crate) name: String,
    /// `http(s)://host[:port]` or `unix:/path`, equal to each other; at least one.
    pub(crate) urls: Vec<String>,
    pub(crate) protocol: Protocol,
    pub(crate) tls: UpstreamTls,
    pub(crate) health: Option<HealthCheck>,
    pub(crate) limits: UpstreamLimits,
}

impl UpstreamConfig {
    /// Returns a digest of all of it: upstreams of one digest are the same.
    pub(crate) fn fingerprint(&self) -> Digest {
        // The key is the one thing that does not show itself.
        let key = self
            .tls
            .identity
            .as_ref()
            .map(|(_, key)| key.expose_secret());
        let shown = format!("{self:?}{}", key.unwrap_or_default());
        digest(&SHA256, shown.as_bytes())
    }
}

/// How long an upstream may take, and how much it gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpstreamLimits {
    /// How long a connection may take to open, TLS included.
    pub(crate) connect_timeout: Duration,
    /// How long an upstream may take for its response's head, from the request's last byte on.
    pub(crate) response_timeout: Duration,
    /// How long a response's body may stand still.
    pub(crate) idle_timeout: Duration,
    /// How long a request with its response may take; upgraded connections aside.
    pub(crate) total_timeout: Option<Duration>,
    /// How long an upgraded connection may stand still.
    pub(crate) upgrade_idle_timeout: Duration,
    /// How long an unused connection is kept: below what upstreams keep it for, and Node's default is 5 s.
    pub(crate) keep_alive: Duration,
    /// Requests at once; with HTTP/1.1 each has a connection of its own.
    pub(crate) max_requests: usize,
    /// Requests that wait for their turn.
    pub(crate) max_waiting: usize,
    /// How long one waits.
    pub(crate) queue_timeout: Duration,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(300),
            total_timeout: None,
            upgrade_idle_timeout: Duration::from_secs(3600),
            keep_alive: Duration::from_secs(4),
            max_requests: 10_000,
            // To let one wait costs a hundredth of refusing it: who is refused at once asks again at once.
            max_waiting: 20_000,
            queue_timeout: Duration::from_secs(1),
        }
    }
}

/// A service behind the gateway, with one or more equal origins.
#[derive(Debug)]
pub(crate) struct Upstream {
    name: String,
    pub(super) origins: Vec<Arc<Origin>>,
    pub(super) client: Client,
    pub(super) limits: UpstreamLimits,
    pub(super) health: Option<HealthCheck>,
    pub(super) metrics: Arc<UpstreamMetrics>,
    gate: Gate,
    turn: AtomicUsize,
    pub(super) is_watched: AtomicBool,
}

/// Why an upstream cannot be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum UpstreamError {
    /// There is no URL.
    #[error("upstream `{0}` has no url")]
    NoUrl(String),
    /// The protocol and the URLs do not go together.
    #[error("upstream `{name}`: protocol {protocol} does not go with `{url}`")]
    Protocol {
        name: String,
        protocol: &'static str,
        url: String,
    },
    /// TLS to the upstream cannot be set up.
    #[error("upstream `{0}`: {1}")]
    Tls(String, #[source] UpstreamTlsError),
    /// There are more URLs than can be told apart.
    #[error("upstream `{0}` has more than {MOST_ORIGINS} urls")]
    TooMany(String),
    /// A URL is not of the form `http(s)://host[:port]` or `unix:/path`.
    #[error(
        "upstream `{name}`: `{url}` must be `http://host:port`, `https://host:port` or `unix:/path`, without a path or user"
    )]
    Url {
        /// The upstream.
        name: String,
        /// The URL as it was written; its user part is left out.
        url: String,
    },
}

impl Upstream {
    /// Sets an upstream up; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// An [`UpstreamError`] naming the URL or what of TLS cannot be used.
    pub(crate) fn new(config: UpstreamConfig) -> Result<Self, UpstreamError> {
        let name = config.name.clone();
        if config.urls.is_empty() {
            return Err(UpstreamError::NoUrl(name));
        }
        if config.urls.len() > MOST_ORIGINS {
            return Err(UpstreamError::TooMany(name));
        }
        let mut sockets = Vec::new();
        let mut origins = Vec::new();
        for url in &config.urls {
            let origin = origin(&config, url, &mut sockets)?;
            origins.push(Arc::new(origin));
        }
        let limits = config.limits;
        let client = Client::new(&config.tls, config.protocol, sockets, &limits)
            .map_err(|error| UpstreamError::Tls(name.clone(), error))?;
        Ok(Self {
            metrics: Arc::new(UpstreamMetrics::new(&name)),
            name,
            origins,
            client,
            limits,
            health: config.health,
            gate: Gate::new(
                limits.max_requests,
                limits.max_waiting,
                limits.queue_timeout,
            ),
            turn: AtomicUsize::new(0),
            is_watched: AtomicBool::new(false),
        })
    }

    /// Returns the service's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether any origin is taken to answer.
    pub(crate) fn is_healthy(&self) -> bool {
        let now = Instant::now();
        self.origins.iter().any(|origin| origin.is_healthy(now))
    }

    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, ProxyError> {
        self.gate.enter().await
    }

    /// Chooses an origin that is not among those `tried` (a bit each): of two healthy ones the less busy, and
    /// where none is healthy, any.
    pub(super) fn choose(&self, tried: u64) -> Option<usize> {
        if let [_] = self.origins[..] {
            return (tried == 0).then_some(0);
        }
        let now = Instant::now();
        self.less_busy(|at| tried & (1 << at) == 0 && self.origins[at].is_healthy(now))
            .or_else(|| self.less_busy(|at| tried & (1 << at) == 0))
    }

    fn less_busy(&self, is_candidate: impl Fn(usize) -> bool) -> Option<usize> {
        let candidates = || (0..self.origins.len()).filter(|&at| is_candidate(at));
        let count = candidates().count();
        if count < 2 {
            return candidates().next();
        }
        // Numbers that follow each other are spread over all: nobody gains by foreseeing them.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let spread = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize) >> 7;
        let one = turn % count;
        let other = (one + 1 + spread % (count - 1)) % count;
        let (one, other) = (candidates().nth(one)?, candidates().nth(other)?);
        let busier = self.origins[one].in_flight() > self.origins[other].in_flight();
        Some(if busier { other } else { one })
    }
}

fn origin(
    config: &UpstreamConfig,
    url: &str,
    sockets: &mut Vec<PathBuf>,
) -> Result<Origin, UpstreamError> {
    // A password may stand before the `@`.
    let shown = || url.rsplit('@').next().unwrap_or_default().to_owned();
    let origin = Origin::parse(url, config.limits.keep_alive, sockets);
    let origin = origin.ok_or_else(|| UpstreamError::Url {
        name: config.name.clone(),
        url: shown(),
    })?;
    let mismatch = match config.protocol {
        Protocol::H2 if !origin.is_tls() => "h2",
        Protocol::H2c if origin.is_tls() => "h2c",
        _ => return Ok(origin),
    };
    Err(UpstreamError::Protocol {
        name: config.name.clone(),
        protocol: mismatch,
        url: shown(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(urls: &[&str]) -> Result<Upstream, UpstreamError> {
        Upstream::new(config(urls))
    }

    fn config(urls: &[&str]) -> UpstreamConfig {
        UpstreamConfig {
            name: "app".to_owned(),
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            protocol: Protocol::Auto,
            tls: UpstreamTls::default(),
            health: None,
            limits: UpstreamLimits::default(),
        }
    }

    #[test]
    fn a_refused_url_is_told_without_its_password() {
        let error = upstream(&["http://user:secret@a"]).unwrap_err();
        assert!(!error.to_string().contains("secret"));
        assert!(upstream(&[]).is_err());
    }

    #[test]
    fn http2_needs_the_url_that_it_goes_with() {
        for (url, protocol, good) in [
            ("http://a", Protocol::H2, false),
            ("https://a", Protocol::H2, true),
            ("http://a", Protocol::H2c, true),
            ("unix:/a", Protocol::H2c, true),
            ("https://a", Protocol::H2c, false),
        ] {
            let config = UpstreamConfig {
                protocol,
                ..config(&[url])
            };
            assert_eq!(Upstream::new(config).is_ok(), good, "{url} {protocol:?}");
        }
    }

    #[test]
    fn origins_share_the_work_and_the_less_busy_gets_more() {
        let upstream = upstream(&["http://a", "http://b", "http://c"]).unwrap();
        let mut chosen = [0; 3];
        for _ in 0..300 {
            chosen[upstream.choose(0).unwrap()] += 1;
        }
        assert!(chosen.iter().all(|&count| count > 50), "{chosen:?}");
        for _ in 0..10 {
            upstream.origins[0].begin();
        }
        assert!((0..300).all(|_| upstream.choose(0) != Some(0)));
    }

    #[test]
    fn unhealthy_origins_are_chosen_only_where_there_is_no_other() {
        let upstream = upstream(&["http://a", "http://b"]).unwrap();
        upstream.origins[0].checked(false);
        assert!((0..10).all(|_| upstream.choose(0) == Some(1)));
        assert_eq!(upstream.choose(0b10), Some(0));
        assert_eq!(upstream.choose(0b11), None);
        upstream.origins[1].checked(false);
        assert!(upstream.choose(0).is_some());
        assert!(!upstream.is_healthy());
    }
}
