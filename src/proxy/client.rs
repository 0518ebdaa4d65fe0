//! Sends requests over connections to an origin: one that was kept, or a new one.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{Request, Response, header::HOST};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::{
    ProxyError,
    body::OutgoingBody,
    connector::{Connector, Protocol, UpstreamTls, UpstreamTlsError},
    origin::Origin,
    pool::{Connection, Http1},
    upstream::UpstreamLimits,
};

/// What is read ahead of an HTTP/1 answer, its head included: hyper's own 400 KiB are held twice for each slow reader.
const H1_BUFFER: usize = 128 * 1024;

/// Opens connections to one upstream's origins and sends requests over them.
#[derive(Debug)]
pub(super) struct Client {
    connector: Connector,
    /// HTTP/1.1 whatever the other speaks: nothing else can be upgraded.
    upgrading: Connector,
    is_always_h2: bool,
    h1: http1::Builder,
    h2: http2::Builder<TokioExecutor>,
}

/// The connection that a request goes over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Over {
    /// One that was kept, where there is any.
    Kept,
    /// A new one.
    New,
    /// A new one that can be upgraded.
    Upgradable,
}

impl Over {
    /// Returns what another attempt goes over, so that it never meets another connection that has ended.
    pub(super) fn anew(self) -> Self {
        match self {
            Self::Kept | Self::New => Self::New,
            Self::Upgradable => Self::Upgradable,
        }
    }
}

/// A response's head, and the connection that can be kept once its body has ended.
pub(super) type Sent = (Response<Incoming>, Option<Http1>);

/// What a waiting request is told.
#[derive(Debug, thiserror::Error)]
#[error("the connection that this request waited for could not be opened")]
struct OpeningFailed;

/// Why a connection gave no response.
enum Failed {
    /// It had ended before any of the request was written.
    Unsent(hyper::Error, Box<Request<OutgoingBody>>),
    /// The request, or some of it, was written.
    Sent(hyper::Error),
}

impl Client {
    /// Sets up how origins are connected to; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// An [`UpstreamTlsError`] naming what of TLS cannot be used.
    pub(super) fn new(
        tls: &UpstreamTls,
        protocol: Protocol,
        sockets: Vec<PathBuf>,
        limits: &UpstreamLimits,
    ) -> Result<Self, UpstreamTlsError> {
        let sockets: Arc<[PathBuf]> = sockets.into();
        let connector =
            |protocol| Connector::new(tls, protocol, Arc::clone(&sockets), limits.connect_timeout);
        let mut h1 = http1::Builder::new();
        // Also what a slow reader has held for it.
        h1.max_buf_size(H1_BUFFER);
        let mut h2 = http2::Builder::new(TokioExecutor::new());
        // h2 takes many small frames in a small window for an attack.
        h2.timer(TokioTimer::new())
            .initial_connection_window_size(4 * 1024 * 1024)
            .initial_stream_window_size(512 * 1024)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        Ok(Self {
            connector: connector(protocol)?,
            upgrading: connector(Protocol::Http1)?,
            is_always_h2: matches!(protocol, Protocol::H2 | Protocol::H2c),
            h1,
            h2,
        })
    }

    /// Tells whether an origin may be spoken to in HTTP/2, as far as that is known.
    pub(super) fn may_be_h2(&self, origin: &Origin) -> bool {
        self.is_always_h2 || origin.pool.is_shared.load(Ordering::Relaxed)
    }

    /// Sends a request whose URI is a path and query, and returns the response's head.
    ///
    /// What could not be written to a kept connection, since that had ended, goes over another one.
    ///
    /// # Errors
    ///
    /// A [`ProxyError`] where there is no response; [`ProxyError::Connect`] only where the origin has seen nothing.
    pub(super) async fn send(
        &self,
        origin: &Origin,
        over: Over,
        mut request: Request<OutgoingBody>,
        now: Instant,
    ) -> Result<Sent, ProxyError> {
        while over == Over::Kept
            && let Some(kept) = origin.pool.take(now)
        {
            match send_over(kept, origin, request).await {
                Err(Failed::Unsent(_, unsent)) => request = *unsent,
                outcome => return Ok(outcome?),
            }
        }
        // Boxed: seldom needed, and larger than all the rest.
        let opened = Box::pin(self.open(origin, over)).await?;
        let (response, connection) = send_over(opened, origin, request).await?;
        Ok((response, connection.filter(|_| over != Over::Upgradable)))
    }

    async fn open(&self, origin: &Origin, over: Over) -> Result<Connection, ProxyError> {
        let pool = &origin.pool;
        if over != Over::Kept || !self.may_be_h2(origin) {
            return self.connect(origin, over).await;
        }
        let failures = pool.failures.load(Ordering::Relaxed);
        let _opening = pool.opening.lock().await;
        if let Some(opened) = pool.take(Instant::now()) {
            return Ok(opened);
        }
        // Who waits for an attempt shares its end: one after the other would wait for ever.
        if pool.failures.load(Ordering::Relaxed) != failures {
            return Err(ProxyError::Connect(OpeningFailed.into()));
        }
        let opened = self.connect(origin, over).await;
        if opened.is_err() {
            pool.failures.fetch_add(1, Ordering::Relaxed);
        }
        opened
    }

    async fn connect(&self, origin: &Origin, over: Over) -> Result<Connection, ProxyError> {
        let connector = match over {
            Over::Kept | Over::New => &self.connector,
            Over::Upgradable => &self.upgrading,
        };
        let connected = connector.connect(origin.base()).await;
        let io = connected.map_err(ProxyError::Connect)?;
        if over == Over::Upgradable {
            let (opened, connection) = self.h1.handshake(io).await?;
            run(connection.with_upgrades());
            return Ok(Connection::Http1(opened));
        }
        let is_h2 = self.is_always_h2 || io.is_h2();
        origin.pool.is_shared.store(is_h2, Ordering::Relaxed);
        if is_h2 {
            let (opened, connection) = self.h2.handshake(io).await?;
            run(connection);
            if over == Over::Kept {
                origin.pool.share(opened.clone());
            }
            return Ok(Connection::Http2(opened));
        }
        let (opened, connection) = self.h1.handshake(io).await?;
        run(connection);
        Ok(Connection::Http1(opened))
    }
}

async fn send_over(
    connection: Connection,
    origin: &Origin,
    mut request: Request<OutgoingBody>,
) -> Result<Sent, Failed> {
    match connection {
        Connection::Http1(mut connection) => {
            let host = origin.host().clone();
            request.headers_mut().insert(HOST, host);
            let response = connection.try_send_request(request).await?;
            Ok((response, Some(connection)))
        }
        Connection::Http2(mut connection) => {
            let target = request.uri().clone();
            *request.uri_mut() = origin.absolute(&target);
            // There from another connection: `:authority` is all that HTTP/2 asks for (RFC 9113 §8.3.1), and nginx
            // refuses whoever says it twice.
            request.headers_mut().remove(HOST);
            match connection
                .try_send_request(request)
                .await
                .map_err(Failed::from)
            {
                Err(Failed::Unsent(error, mut request)) => {
                    *request.uri_mut() = target;
                    Err(Failed::Unsent(error, request))
                }
                outcome => Ok((outcome?, None)),
            }
        }
    }
}

impl From<TrySendError<Request<OutgoingBody>>> for Failed {
    fn from(mut failed: TrySendError<Request<OutgoingBody>>) -> Self {
        match failed.take_message() {
            Some(unsent) => Self::Unsent(failed.into_error(), Box::new(unsent)),
            None => Self::Sent(failed.into_error()),
        }
    }
}

impl From<Failed> for ProxyError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unsent(error, _) | Failed::Sent(error) => error.into(),
        }
    }
}

/// Drives a connection for as long as it is open; what ends it is told to its requests.
fn run(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "upstream connection ended"
            );
        }
    });
}
