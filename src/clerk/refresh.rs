//! What a session's refresh is asked with.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

/// What a refresh is to give.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RefreshFormat {
    /// The cookies to set.
    Cookie,
    /// A session token; Clerk's default.
    #[default]
    Token,
}

/// An expired session token and what belongs to it.
#[derive(Clone)]
#[must_use]
pub struct RefreshRequest {
    expired_token: SecretString,
    refresh_token: SecretString,
    request_origin: String,
    request_headers: BTreeMap<String, Vec<String>>,
    format: Option<RefreshFormat>,
    request_originating_ip: Option<IpAddr>,
    pub(super) suffixed_cookies: bool,
}

impl RefreshRequest {
    /// Takes the expired session token, the `__refresh_…` cookie, and the original request's origin.
    pub fn new(
        expired_token: SecretString,
        refresh_token: SecretString,
        request_origin: impl Into<String>,
    ) -> Self {
        Self {
            expired_token,
            refresh_token,
            request_origin: request_origin.into(),
            request_headers: BTreeMap::new(),
            format: None,
            request_originating_ip: None,
            suffixed_cookies: false,
        }
    }

    /// Adds one header of the original request.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let values = self.request_headers.entry(name.into()).or_default();
        values.push(value.into());
        self
    }

    /// Says what to give.
    pub fn format(mut self, format: RefreshFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Says where the original request came from.
    pub fn originating_ip(mut self, ip: IpAddr) -> Self {
        self.request_originating_ip = Some(ip);
        self
    }

    /// Says that the application's cookies have the instance's suffix.
    pub fn suffixed_cookies(mut self) -> Self {
        self.suffixed_cookies = true;
        self
    }

    pub(super) fn body(&self) -> Bytes {
        super::sessions::json(&Body {
            expired_token: self.expired_token.expose_secret(),
            refresh_token: self.refresh_token.expose_secret(),
            request_origin: &self.request_origin,
            request_headers: (!self.request_headers.is_empty()).then_some(&self.request_headers),
            format: self.format,
            request_originating_ip: self.request_originating_ip,
        })
    }
}

#[derive(Serialize)]
struct Body<'a> {
    expired_token: &'a str,
    refresh_token: &'a str,
    request_origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_headers: Option<&'a BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<RefreshFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_originating_ip: Option<IpAddr>,
}

impl fmt::Debug for RefreshRequest {
    /// Leaves the headers out too: they hold the caller's cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRequest")
            .field("request_origin", &self.request_origin)
            .finish_non_exhaustive()
    }
}
