//! One connection: its handshake, and then its protocol.

mod http1;
mod http2;

use std::{error::Error, io, net::SocketAddr, sync::Arc};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn, service::Service};
use hyper_util::rt::TokioExecutor;
use tokio::{net::TcpStream, time::timeout};

use super::{
    Drain, ServeLimits,
    cut::Cut,
    preface::{self, Protocol, Replayed},
    tls::Tls,
};
use crate::{
    limit::places::Place,
    request::{HeadFault, Peer, Scheme},
    telemetry::traffic,
};

/// What a listener's connections speak before HTTP.
#[derive(Clone)]
pub(crate) enum Transport {
    /// HTTP/2 by prior knowledge only.
    H2c,
    /// HTTP/1.1 only.
    Plain,
    /// HTTP/1.1, or HTTP/2 by prior knowledge.
    PlainOrH2c,
    /// TLS; the protocol is the one that ALPN settles.
    Tls(Arc<Tls>),
}

impl Transport {
    async fn handshake(&self, stream: TcpStream) -> io::Result<Handshaken> {
        match self {
            Self::H2c => match preface::sniff(stream).await? {
                (stream, Protocol::Http2) => Ok(Handshaken::Plain(stream, Protocol::Http2)),
                (_, Protocol::Http1) => Err(io::ErrorKind::InvalidData.into()),
            },
            Self::Plain => Ok(Handshaken::Plain(Replayed::new(stream), Protocol::Http1)),
            Self::PlainOrH2c => {
                let (stream, protocol) = preface::sniff(stream).await?;
                Ok(Handshaken::Plain(stream, protocol))
            }
            Self::Tls(tls) => {
                let stream = tls.accept(stream).await?;
                let protocol = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Protocol::Http2,
                    _ => Protocol::Http1,
                };
                let stream = Box::new(Replayed::new(stream));
                Ok(Handshaken::Tls(stream, protocol))
            }
        }
    }
}

/// The connection that a request came by; in each request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionInfo {
    /// The other end.
    pub(crate) peer: Peer,
    /// Why this request's head is ambiguous, where it is.
    pub(crate) fault: Option<HeadFault>,
}

/// Serves connections alike.
pub(super) struct Connections<S> {
    service: S,
    transport: Transport,
    limits: ServeLimits,
    http1: conn::http1::Builder,
    http2: conn::http2::Builder<TokioExecutor>,
    drain: Drain,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl<S, B> Connections<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(service: S, transport: Transport, limits: ServeLimits, drain: Drain) -> Self {
        Self {
            service,
            transport,
            http1: http1::builder(&limits),
            http2: http2::builder(&limits),
            limits,
            drain,
        }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(&self, stream: TcpStream, peer: SocketAddr, place: Place) {
        tokio::select! {
            // What is under way comes first, so that a connection that is asked to leave is free.
            biased;
            () = self.serve_to_its_end(stream, peer, place.clone()) => {}
            () = place.asked() => {
                traffic::closed("made-room");
                tracing::debug!(client.address = %peer, "connection made room for another");
            }
        }
    }

    async fn serve_to_its_end(&self, stream: TcpStream, peer: SocketAddr, place: Place) {
        let mut drain = self.drain.clone();
        // Apart, as what follows: a connection would carry the room for the largest of them.
        let handshake = Box::pin(self.transport.handshake(stream));
        let protocol = tokio::select! {
            biased;
            () = drain.begun() => return,
            protocol = timeout(self.limits.handshake, handshake) => protocol,
        };
        let own = (Cut::default(), place);
        let cut = own.0.clone();
        let (plain, tls) = ((peer, Scheme::Http), (peer, Scheme::Https));
        let ended = match protocol {
            Ok(Ok(Handshaken::Plain(stream, Protocol::Http1))) => {
                Box::pin(self.http1(stream, plain, own)).await
            }
            Ok(Ok(Handshaken::Plain(stream, Protocol::Http2))) => {
                Box::pin(self.http2(stream, plain, own)).await
            }
            Ok(Ok(Handshaken::Tls(stream, Protocol::Http1))) => {
                Box::pin(self.http1(*stream, tls, own)).await
            }
            Ok(Ok(Handshaken::Tls(stream, Protocol::Http2))) => {
                Box::pin(self.http2(*stream, tls, own)).await
            }
            Ok(Err(error)) => {
                traffic::closed("handshake-failed");
                tracing::debug!(client.address = %peer, %error, "handshake failed");
                return;
            }
            Err(_) => {
                traffic::closed("handshake-timeout");
                tracing::debug!(client.address = %peer, "handshake took too long");
                return;
            }
        };
        if let Err(error) = ended {
            // Mostly clients that left or idled.
            if !cut.was_made() {
                traffic::closed(reason(&error));
            }
            tracing::debug!(client.address = %peer, %error, "connection ended with an error");
        }
    }
}

enum Handshaken {
    Plain(Replayed<TcpStream>, Protocol),
    Tls(
        Box<Replayed<tokio_rustls::server::TlsStream<TcpStream>>>,
        Protocol,
    ),
}

fn reason(error: &hyper::Error) -> &'static str {
    let http2 = error.source().and_then(|cause| cause.downcast_ref());
    if let Some(reason) = http2.and_then(http2_reason) {
        reason
    } else if error.is_timeout() {
        "idle-timeout"
    } else if error.is_parse_too_large() {
        "head-too-large"
    } else if error.is_parse() {
        "malformed"
    } else {
        "client-gone"
    }
}

/// Returns why HTTP/2 ended the connection, where it was not the client.
fn http2_reason(error: &h2::Error) -> Option<&'static str> {
    match error.reason() {
        _ if !error.is_library() => None,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Some("http2-flood"),
        _ => Some("malformed"),
    }
}

impl ConnectionInfo {
    fn new((peer, scheme): (SocketAddr, Scheme)) -> Self {
        Self {
            peer: Peer::new(peer, scheme),
            fault: None,
        }
    }
}
