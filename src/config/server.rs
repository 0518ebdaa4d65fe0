//! `[server]`: where the gateway listens, whom it believes, what it bears.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{checks, duration::Period, error::Findings};

/// `[server]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerSection {
    /// Where requests come in.
    pub(crate) listen: String,
    /// Where /livez, /readyz and /metrics are served; nowhere unless set.
    pub(crate) admin: Option<String>,
    /// The networks whose X-Forwarded-* and Forwarded count.
    pub(crate) trusted_proxies: Vec<String>,
    /// How many worker threads run; 0: one a core.
    pub(crate) workers: usize,
    /// How many connections are served at once; more wait to be accepted.
    pub(crate) max_connections: usize,
    /// How large a request's head may be, in bytes.
    pub(crate) max_header_bytes: usize,
    /// How long a request's head may take; also how long an idle connection is kept.
    pub(crate) header_read_timeout: Period,
    /// How long requests in flight may go on after SIGTERM.
    pub(crate) drain_timeout: Period,
}

/// `[server]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// 0: one a core.
    pub(crate) workers: usize,
    pub(crate) max_connections: usize,
    /// 8 KiB to 1 MiB.
    pub(crate) max_header_bytes: usize,
    pub(crate) header_read_timeout: Duration,
    pub(crate) drain_timeout: Duration,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            admin: None,
            trusted_proxies: Vec::new(),
            workers: 0,
            max_connections: 20_000,
            max_header_bytes: 65_536,
            header_read_timeout: Period::secs(10),
            drain_timeout: Period::secs(30),
        }
    }
}

impl ServerSection {
    /// Returns the settings, or `None` after noting why there are none.
    pub(crate) fn check(&self, findings: &mut Findings) -> Option<ServerSettings> {
        let listen = checks::address("server.listen", &self.listen, findings);
        let admin = self
            .admin
            .as_deref()
            .map(|text| checks::address("server.admin", text, findings));
        if let (Some(listen), Some(Some(admin))) = (listen, admin) {
            check_apart(listen, admin, findings);
        }
        let proxies = "server.trusted_proxies";
        let trusted_proxies = checks::networks(proxies, &self.trusted_proxies, findings);
        self.check_bounds(findings);
        Some(ServerSettings {
            listen: listen?,
            admin: match admin {
                Some(address) => Some(address?),
                None => None,
            },
            trusted_proxies,
            workers: self.workers,
            max_connections: self.max_connections,
            max_header_bytes: self.max_header_bytes,
            header_read_timeout: self.header_read_timeout.0,
            drain_timeout: self.drain_timeout.0,
        })
    }

    fn check_bounds(&self, findings: &mut Findings) {
        if self.max_connections == 0 {
            let key = "server.max_connections";
            findings.problem(key, "0 would serve nobody", "use at least 1");
        }
        if self.workers > 1024 {
            let what = format!("{} is more than any machine has", self.workers);
            findings.problem("server.workers", what, "use 0 for one a core");
        }
        if !(8192..=1_048_576).contains(&self.max_header_bytes) {
            let what = format!("{} is out of range", self.max_header_bytes);
            let fix = "use 8192 to 1048576 bytes";
            findings.problem("server.max_header_bytes", what, fix);
        }
        if self.header_read_timeout < Period::millis(100) {
            let what = format!("{} is too short", self.header_read_timeout);
            findings.problem("server.header_read_timeout", what, "use at least 100ms");
        }
    }
}

fn check_apart(listen: SocketAddr, admin: SocketAddr, findings: &mut Findings) {
    let wildcard = listen.ip().is_unspecified() || admin.ip().is_unspecified();
    let same_ip = listen.ip() == admin.ip() || wildcard;
    if same_ip && listen.port() == admin.port() && listen.port() != 0 {
        findings.problem(
            "server.admin",
            format!("{admin} is taken by server.listen ({listen})"),
            "give it a port of its own, as in 127.0.0.1:9090",
        );
    }
}
