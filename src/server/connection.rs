//! One connection: its handshake, its protocol, and hyper's side of it.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use super::{
    Drain, ServeLimits,
    cut::Cut,
    preface::{self, Protocol, Replayed},
    streams::{StreamAnswer, StreamBody, Streams},
    tls::Tls,
    wire::{Left, Patience, Wire, WireState},
};
use crate::{
    limit::{activity::Activity, places::Place},
    request::{HeadFault, Peer, Scheme},
    telemetry::traffic,
};

/// What HTTP/2 may have on its way in one connection: above what h2 takes for a flood of small frames.
const H2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// The same in one stream: what an upload holds in memory.
const H2_STREAM_WINDOW: u32 = 512 * 1024;
const H2_PING_INTERVAL: Duration = Duration::from_secs(20);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);

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
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    drain: Drain,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
            http1: http1_builder(&limits),
            http2: http2_builder(&limits),
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

    /// Serves HTTP/1.1 to the connection's end, and holds next to nothing while it rests.
    async fn http1<T>(
        &self,
        mut io: Replayed<T>,
        peer: (SocketAddr, Scheme),
        own: (Cut, Place),
    ) -> hyper::Result<()>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let info = ConnectionInfo::new(peer);
        let mut drain = self.drain.clone();
        let mut since = Instant::now();
        loop {
            let resting = self.http1_until_rest(io, info.clone(), own.clone(), &mut drain);
            let Some(resting) = Box::pin(resting).await? else {
                return Ok(());
            };
            io = resting.io;
            // Bytes that make no request do not keep it open.
            since = resting.since.unwrap_or(since);
            let waited = tokio::select! {
                () = drain.begun() => break,
                waited = timeout_at(since + self.limits.idle_http1(), io.wait()) => waited,
            };
            match waited {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => break,
                Ok(Err(error)) => {
                    traffic::closed("client-gone");
                    tracing::debug!(client.address = %peer.0, %error, "connection ended while it rested");
                    break;
                }
                Err(_) => {
                    traffic::closed("idle-timeout");
                    break;
                }
            }
        }
        // TLS says goodbye.
        let _ = timeout(self.limits.write_timeout, io.shutdown()).await;
        Ok(())
    }

    /// Serves HTTP/1.1 until the connection ends, or rests.
    async fn http1_until_rest<T>(
        &self,
        io: Replayed<T>,
        info: ConnectionInfo,
        own: (Cut, Place),
        drain: &mut Drain,
    ) -> hyper::Result<Option<Resting<T>>>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let state = Arc::new(WireState::default());
        let place = own.1.clone();
        let patience = Patience {
            head: self.limits.header_timeout,
            write: self.limits.write_timeout,
        };
        let service = Http1Service {
            inner: self.service.clone(),
            info,
            state: Arc::clone(&state),
            // One comes after the other.
            streams: Streams::new(u32::MAX, place.clone()),
        };
        let left = Left::new();
        let io = Wire::new(io, left.clone(), Arc::clone(&state), patience, own);
        let served = self.http1.serve_connection(TokioIo::new(io), service);
        let mut served = Box::pin(served.with_upgrades());
        let since = tokio::select! {
            ended = served.as_mut() => return ended.map(|()| None),
            () = drain.begun() => {
                served.as_mut().graceful_shutdown();
                return served.await.map(|()| None);
            }
            since = rested(&state, &place, self.limits.rest) => since,
        };
        drop(served);
        Ok(left.take().map(|io| Resting { io, since }))
    }

    async fn http2<T>(
        &self,
        io: T,
        peer: (SocketAddr, Scheme),
        own: (Cut, Place),
    ) -> hyper::Result<()>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let requests = Arc::new(Activity::new(self.limits.idle_timeout));
        let service = Http2Service {
            inner: self.service.clone(),
            info: ConnectionInfo::new(peer),
            requests: Arc::clone(&requests),
            streams: Streams::new(self.limits.streams, own.1.clone()),
            most_headers: self.limits.headers,
        };
        let patience = (self.limits.handshake, self.limits.write_timeout);
        let io = preface::Paced::new(io, patience, own);
        let served = self.http2.serve_connection(TokioIo::new(io), service);
        let mut served = pin!(served);
        let mut drain = self.drain.clone();
        tokio::select! {
            ended = served.as_mut() => return ended,
            () = drain.begun() => served.as_mut().graceful_shutdown(),
            // What is under way goes on; the client opens another connection for more.
            () = requests.idled() => {
                traffic::closed("idle-timeout");
                served.as_mut().graceful_shutdown();
            }
        }
        served.await
    }
}

/// A connection that has nothing to do.
struct Resting<T> {
    io: Replayed<T>,
    /// Since when, give or take [`ServeLimits::rest`]; `None` where it had no request.
    since: Option<Instant>,
}

/// Waits until a connection has had nothing to do for `limit`, and returns since when, if it had a request at all.
///
/// hyper keeps 16 KiB of buffers for a connection, whatever it does. It holds nothing in them where every request that
/// it was handed was given to the service and answered, the answers' bodies have ended, nothing waits to be written
/// (the connection's place is free), and no byte of another request has come.
async fn rested(state: &WireState, place: &Place, limit: Duration) -> Option<Instant> {
    let mut seen = None;
    loop {
        let now = Instant::now();
        sleep_until(now + limit).await;
        let before = std::mem::replace(&mut seen, state.between_requests());
        if let Some(requests) = seen
            && seen == before
            && place.is_free()
        {
            return (requests > 0).then_some(now);
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

fn http1_builder(limits: &ServeLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.idle_http1())
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        // hyper panics below 8,192; a full head must leave room for the body's first bytes.
        .max_buf_size(limits.header_bytes.saturating_mul(2).max(8 * 1024));
    http
}

fn http2_builder(limits: &ServeLimits) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(header_bytes)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_TIMEOUT);
    http
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

/// Puts the connection into the extensions of its requests, and tells the guard of the answers.
struct Http1Service<S> {
    inner: S,
    info: ConnectionInfo,
    state: Arc<WireState>,
    streams: Streams,
}

impl<S, B> Service<Request<Incoming>> for Http1Service<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<StreamBody<B>>;
    type Error = S::Error;
    type Future = Noted<StreamAnswer<S::Future>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let mut info = self.info.clone();
        let number = match self.state.request() {
            Ok(number) => number,
            Err(fault) => {
                info.fault = Some(fault);
                u64::MAX
            }
        };
        request.extensions_mut().insert(info);
        Noted {
            inner: self.streams.hold(self.inner.call(request)),
            state: Arc::clone(&self.state),
            number,
        }
    }
}

pin_project! {
    /// An answer that the guard is told of.
    struct Noted<F> {
        #[pin]
        inner: F,
        state: Arc<WireState>,
        number: u64,
    }
}

impl<F, B, E> Future for Noted<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = std::task::ready!(this.inner.poll(cx));
        let upgraded =
            matches!(&output, Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS);
        this.state.answered(*this.number, upgraded);
        Poll::Ready(output)
    }
}

/// Puts the connection into the extensions of its requests.
struct Http2Service<S> {
    inner: S,
    info: ConnectionInfo,
    requests: Arc<Activity>,
    streams: Streams,
    most_headers: usize,
}

impl<S, B> Service<Request<Incoming>> for Http2Service<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Response = Response<StreamBody<B>>;
    type Error = S::Error;
    type Future = StreamAnswer<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.requests.note();
        let mut info = self.info.clone();
        if request.headers().len() > self.most_headers {
            info.fault = Some(HeadFault::TooManyFields);
        }
        request.extensions_mut().insert(info);
        self.streams.hold(self.inner.call(request))
    }
}
