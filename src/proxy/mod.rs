//! Sends a request on; knows nothing of authentication.

mod body;
mod error;
mod head_wait;
mod hop_by_hop;
mod trailers;
mod upstream;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Method, Request, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    request::Parts,
    uri::PathAndQuery,
};
use http_body::Body;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::request::check_framing;
use body::OutgoingBody;
pub(crate) use body::{BoxError, ProxyBody};
pub(crate) use error::ProxyError;
use upstream::Origin;
pub(crate) use upstream::Upstream;

/// Tells whether a header is one that only the gateway sets.
///
/// A client can neither have such a header removed through `Connection` nor send it as a trailer.
#[derive(Clone)]
pub(crate) struct ManagedNames(Arc<dyn Fn(&HeaderName) -> bool + Send + Sync>);

impl ManagedNames {
    /// Takes the test; it sees names as they are sent, `_` included.
    pub(crate) fn new(is_managed: impl Fn(&HeaderName) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_managed))
    }

    fn contains(&self, name: &HeaderName) -> bool {
        (self.0)(name)
    }
}

impl Default for ManagedNames {
    fn default() -> Self {
        Self::new(|_| false)
    }
}

impl fmt::Debug for ManagedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManagedNames")
    }
}

/// How upstreams are reached.
#[derive(Clone, Debug)]
pub(crate) struct ProxyConfig {
    /// How long a TCP connection may take to open.
    pub(crate) connect_timeout: Duration,
    /// How long an upstream may take for its response's head, from the request's last byte on.
    pub(crate) response_timeout: Duration,
    /// How long an idle connection is kept: below what upstreams keep it for, and Node's default is 5 s.
    pub(crate) idle_timeout: Duration,
    /// How many idle connections are kept for each origin.
    pub(crate) idle_per_origin: usize,
    /// The headers that only the gateway sets.
    pub(crate) managed: ManagedNames,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(4),
            idle_per_origin: 512,
            managed: ManagedNames::default(),
        }
    }
}

type HttpClient = Client<HttpsConnector<HttpConnector>, OutgoingBody>;

/// Forwards requests to upstreams and streams the answers back.
#[derive(Clone, Debug)]
pub(crate) struct ReverseProxy {
    pooled: HttpClient,
    /// Keeps no connection, so that a retry never meets another stale one.
    fresh: HttpClient,
    response_timeout: Duration,
    managed: ManagedNames,
}

/// A request's head as it goes out.
#[derive(Clone)]
struct Head {
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
}

impl ReverseProxy {
    /// Builds the connection pools; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// Where TLS cannot be set up.
    pub(crate) fn new(config: ProxyConfig) -> Result<Self, rustls::Error> {
        let connector = connector(config.connect_timeout)?;
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout)
            .set_host(false);
        Ok(Self {
            fresh: builder
                .clone()
                .pool_max_idle_per_host(0)
                .build(connector.clone()),
            pooled: builder
                .pool_max_idle_per_host(config.idle_per_origin)
                .build(connector),
            response_timeout: config.response_timeout,
            managed: config.managed,
        })
    }

    /// Sends a request to an upstream and returns its response, both bodies streaming.
    ///
    /// The path and query of `parts.uri` go out byte for byte; `Host` becomes the upstream's own authority (the one
    /// that the client asked for belongs into `X-Forwarded-Host`). Requests without a body whose method is idempotent
    /// are tried on the upstream's other URLs where it cannot be connected to, and once more on a new connection
    /// where the connection ends before a response. Dropping the future or the response's body ends the exchange.
    ///
    /// # Errors
    ///
    /// A [`ProxyError`] where there is no response that can be passed on.
    pub(crate) async fn send<B>(
        &self,
        upstream: &Upstream,
        parts: Parts,
        body: B,
    ) -> Result<Response<ProxyBody>, ProxyError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let target = parts.uri.path_and_query().ok_or(ProxyError::Target)?;
        let mut head = Head {
            target: target.clone(),
            method: parts.method,
            headers: parts.headers,
        };
        hop_by_hop::strip_request(&mut head.headers, &self.managed);
        let body = OutgoingBody::new(body, &self.managed);
        frame(&mut head.headers, &body);
        let mut origins = upstream.rotation();
        let first = origins.next().ok_or(ProxyError::Target)?;
        let response = if body.is_end_stream() && head.method.is_idempotent() {
            self.replayable(first, origins, head).await?
        } else {
            self.attempt(&self.pooled, first, head, body).await?
        };
        checked(response)
    }

    async fn replayable<'a>(
        &self,
        first: &'a Origin,
        mut others: impl Iterator<Item = &'a Origin>,
        head: Head,
    ) -> Result<Response<Incoming>, ProxyError> {
        let mut origin = first;
        let mut client = &self.pooled;
        let mut retried = false;
        loop {
            let outcome = self
                .attempt(client, origin, head.clone(), OutgoingBody::Empty)
                .await;
            match outcome {
                Err(error @ ProxyError::Connect(_)) => origin = others.next().ok_or(error)?,
                Err(ProxyError::Disconnected(_)) if !retried => {
                    retried = true;
                    client = &self.fresh;
                }
                _ => return outcome,
            }
        }
    }

    async fn attempt(
        &self,
        client: &HttpClient,
        origin: &Origin,
        head: Head,
        body: OutgoingBody,
    ) -> Result<Response<Incoming>, ProxyError> {
        let progress = body.progress();
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = origin.uri(head.target)?;
        *request.headers_mut() = head.headers;
        request.headers_mut().insert(HOST, origin.host().clone());
        head_wait::within(
            client.request(request),
            self.response_timeout,
            progress.as_deref(),
        )
        .await
        .map_err(|_| ProxyError::Timeout)?
        .map_err(ProxyError::from)
    }
}

fn connector(connect_timeout: Duration) -> Result<HttpsConnector<HttpConnector>, rustls::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp.set_keepalive(Some(Duration::from_secs(60)));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Ok(HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(provider)?
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp))
}

/// Makes the framing headers say what the body is: hyper sends what they say, true or not.
fn frame(headers: &mut HeaderMap, body: &OutgoingBody) {
    let length = body.size_hint().exact();
    let said = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if said != length {
        headers.remove(CONTENT_LENGTH);
    }
    // Without it, hyper sends a GET's body of unknown length as none at all.
    if length.is_none() {
        headers.insert(TRANSFER_ENCODING, http::HeaderValue::from_static("chunked"));
    }
}

fn checked(response: Response<Incoming>) -> Result<Response<ProxyBody>, ProxyError> {
    let (mut parts, body) = response.into_parts();
    // Nothing asked for an upgrade: its bytes would be no HTTP.
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ProxyError::InvalidResponse(None));
    }
    check_framing(parts.version, &parts.headers)
        .map_err(|error| ProxyError::InvalidResponse(Some(error.into())))?;
    hop_by_hop::strip_response(&mut parts.headers);
    // The client's connection has its own version, and hyper would lower it to the upstream's.
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    Ok(Response::from_parts(parts, ProxyBody::new(body)))
}

#[cfg(test)]
mod tests;
