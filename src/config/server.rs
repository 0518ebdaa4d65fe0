//! `[server]`: where the gateway listens, whom it believes, what it bears.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{checks, duration::Period, error::Findings, secret};
use crate::server::{CertificatePem, ClientCertificates, Presence, TlsIdentity};

/// `[server]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerSection {
    /// Where requests come in.
    pub(crate) listen: String,
    /// Where /livez, /readyz, /metrics, /config and the operations are served; nowhere unless set.
    pub(crate) admin: Option<String>,
    /// The file with the bearer token that the admin port's operations need; without it they are for this machine alone.
    pub(crate) admin_token_file: Option<PathBuf>,
    /// How often the configuration's files are looked at for changes; 0s: never.
    pub(crate) watch_interval: Period,
    /// The networks whose X-Forwarded-* and Forwarded count.
    pub(crate) trusted_proxies: Vec<String>,
    /// How many worker threads run; 0: one a core.
    pub(crate) workers: usize,
    /// Whether HTTP/2 by prior knowledge is spoken beside HTTP/1.1, where there is no TLS.
    pub(crate) h2c: bool,
    /// Certificates: with one or more, the listener speaks TLS, and HTTP/2 where the client can.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tls: Vec<TlsSection>,
    /// PEM of the authorities whose client certificates count; none are asked for unless set.
    pub(crate) client_ca: Option<PathBuf>,
    /// Whether clients must have a certificate.
    pub(crate) client_auth: Option<ClientAuth>,
    /// How many connections are served at once; for more, those without a request make room, or they wait to be accepted.
    pub(crate) max_connections: usize,
    /// How many of them one client address may hold; 0: any number. Trusted proxies are not counted.
    pub(crate) max_connections_per_address: usize,
    /// How large a request's head may be, in bytes.
    pub(crate) max_header_bytes: usize,
    /// How many header lines a request may have.
    pub(crate) max_headers: usize,
    /// How long a request's path and query may be, in bytes.
    pub(crate) max_uri_bytes: usize,
    /// How many requests one HTTP/2 connection may have at once.
    pub(crate) max_streams: u32,
    /// How long the TLS handshake, or telling HTTP/2 from HTTP/1.1, may take.
    pub(crate) handshake_timeout: Period,
    /// How long a request's head may take from its first byte.
    pub(crate) header_read_timeout: Period,
    /// How long a connection is kept between requests.
    pub(crate) idle_timeout: Period,
    /// How long a client may take no byte of an answer.
    pub(crate) write_timeout: Period,
    /// How large a request's body may be, in bytes; 0: any size. A route may say its own.
    pub(crate) max_body_bytes: u64,
    /// How long a request's body may stand still.
    pub(crate) body_idle_timeout: Period,
    /// How long requests in flight may go on after SIGTERM.
    pub(crate) drain_timeout: Period,
}

/// `[server]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) admin_token: Option<SecretString>,
    /// 0: never.
    pub(crate) watch_interval: Duration,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// 0: one a core.
    pub(crate) workers: usize,
    pub(crate) h2c: bool,
    /// `None`: plain text.
    pub(crate) tls: Option<TlsIdentity>,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_address: usize,
    /// 8 KiB to 1 MiB.
    pub(crate) max_header_bytes: usize,
    pub(crate) max_headers: usize,
    pub(crate) max_uri_bytes: usize,
    pub(crate) max_streams: u32,
    pub(crate) handshake_timeout: Duration,
    pub(crate) header_read_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) write_timeout: Duration,
    /// 0: any size.
    pub(crate) max_body_bytes: u64,
    pub(crate) body_idle_timeout: Duration,
    pub(crate) drain_timeout: Duration,
}

/// One `[[server.tls]]`: a certificate chain and its private key, PEM files both.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSection {
    /// The certificate, then those that it was signed by.
    pub(crate) cert: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// Whether clients must have a certificate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientAuth {
    /// One that is presented must be good.
    Optional,
    /// There is no connection without a good one.
    Required,
}

impl ServerSettings {
    /// Names the keys that differ and that only a restart can change.
    pub(crate) fn restart_only(&self, other: &Self) -> Vec<&'static str> {
        let same = [
            ("listen", self.listen == other.listen),
            ("admin", self.admin == other.admin),
            ("workers", self.workers == other.workers),
            ("h2c", self.h2c == other.h2c),
            ("tls", self.tls.is_some() == other.tls.is_some()),
            (
                "watch_interval",
                self.watch_interval == other.watch_interval,
            ),
            (
                "max_connections",
                self.max_connections == other.max_connections,
            ),
            (
                "max_connections_per_address",
                self.max_connections_per_address == other.max_connections_per_address,
            ),
            (
                "max_header_bytes",
                self.max_header_bytes == other.max_header_bytes,
            ),
            ("max_headers", self.max_headers == other.max_headers),
            ("max_streams", self.max_streams == other.max_streams),
            (
                "handshake_timeout",
                self.handshake_timeout == other.handshake_timeout,
            ),
            (
                "header_read_timeout",
                self.header_read_timeout == other.header_read_timeout,
            ),
            ("idle_timeout", self.idle_timeout == other.idle_timeout),
            ("write_timeout", self.write_timeout == other.write_timeout),
            ("drain_timeout", self.drain_timeout == other.drain_timeout),
        ];
        let differs = |(key, same): (&'static str, bool)| (!same).then_some(key);
        same.into_iter().filter_map(differs).collect()
    }
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            admin: None,
            admin_token_file: None,
            watch_interval: Period::secs(2),
            trusted_proxies: Vec::new(),
            workers: 0,
            h2c: false,
            tls: Vec::new(),
            client_ca: None,
            client_auth: None,
            max_connections: 20_000,
            max_connections_per_address: 10_000,
            max_header_bytes: 65_536,
            max_headers: 100,
            max_uri_bytes: 16_384,
            max_streams: 100,
            handshake_timeout: Period::secs(10),
            header_read_timeout: Period::secs(10),
            idle_timeout: Period::secs(75),
            write_timeout: Period::secs(30),
            max_body_bytes: 4 * 1024 * 1024 * 1024,
            body_idle_timeout: Period::secs(30),
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
        let admin_token = self.check_admin_token(findings);
        let tls = self.check_tls(findings);
        Some(ServerSettings {
            listen: listen?,
            admin: match admin {
                Some(address) => Some(address?),
                None => None,
            },
            admin_token,
            watch_interval: self.watch_interval.0,
            trusted_proxies,
            workers: self.workers,
            h2c: self.h2c,
            tls,
            max_connections: self.max_connections,
            max_connections_per_address: self.max_connections_per_address,
            max_header_bytes: self.max_header_bytes,
            max_headers: self.max_headers,
            max_uri_bytes: self.max_uri_bytes,
            max_streams: self.max_streams,
            handshake_timeout: self.handshake_timeout.0,
            header_read_timeout: self.header_read_timeout.0,
            idle_timeout: self.idle_timeout.0,
            write_timeout: self.write_timeout.0,
            max_body_bytes: self.max_body_bytes,
            body_idle_timeout: self.body_idle_timeout.0,
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
        let header_bytes = ("max_header_bytes", self.max_header_bytes, 8192, 1_048_576);
        let headers = ("max_headers", self.max_headers, 16, 10_000);
        // hyper refuses a longer target by itself.
        let uri_bytes = ("max_uri_bytes", self.max_uri_bytes, 256, 65_534);
        let streams = ("max_streams", self.max_streams as usize, 1, 100_000);
        for (name, value, least, most) in [header_bytes, headers, uri_bytes, streams] {
            if !(least..=most).contains(&value) {
                let what = format!("{value} is out of range");
                let fix = format!("use {least} to {most}");
                findings.problem(&format!("server.{name}"), what, fix);
            }
        }
        for (name, period) in [
            ("handshake_timeout", self.handshake_timeout),
            ("header_read_timeout", self.header_read_timeout),
            ("idle_timeout", self.idle_timeout),
            ("write_timeout", self.write_timeout),
            ("body_idle_timeout", self.body_idle_timeout),
        ] {
            if period < Period::millis(100) {
                let what = format!("{period} is too short");
                findings.problem(&format!("server.{name}"), what, "use at least 100ms");
            }
        }
    }

    fn check_admin_token(&self, findings: &mut Findings) -> Option<SecretString> {
        let path = self.admin_token_file.as_ref()?;
        let token = secret::read_secret("server.admin_token_file", path, findings)?;
        let token = token.trim();
        if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = "holds a token that is short, or has spaces or odd bytes";
            let fix = "write at least 16 letters and digits, as from `openssl rand -hex 32`";
            findings.problem("server.admin_token_file", what, fix);
        }
        Some(token.into())
    }

    fn check_tls(&self, findings: &mut Findings) -> Option<TlsIdentity> {
        let clients = self.check_clients(findings);
        if self.tls.is_empty() {
            return None;
        }
        if self.h2c {
            let what = "is set beside [[server.tls]]: with TLS, ALPN settles the protocol";
            findings.problem("server.h2c", what, "remove one of them");
        }
        let certificates = self.tls.iter().enumerate().filter_map(|(index, tls)| {
            let place = format!("server.tls[{index}]");
            let chain = secret::read_text(&format!("{place}.cert"), &tls.cert, findings);
            let key = secret::read_secret(&format!("{place}.key"), &tls.key, findings);
            Some(CertificatePem {
                file: tls.cert.display().to_string(),
                chain: chain?,
                key: key?.into(),
            })
        });
        Some(TlsIdentity {
            certificates: certificates.collect(),
            clients,
        })
    }

    fn check_clients(&self, findings: &mut Findings) -> Option<ClientCertificates> {
        let Some(path) = &self.client_ca else {
            if self.client_auth.is_some() {
                let what = "is set, but nobody is named whose certificates count";
                findings.problem("server.client_auth", what, "set server.client_ca");
            }
            return None;
        };
        if self.tls.is_empty() {
            let what = "is set, but the listener does not speak TLS";
            findings.problem("server.client_ca", what, "add a [[server.tls]]");
        }
        let presence = match self.client_auth {
            Some(ClientAuth::Optional) => Presence::Optional,
            Some(ClientAuth::Required) => Presence::Required,
            None => {
                let what = "is set, but not whether clients must have a certificate";
                let fix = "set server.client_auth to \"optional\" or \"required\"";
                findings.problem("server.client_ca", what, fix);
                return None;
            }
        };
        let authorities = secret::read_text("server.client_ca", path, findings)?;
        Some(ClientCertificates {
            authorities,
            presence,
        })
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
