//! The ways to ask for a verdict: the proxy, each decision endpoint, and Envoy's questions over gRPC.

use std::{collections::BTreeMap, net::SocketAddr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{
    ext_authz::{Question, check_at},
    support::{
        process::{exchange, free_address, status_of},
        upstream::Upstream,
    },
};

const ENDPOINTS: [&str; 5] = ["/nginx", "/traefik", "/caddy", "/haproxy", "/envoy"];

/// What the upstream sees of these must be the same by every way.
const COMPARED: [&str; 16] = [
    "authorization",
    "cookie",
    "x-clerk-user-id",
    "x-clerk-session-id",
    "x-clerk-org-id",
    "x-clerk-org-role",
    "x-clerk-actor",
    "x_clerk_org_id",
    "x.clerk.user.id",
    "x-clerk-anything",
    "x-tenant",
    "x.tenant",
    "x-hasura-role",
    "x-hasura-user-id",
    "x-upstream-token",
    "x-debug",
];

/// What a proxy does not pass on, or writes itself.
const CALLERS_OWN: [&str; 10] = [
    "connection",
    "expect",
    "forwarded",
    "keep-alive",
    "proxy-connection",
    "te",
    "upgrade",
    "x-original-method",
    "x-original-uri",
    "x-real-ip",
];

/// What a proxy frames anew: nobody can ask about it.
const FRAMING: [&str; 3] = ["content-length", "trailer", "transfer-encoding"];

/// Where a gateway listens for questions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    decisions: SocketAddr,
    grpc: SocketAddr,
}

/// A request of a client's.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) host: String,
    pub(crate) lines: Vec<(String, String)>,
}

/// What becomes of it.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The upstream sees these of the compared headers.
    Passes(BTreeMap<&'static str, String>),
    /// The reason is unknown where an answer has no body; the status is 0 where gRPC has its own.
    Refused(u16, Option<String>),
}

impl Ways {
    pub(crate) fn new() -> Self {
        Self {
            decisions: free_address(),
            grpc: free_address(),
        }
    }

    /// Returns the section of the configuration that opens them.
    pub(crate) fn section(&self) -> String {
        let Self { decisions, grpc } = self;
        format!("[decision]\nlisten = \"{decisions}\"\ngrpc = \"{grpc}\"\n")
    }

    /// Asks by every way; panics where one says other than the proxy did.
    ///
    /// How long a head may be is each listener's own limit.
    pub(crate) async fn agree(&self, sent: &Sent, proxied: &Verdict) {
        if matches!(proxied, Verdict::Refused(414 | 431, None)) {
            return;
        }
        for endpoint in ENDPOINTS {
            let other = sent.asked(endpoint, self.decisions);
            assert_same(sent, endpoint, proxied, &other);
        }
        assert_same(sent, "gRPC", proxied, &sent.checked(self.grpc).await);
    }
}

impl Sent {
    /// Reads a request without a body that any proxy would ask about; `None` for what needs the exact bytes.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let head = text.strip_suffix("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut request = lines.next()?.split(' ');
        let (method, target) = (request.next()?, request.next()?);
        let is_origin_form = target.starts_with('/') && is_token(method);
        if (request.next(), request.next()) != (Some("HTTP/1.1"), None) || !is_origin_form {
            return None;
        }
        let lines: Option<Vec<_>> = lines.map(read_line).collect();
        let (hosts, lines): (Vec<_>, Vec<_>) =
            lines?.into_iter().partition(|(name, _)| name == "host");
        let [(_, host)] = &hosts[..] else {
            return None;
        };
        if lines
            .iter()
            .any(|(name, _)| FRAMING.contains(&name.as_str()))
        {
            return None;
        }
        let is_callers =
            |name: &str| CALLERS_OWN.contains(&name) || name.starts_with("x-forwarded-");
        Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: host.clone(),
            lines: lines
                .into_iter()
                .filter(|(name, _)| !is_callers(name))
                .collect(),
        })
    }

    pub(crate) fn head(&self, more: &str) -> String {
        let Self {
            method,
            target,
            host,
            lines,
        } = self;
        let lines: String = lines
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}{more}\r\n"
        )
    }

    /// Asks an endpoint as its caller does.
    fn asked(&self, endpoint: &str, decisions: SocketAddr) -> Verdict {
        let Self {
            method,
            target,
            host,
            lines,
        } = self;
        let from = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 127.0.0.1\r\n";
        let told = match endpoint {
            "/traefik" | "/caddy" => {
                format!("X-Forwarded-Method: {method}\r\nX-Forwarded-Uri: {target}\r\n")
            }
            _ => format!("X-Original-Method: {method}\r\nX-Original-URI: {target}\r\n"),
        };
        let question = match endpoint {
            "/envoy" => {
                let asking = Self {
                    target: format!("/envoy{target}"),
                    ..self.clone()
                };
                asking.head(from)
            }
            _ => {
                let asking = Self {
                    method: "GET".to_owned(),
                    target: endpoint.to_owned(),
                    host: "gateway.test".to_owned(),
                    lines: lines.clone(),
                };
                asking.head(&format!("{told}X-Forwarded-Host: {host}\r\n{from}"))
            }
        };
        let answer = exchange(decisions, question.as_bytes());
        match status_of(&answer) {
            200 => Verdict::Passes(seen(&answer)),
            status => Verdict::Refused(status, header(&answer, "x-clerk-auth-reason")),
        }
    }

    /// Asks as Envoy does over gRPC.
    async fn checked(&self, grpc: SocketAddr) -> Verdict {
        let mut question = Question::about(&self.target).raw();
        question.method = self.method.clone();
        question.host = self.host.clone();
        question.scheme = "http";
        question.from = "127.0.0.1";
        for (name, value) in &self.lines {
            question = question.line(&name.to_lowercase(), value);
        }
        let told = check_at(grpc, &question).await;
        if told.status != 0 {
            let status = u16::try_from(told.status).unwrap();
            return Verdict::Refused(status, told.headers.get("x-clerk-auth-reason").cloned());
        }
        assert_eq!(told.code, 0, "{told:?}");
        // What Envoy is not told to set or to remove goes on as the client sent it.
        let mut head = String::from("GET\r\n");
        for (name, value) in &self.lines {
            let name = name.to_lowercase();
            if !told.headers.contains_key(&name) && !told.removed.contains(&name) {
                head += &format!("{name}: {value}\r\n");
            }
        }
        for (name, value) in &told.headers {
            head += &format!("{name}: {value}\r\n");
        }
        Verdict::Passes(seen(&head))
    }
}

impl Verdict {
    /// Reads the proxy's answer, and what has arrived since `hits`.
    pub(crate) fn proxied(answer: &str, upstream: &Upstream, hits: usize) -> Self {
        if upstream.hits() > hits {
            return Self::Passes(seen(&upstream.last()));
        }
        // gRPC is refused by its own status: the slug is its message.
        if let Some(reason) = header(answer, "grpc-message") {
            return Self::Refused(0, Some(reason));
        }
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        Self::Refused(status_of(answer), body["code"].as_str().map(str::to_owned))
    }
}

/// A field line whose name and value no reader takes for something else.
fn read_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let clean = !value.bytes().any(|byte| byte.is_ascii_control());
    (is_token(name) && clean).then(|| (name.to_lowercase(), value.trim().to_owned()))
}

fn is_token(text: &str) -> bool {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(of_token)
}

fn header(answer: &str, name: &str) -> Option<String> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let values: Vec<_> = lines
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty())
        .collect();
    (!values.is_empty()).then(|| values.join("|"))
}

/// The compared headers of a head, those without a value left out.
pub(crate) fn seen(head: &str) -> BTreeMap<&'static str, String> {
    COMPARED
        .into_iter()
        .filter_map(|name| Some((name, token_shape(&header(head, name)?))))
        .collect()
}

/// A token's claims but for its times and its ID: it may be minted anew between two requests.
pub(crate) fn token_shape(value: &str) -> String {
    let claims = value
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|json| serde_json::from_slice(&json).ok());
    let Some(Value::Object(mut claims)) = claims else {
        return value.to_owned();
    };
    for fleeting in ["exp", "iat", "jti", "nbf"] {
        claims.remove(fleeting);
    }
    let (scheme, _) = value.split_once(' ').unwrap_or_default();
    format!("{scheme} {}", Value::Object(claims))
}

/// Panics where one way refuses what the other lets pass, or for another reason, or shows the upstream another head.
pub(crate) fn assert_same(sent: &Sent, way: &str, proxied: &Verdict, other: &Verdict) {
    let same = match (proxied, other) {
        (Verdict::Passes(one), Verdict::Passes(other)) => one == other,
        (Verdict::Refused(status, reason), Verdict::Refused(asked, other)) => {
            // nginx hears 403 for what is no 401; gRPC clients have no status of HTTP's.
            let nginx = way == "/nginx" && *asked == 403 && (400..500).contains(status);
            let statuses = status == asked || *status == 0 || nginx;
            statuses && (reason.is_none() || reason == other)
        }
        _ => false,
    };
    let mut shown = sent.clone();
    // Tokens are long, and all of them are the sandbox's.
    shown
        .lines
        .iter_mut()
        .for_each(|(_, value)| value.truncate(40));
    assert!(
        same,
        "{way}\n{shown:?}\nproxy: {proxied:?}\n{way}: {other:?}"
    );
}
