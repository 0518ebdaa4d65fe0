//! HTTP/1.1 on a connection, which holds next to nothing while it rests.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1::Builder, service::Service};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use super::{BoxError, ConnectionInfo, Connections};
use crate::{
    limit::places::Place,
    request::Scheme,
    server::{
        Drain, ServeLimits,
        cut::Cut,
        preface::Replayed,
        streams::{StreamAnswer, StreamBody, Streams},
        wire::{Left, Patience, Wire, WireState},
    },
    telemetry::traffic,
};

impl<S, B> Connections<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Serves HTTP/1.1 to the connection's end, and holds next to nothing while it rests.
    pub(super) async fn http1<T>(
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
                waited = timeout_at(since + self.limits.idle_timeout, io.wait()) => waited,
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

pub(super) fn builder(limits: &ServeLimits) -> Builder {
    let mut http = Builder::new();
    // hyper's clock would be set for each head: a head's own runs beneath, and one for what idles where connections rest.
    http.header_read_timeout(None)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        // hyper panics below 8,192; a full head must leave room for the body's first bytes.
        .max_buf_size(limits.header_bytes.saturating_mul(2).max(8 * 1024));
    http
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
