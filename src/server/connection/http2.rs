//! HTTP/2 on a connection.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http2::Builder, service::Service};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{BoxError, ConnectionInfo, Connections};
use crate::{
    limit::{activity::Activity, places::Place},
    request::{HeadFault, Scheme},
    server::{
        ServeLimits,
        cut::Cut,
        preface::Paced,
        streams::{StreamAnswer, StreamBody, Streams},
    },
    telemetry::traffic,
};

/// What may be on its way in one connection: above what h2 takes for a flood of small frames.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// The same in one stream: what an upload holds in memory.
const STREAM_WINDOW: u32 = 512 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

impl<S, B> Connections<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Serves HTTP/2 to the connection's end.
    pub(super) async fn http2<T>(
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
        let io = Paced::new(io, patience, own);
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

pub(super) fn builder(limits: &ServeLimits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    let header_bytes = u32::try_from(limits.header_bytes).unwrap_or(u32::MAX);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(header_bytes)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    http
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
