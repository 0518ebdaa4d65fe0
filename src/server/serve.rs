//! The accept loop: HTTP/1.1 with bounds on connections, head sizes and waits.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::sleep,
};

use super::drain::{Drain, Drained, finish};
use crate::{
    request::{Peer, Scheme},
    telemetry::traffic::OpenConnection,
};

/// How long the loop rests where the process is out of file descriptors or memory; doubled up to the second.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// What a listener's connections may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServeLimits {
    /// Open connections; further ones wait in the kernel.
    pub(crate) connections: usize,
    /// How long a request's head may take, and how long a connection may idle before it: hyper has one clock for both.
    pub(crate) header_timeout: Duration,
    /// A request's head with its start line, in bytes, at least 8,192; also the bound of its trailers.
    pub(crate) header_bytes: usize,
    /// How long a drain waits for what runs.
    pub(crate) drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            // Above the 60 s for which common load balancers keep connections, so that they close first.
            header_timeout: Duration::from_secs(75),
            header_bytes: 64 * 1024,
            drain: Duration::from_secs(30),
        }
    }
}

/// The connection that a request came by; in each request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionInfo {
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// The other end as [`crate::request::ForwardedFor::resolve`] takes it.
    pub(crate) forwarding: Peer,
}

/// Serves a listener's connections until `drain` begins, then lets them finish within the limit.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: ServeLimits,
    mut drain: Drain,
) -> Drained
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let http = builder(&limits);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut rest = FIRST_REST;
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.begun() => break,
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, info, permit)) => {
                rest = FIRST_REST;
                let service = WithInfo {
                    inner: service.clone(),
                    info,
                };
                let connection = connection(http.clone(), stream, service, graceful.watcher());
                connections.spawn(async move {
                    let _open = OpenConnection::new();
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => rest = recover(&error, rest).await,
        }
    }
    drop(listener);
    finish(graceful, connections, limits.drain).await
}

fn builder(limits: &ServeLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header_bytes)
        // hyper panics below 8,192; a full head must leave room for the body's first bytes.
        .max_buf_size(limits.header_bytes.saturating_mul(2).max(8 * 1024));
    http
}

type Accepted = (TcpStream, ConnectionInfo, OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> io::Result<Accepted> {
    // The permit comes first: a connection that cannot be served yet stays in the kernel's queue.
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let forwarding = Peer::new(peer, Scheme::Http);
    Ok((stream, ConnectionInfo { peer, forwarding }, permit))
}

/// Rests where the process lacks something, and goes on at once where only one connection failed.
async fn recover(error: &io::Error, rest: Duration) -> Duration {
    let of_one_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    );
    if of_one_connection {
        tracing::debug!(error = %error, "a connection failed before it was accepted");
        return FIRST_REST;
    }
    tracing::warn!(error = %error, "connections cannot be accepted");
    sleep(rest).await;
    (rest * 2).min(LONGEST_REST)
}

fn log_panic(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection's task panicked");
    }
}

async fn connection<S, B>(
    http: http1::Builder,
    stream: TcpStream,
    service: WithInfo<S>,
    watcher: Watcher,
) where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let peer = service.info.peer;
    let served = http.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(served).await {
        // Mostly clients that left or idled.
        tracing::debug!(client.address = %peer, error = %error, "connection ended with an error");
    }
}

/// Puts the connection into the extensions of its requests.
struct WithInfo<S> {
    inner: S,
    info: ConnectionInfo,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for WithInfo<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.info.clone());
        self.inner.call(request)
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod hostile_tests;
