//! What the access log tells of one request.

use std::{
    net::IpAddr,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use http::{
    HeaderMap, HeaderName, StatusCode, Version,
    header::{HOST, USER_AGENT},
    request::Parts,
};

use crate::{
    pipeline::ClientAddress,
    request::trace_id,
    telemetry::access::{AccessLog, Entry, rfc3339},
};

/// The longest of what a client chooses; the rest is left out.
const LONGEST: usize = 512;

/// What is known when a request begins.
pub(super) struct Line {
    began: Instant,
    method: String,
    host: String,
    path: String,
    version: &'static str,
    trace_id: Option<String>,
    user_agent: String,
}

/// What is known when it is answered.
pub(super) struct Ended<'a> {
    /// Behind the trusted proxies; `None` where nobody could tell.
    pub(super) client: Option<ClientAddress>,
    pub(super) peer: IpAddr,
    pub(super) route: Option<&'a str>,
    pub(super) status: StatusCode,
    pub(super) reason: Option<&'a str>,
}

impl Line {
    pub(super) fn begun(parts: &Parts, began: Instant) -> Self {
        let host = match parts.uri.authority() {
            Some(authority) => shortened(authority.as_str()),
            None => text(&parts.headers, &HOST),
        };
        Self {
            began,
            method: shortened(parts.method.as_str()),
            host,
            path: shortened(parts.uri.path()),
            version: match parts.version {
                Version::HTTP_2 => "HTTP/2",
                Version::HTTP_10 => "HTTP/1.0",
                _ => "HTTP/1.1",
            },
            trace_id: trace_id(&parts.headers).map(str::to_owned),
            user_agent: text(&parts.headers, &USER_AGENT),
        }
    }

    pub(super) fn log(&self, log: &AccessLog, request_id: &str, ended: &Ended<'_>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        log.log(&Entry {
            time: rfc3339(now.unwrap_or_default()),
            request_id,
            trace_id: self.trace_id.as_deref(),
            client: ended
                .client
                .map_or(ended.peer, |ClientAddress(client)| client),
            method: &self.method,
            host: &self.host,
            path: &self.path,
            version: self.version,
            route: ended.route,
            status: ended.status.as_u16(),
            reason: ended.reason,
            duration_ms: self.began.elapsed().as_secs_f64() * 1000.0,
            user_agent: &self.user_agent,
        });
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).map(|value| value.as_bytes());
    shortened(&String::from_utf8_lossy(value.unwrap_or_default()))
}

fn shortened(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).collect()
}
