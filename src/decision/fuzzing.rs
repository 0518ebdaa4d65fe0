//! The door to other programs' questions.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::request::Parts;

use super::{
    Dialect, Original,
    ext_authz::{CheckRequest, original, unframed},
};
use crate::request::{Peer, Scheme};

/// The request that is asked about, and whose it is.
#[derive(Debug)]
pub struct Asked {
    /// The client, or the caller that tells of it in headers.
    pub peer: IpAddr,
    /// The request.
    pub parts: Parts,
}

/// Reads a call's body as Envoy sends it over gRPC; `None` where it asks about nothing that is clear.
pub fn asked_by_envoy(body: &[u8]) -> Option<Asked> {
    let question: CheckRequest = unframed(Bytes::copy_from_slice(body)).ok()?;
    original(question).ok().map(Asked::from)
}

/// Reads a question over HTTP, by its path's dialect; `None` as above.
pub fn asked_by_header(parts: Parts) -> Option<Asked> {
    let peer = Peer::new(SocketAddr::from(([127, 0, 0, 1], 1)), Scheme::Http);
    let dialect = Dialect::of(parts.uri.path())?;
    dialect.original(&peer, parts).ok().map(Asked::from)
}

impl From<Original> for Asked {
    fn from(original: Original) -> Self {
        Self {
            peer: original.peer.address(),
            parts: original.parts,
        }
    }
}
