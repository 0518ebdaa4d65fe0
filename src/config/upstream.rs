//! `[[upstream]]`: the services behind the gateway.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use http::uri::PathAndQuery;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{checks, duration::Period, error::Findings, secret};
use crate::proxy::{HealthCheck, Protocol, UpstreamConfig, UpstreamLimits, UpstreamTls};

type Reader = fn(&str, &Path, &mut Findings) -> Option<String>;

/// One `[[upstream]]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamSection {
    /// The name that routes use.
    pub(crate) name: String,
    /// Where it is: scheme, host and port, or unix:/path.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// Where its instances are, instead of `url`.
    #[serde(default)]
    pub(crate) urls: Option<Vec<String>>,
    /// The HTTP version: what ALPN settles unless set.
    #[serde(default)]
    pub(crate) protocol: ProtocolName,
    /// PEM of the authorities that count for https://, instead of the public ones.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// The name to ask for and to find certified, instead of the URL's host.
    #[serde(default)]
    pub(crate) server_name: Option<String>,
    /// The gateway's own certificate, PEM.
    #[serde(default)]
    pub(crate) client_cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(default)]
    pub(crate) client_key_file: Option<PathBuf>,
    /// How its instances are asked whether they are well; not at all unless set.
    #[serde(default)]
    pub(crate) health: Option<HealthSection>,
    /// How long a connection may take, TLS included.
    #[serde(default = "periods::connect")]
    pub(crate) connect_timeout: Period,
    /// How long an answer's head may take.
    #[serde(default = "periods::response")]
    pub(crate) response_timeout: Period,
    /// How long an answer's body may stand still.
    #[serde(default = "periods::idle")]
    pub(crate) idle_timeout: Period,
    /// How long a request and its answer may take in all; any time unless set.
    #[serde(default)]
    pub(crate) total_timeout: Option<Period>,
    /// How long a WebSocket or other upgraded connection may stand still.
    #[serde(default = "periods::upgrade_idle")]
    pub(crate) upgrade_idle_timeout: Period,
    /// How long an unused connection is kept: less than the upstream keeps it.
    #[serde(default = "periods::keep_alive")]
    pub(crate) keep_alive: Period,
    /// How many requests it gets at once; with HTTP/1.1 each has a connection of its own.
    #[serde(default = "numbers::requests")]
    pub(crate) max_requests: usize,
    /// How many more may wait for their turn.
    #[serde(default = "numbers::waiting")]
    pub(crate) max_waiting: usize,
    /// How long one waits.
    #[serde(default = "periods::queue")]
    pub(crate) queue_timeout: Period,
}

/// The HTTP version that an upstream is spoken to in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProtocolName {
    /// What ALPN settles; HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 by prior knowledge, without TLS.
    H2c,
}

/// How an upstream's instances are asked whether they are well.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthSection {
    /// What is asked for by GET: 2xx and 3xx are well.
    pub(crate) path: String,
    /// How often.
    #[serde(default = "periods::health")]
    pub(crate) interval: Period,
    /// How long an answer may take.
    #[serde(default = "periods::health_timeout")]
    pub(crate) timeout: Period,
    /// Failures in a row until an instance gets no requests.
    #[serde(default = "numbers::unhealthy")]
    pub(crate) unhealthy_after: u32,
    /// Successes in a row until it gets them again.
    #[serde(default = "numbers::healthy")]
    pub(crate) healthy_after: u32,
}

mod periods {
    use super::{Period, UpstreamLimits};

    pub(super) fn connect() -> Period {
        Period(UpstreamLimits::default().connect_timeout)
    }

    pub(super) fn response() -> Period {
        Period(UpstreamLimits::default().response_timeout)
    }

    pub(super) fn idle() -> Period {
        Period(UpstreamLimits::default().idle_timeout)
    }

    pub(super) fn upgrade_idle() -> Period {
        Period(UpstreamLimits::default().upgrade_idle_timeout)
    }

    pub(super) fn keep_alive() -> Period {
        Period(UpstreamLimits::default().keep_alive)
    }

    pub(super) fn queue() -> Period {
        Period(UpstreamLimits::default().queue_timeout)
    }

    pub(super) fn health() -> Period {
        Period::secs(5)
    }

    pub(super) fn health_timeout() -> Period {
        Period::secs(2)
    }
}

mod numbers {
    use super::UpstreamLimits;

    pub(super) fn requests() -> usize {
        UpstreamLimits::default().max_requests
    }

    pub(super) fn waiting() -> usize {
        UpstreamLimits::default().max_waiting
    }

    pub(super) const fn unhealthy() -> u32 {
        2
    }

    pub(super) const fn healthy() -> u32 {
        1
    }
}

impl UpstreamSection {
    /// Returns the upstream that `--upstream URL` describes.
    pub(crate) fn at(url: &str) -> Self {
        Self {
            name: "app".to_owned(),
            url: Some(url.to_owned()),
            urls: None,
            protocol: ProtocolName::default(),
            ca_file: None,
            server_name: None,
            client_cert_file: None,
            client_key_file: None,
            health: None,
            connect_timeout: periods::connect(),
            response_timeout: periods::response(),
            idle_timeout: periods::idle(),
            total_timeout: None,
            upgrade_idle_timeout: periods::upgrade_idle(),
            keep_alive: periods::keep_alive(),
            max_requests: numbers::requests(),
            max_waiting: numbers::waiting(),
            queue_timeout: periods::queue(),
        }
    }

    fn check(&self, place: &str, findings: &mut Findings) -> Option<UpstreamConfig> {
        let urls = match (&self.url, &self.urls) {
            (Some(url), None) => origin(&format!("{place}.url"), url, findings)
                .into_iter()
                .collect(),
            (None, Some(urls)) => self.check_urls(place, urls, findings),
            (Some(_), Some(_)) => {
                let key = format!("{place}.urls");
                findings.problem(&key, "both url and urls are given", "remove one of them");
                Vec::new()
            }
            (None, None) => {
                let key = format!("{place}.url");
                findings.problem(&key, "is missing", "set it, as in http://127.0.0.1:3000");
                Vec::new()
            }
        };
        self.check_bounds(place, findings);
        let tls = self.check_tls(place, findings);
        let health = self.health.as_ref();
        let health = health.map(|health| health.check(&format!("{place}.health"), findings));
        let health = match health {
            None => None,
            Some(checked) => Some(checked?),
        };
        (!urls.is_empty()).then(|| UpstreamConfig {
            name: self.name.clone(),
            urls,
            protocol: self.protocol.into(),
            tls,
            health,
            limits: self.limits(),
        })
    }

    fn limits(&self) -> UpstreamLimits {
        UpstreamLimits {
            connect_timeout: self.connect_timeout.0,
            response_timeout: self.response_timeout.0,
            idle_timeout: self.idle_timeout.0,
            total_timeout: self.total_timeout.map(|period| period.0),
            upgrade_idle_timeout: self.upgrade_idle_timeout.0,
            keep_alive: self.keep_alive.0,
            max_requests: self.max_requests,
            max_waiting: self.max_waiting,
            queue_timeout: self.queue_timeout.0,
        }
    }

    fn check_bounds(&self, place: &str, findings: &mut Findings) {
        for (name, period) in [
            ("connect_timeout", self.connect_timeout),
            ("response_timeout", self.response_timeout),
            ("idle_timeout", self.idle_timeout),
            ("upgrade_idle_timeout", self.upgrade_idle_timeout),
            (
                "total_timeout",
                self.total_timeout.unwrap_or(Period::secs(1)),
            ),
        ] {
            if period == Period::millis(0) {
                let key = format!("{place}.{name}");
                findings.problem(&key, "0s would fail every request", "use at least 1ms");
            }
        }
        if self.max_requests == 0 {
            let key = format!("{place}.max_requests");
            findings.problem(&key, "0 would fail every request", "use at least 1");
        }
    }

    fn check_tls(&self, place: &str, findings: &mut Findings) -> UpstreamTls {
        let mut read = |name: &str, path: &Option<PathBuf>, by: Reader| {
            let key = format!("{place}.{name}");
            by(&key, path.as_ref()?, findings)
        };
        let authorities = read("ca_file", &self.ca_file, secret::read_text);
        let cert = read(
            "client_cert_file",
            &self.client_cert_file,
            secret::read_text,
        );
        let key = read(
            "client_key_file",
            &self.client_key_file,
            secret::read_secret,
        );
        if self.client_cert_file.is_some() != self.client_key_file.is_some() {
            let at = format!("{place}.client_cert_file");
            let what = "a certificate and its key go together";
            findings.problem(&at, what, "set client_cert_file and client_key_file");
        }
        UpstreamTls {
            authorities,
            server_name: self.server_name.clone(),
            identity: cert.zip(key.map(Into::into)),
        }
    }

    fn check_urls(&self, place: &str, urls: &[String], findings: &mut Findings) -> Vec<String> {
        if urls.is_empty() {
            let fix = "name at least one, as in [\"http://127.0.0.1:3000\"]";
            findings.problem(&format!("{place}.urls"), "is empty", fix);
        }
        urls.iter()
            .enumerate()
            .filter_map(|(index, url)| origin(&format!("{place}.urls[{index}]"), url, findings))
            .collect()
    }
}

impl From<ProtocolName> for Protocol {
    fn from(name: ProtocolName) -> Self {
        match name {
            ProtocolName::Auto => Self::Auto,
            ProtocolName::Http1 => Self::Http1,
            ProtocolName::H2 => Self::H2,
            ProtocolName::H2c => Self::H2c,
        }
    }
}

impl HealthSection {
    fn check(&self, place: &str, findings: &mut Findings) -> Option<HealthCheck> {
        for (name, period) in [("interval", self.interval), ("timeout", self.timeout)] {
            if period < Period::millis(10) {
                let key = format!("{place}.{name}");
                findings.problem(&key, format!("{period} is too short"), "use at least 10ms");
            }
        }
        for (name, count) in [
            ("unhealthy_after", self.unhealthy_after),
            ("healthy_after", self.healthy_after),
        ] {
            if count == 0 {
                let key = format!("{place}.{name}");
                findings.problem(&key, "0 answers give no verdict", "use at least 1");
            }
        }
        let path = self.path.parse::<PathAndQuery>().ok();
        let Some(path) = path.filter(|_| self.path.starts_with('/')) else {
            let key = format!("{place}.path");
            let what = format!("{:?} is not a path", self.path);
            findings.problem(&key, what, "write it as in /healthz");
            return None;
        };
        Some(HealthCheck {
            path,
            interval: self.interval.0.max(Duration::from_millis(10)),
            timeout: self.timeout.0,
            unhealthy_after: self.unhealthy_after,
            healthy_after: self.healthy_after,
        })
    }
}

/// Checks all upstreams, and that each has a name of its own.
pub(crate) fn check_all(
    sections: &[UpstreamSection],
    findings: &mut Findings,
) -> Vec<UpstreamConfig> {
    let mut names = HashSet::new();
    let mut checked = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let place = format!("upstream[{index}]");
        let name = format!("{place}.name");
        if section.name.trim().is_empty() {
            findings.problem(&name, "is empty", "name it, as in name = \"app\"");
        } else if !names.insert(section.name.as_str()) {
            let what = format!("two upstreams are named {:?}", section.name);
            findings.problem(&name, what, "give each a name of its own");
        }
        checked.extend(section.check(&place, findings));
    }
    checked
}

fn origin(key: &str, text: &str, findings: &mut Findings) -> Option<String> {
    if let Some(path) = text.strip_prefix("unix:") {
        if !path.starts_with('/') || path.len() < 2 {
            let what = "is not a socket's absolute path";
            findings.problem(key, what, "write it as in unix:/run/app.sock");
            return None;
        }
        return Some(text.to_owned());
    }
    let uri = checks::url(key, text, findings)?;
    if !matches!(uri.path(), "" | "/") {
        let what = "has a path, but requests go on under the path they came with";
        findings.problem(key, what, "write scheme, host and port only");
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}
