//! Other programs' questions, answered by the same pipeline that serves requests.
//!
//! A caller asks in its own dialect whether a request may pass. The request is built again from what the caller
//! tells ([`Original`]), decided on like any other ([`Decider`]), and answered so that the caller's "copy what the
//! answer has" can carry nothing forged: every header that only the gateway may set is in the answer, empty where
//! the upstream is to get none.

mod answer;
mod envoy;
pub(crate) mod ext_authz;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub(crate) mod hasura;
mod nginx;
mod told;
mod verdict;

use http::{HeaderName, StatusCode, request::Parts};

use crate::request::{Peer, RequestError};

pub(crate) use answer::{allowed, refused};
pub(crate) use told::Original;
pub(crate) use verdict::{Decided, Decider, Verdict};

/// The header of every answer that tells why.
pub(crate) const X_CLERK_AUTH_REASON: HeaderName = HeaderName::from_static("x-clerk-auth-reason");

/// A way of asking over HTTP, each with a path of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// Caddy's `forward_auth`.
    Caddy,
    /// Envoy's `ext_authz` over HTTP.
    Envoy,
    /// HAProxy, by the Lua action that comes along.
    Haproxy,
    /// nginx's `auth_request`.
    Nginx,
    /// Traefik's `ForwardAuth`.
    Traefik,
}

impl Dialect {
    /// Finds the dialect of a path; only Envoy's goes on.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/caddy" => Some(Self::Caddy),
            "/haproxy" => Some(Self::Haproxy),
            "/nginx" => Some(Self::Nginx),
            "/traefik" => Some(Self::Traefik),
            _ => envoy::target(path).map(|_| Self::Envoy),
        }
    }

    /// Builds the request that is asked about from the one that asks.
    ///
    /// # Errors
    ///
    /// A [`RequestError`] where it is not clear to the last byte which request that is.
    pub(crate) fn original(self, peer: &Peer, asking: Parts) -> Result<Original, RequestError> {
        match self {
            Self::Caddy | Self::Traefik => told::original(&told::FORWARD_AUTH, peer, asking),
            Self::Haproxy | Self::Nginx => told::original(&told::ORIGINAL, peer, asking),
            Self::Envoy => envoy::original(peer, asking),
        }
    }

    /// Returns the status that tells the caller what `status` would tell a client.
    fn status(self, status: StatusCode) -> StatusCode {
        match self {
            Self::Nginx => nginx::status(status),
            Self::Caddy | Self::Envoy | Self::Haproxy | Self::Traefik => status,
        }
    }

    /// Tells whether the caller passes on a redirect.
    fn redirects(self) -> bool {
        self != Self::Nginx
    }

    /// Tells whether the caller takes headers away that an answer names.
    fn removes_headers(self) -> bool {
        self == Self::Envoy
    }
}
