//! Sends a request on; knows nothing of authentication.

mod body;
mod client;
mod connector;
mod error;
mod gate;
mod head_wait;
mod health;
mod hop_by_hop;
mod kept_head;
mod origin;
mod pool;
mod trailers;
mod tunnel;
mod upstream;

use std::{fmt, pin::pin, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    request::Parts,
    uri::PathAndQuery,
};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use crate::request::check_framing;
pub(crate) use body::{BodyLimits, BoxError, ProxyBody};
use body::{OutgoingBody, Shared};
use client::Over;
pub(crate) use connector::{Protocol, UpstreamTls};
pub(crate) use error::ProxyError;
pub(crate) use health::HealthCheck;
use kept_head::KeptHead;
use origin::Origin;
use pool::Http1;
use tunnel::Asked;
#[cfg(fuzzing)]
pub(crate) use tunnel::fuzzing;
pub(crate) use tunnel::{Allowance, End, Tunnels};
pub(crate) use upstream::{Upstream, UpstreamConfig, UpstreamLimits};

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

/// Forwards requests to upstreams and streams the answers back.
#[derive(Clone, Debug)]
pub(crate) struct ReverseProxy {
    managed: ManagedNames,
    tunnels: Tunnels,
}

/// A request's head as it goes out.
struct Head {
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
}

/// A request as it goes out.
struct Outgoing {
    head: Head,
    body: OutgoingBody,
    asked: Option<Asked>,
}

/// An attempt under way: counted at its origin until this is dropped.
struct Busy {
    upstream: Arc<Upstream>,
    origin: Arc<Origin>,
}

/// What an exchange has until its response's body has ended.
struct Lease {
    busy: Busy,
    /// The connection that it goes over, where that can be used again.
    connection: Option<Http1>,
    _turn: OwnedSemaphorePermit,
}

/// A response's head and what carries its body.
struct Answered {
    response: Response<Incoming>,
    connection: Option<Http1>,
    busy: Busy,
}

impl ReverseProxy {
    /// Takes the headers that only the gateway sets, and where upgraded connections are kept.
    pub(crate) fn new(managed: ManagedNames, tunnels: Tunnels) -> Self {
        Self { managed, tunnels }
    }

    /// Sends a request to an upstream and returns its response, both bodies streaming.
    ///
    /// The headers and a wish for an upgrade are taken out of `parts`. The path and query of `parts.uri` go out byte
    /// for byte; `Host` becomes the upstream's own authority (the one that the client asked for belongs into
    /// `X-Forwarded-Host`). What no upstream has seen is tried on the upstream's other URLs where one cannot be
    /// connected to. Requests without a body whose method is idempotent are tried once more on a new connection where
    /// the connection ends before a response; so is any request of which an HTTP/2 upstream says that it took nothing,
    /// while no more than 64 KiB of its body were sent. Dropping the future or the response's body ends the exchange.
    ///
    /// A request for an upgrade becomes one where the upstream answers 101: both sides are then joined, for as long
    /// as the allowance lasts.
    ///
    /// # Errors
    ///
    /// A [`ProxyError`] where there is no response that can be passed on.
    pub(crate) fn send<'a, B>(
        &'a self,
        upstream: &'a Arc<Upstream>,
        parts: &mut Parts,
        body: B,
        (limits, allowance): (BodyLimits, Option<Allowance>),
    ) -> impl Future<Output = Result<Response<ProxyBody>, ProxyError>> + Send + use<'a, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // Not in the future, which would hold what was before as well as what goes out. So it is with the attempts
        // below: an async function keeps each argument beside what becomes of it.
        let outgoing = self.outgoing(parts, body, limits);
        async move {
            let sent = match outgoing {
                Ok(outgoing) => self.exchange(upstream, outgoing, allowance).await,
                Err(error) => Err(error),
            };
            match &sent {
                Ok(_) => upstream.metrics.answered(),
                Err(error) => upstream.metrics.failed(error.slug()),
            }
            sent
        }
    }

    /// Makes of a request what goes out.
    fn outgoing<B>(
        &self,
        parts: &mut Parts,
        body: B,
        limits: BodyLimits,
    ) -> Result<Outgoing, ProxyError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let least = body.size_hint().lower();
        if limits.max_bytes.is_some_and(|most| least > most) {
            return Err(ProxyError::BodyTooLarge);
        }
        let asked = Asked::take(parts);
        let target = parts.uri.path_and_query().ok_or(ProxyError::Target)?;
        let mut head = Head {
            target: target.clone(),
            method: parts.method.clone(),
            headers: std::mem::take(&mut parts.headers),
        };
        hop_by_hop::strip_request(&mut head.headers, &self.managed);
        let body = OutgoingBody::new(body, &self.managed, limits);
        frame(&mut head.headers, &body);
        if let Some(asked) = &asked {
            asked.ask(&mut head.headers);
        }
        Ok(Outgoing { head, body, asked })
    }

    async fn exchange(
        &self,
        upstream: &Arc<Upstream>,
        Outgoing { head, body, asked }: Outgoing,
        allowance: Option<Allowance>,
    ) -> Result<Response<ProxyBody>, ProxyError> {
        let deadline = upstream.limits.total_timeout;
        let deadline = deadline.map(|limit| Instant::now() + limit);
        let over = match asked {
            None => Over::Kept,
            Some(_) => Over::Upgradable,
        };
        let turn = upstream.enter().await?;
        let answering = Attempts { upstream, turn }.run(over, head, body);
        let answered = match deadline {
            None => answering.await?,
            Some(deadline) => timeout_at(deadline, answering)
                .await
                .map_err(|_| ProxyError::Timeout)??,
        };
        self.finish(answered, asked.zip(Some(allowance)), deadline)
    }

    fn finish(
        &self,
        (mut response, lease): (Response<Incoming>, Lease),
        asked: Option<(Asked, Option<Allowance>)>,
        deadline: Option<Instant>,
    ) -> Result<Response<ProxyBody>, ProxyError> {
        let limits = lease.busy.upstream.limits;
        let idle = limits.idle_timeout;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return checked(response, |body| ProxyBody::new(body, idle, deadline, lease));
        }
        // Nothing asked for this one: its bytes would be no HTTP.
        let asked = asked.filter(|(asked, _)| asked.is_granted(&response));
        let (asked, allowance) = asked.ok_or(ProxyError::InvalidResponse(None))?;
        let upstream = hyper::upgrade::on(&mut response);
        let mut response = checked(response, |body| ProxyBody::new(body, idle, None, ()))?;
        asked.ask(response.headers_mut());
        let idle = limits.upgrade_idle_timeout;
        self.tunnels.open(asked, upstream, (idle, allowance), lease);
        Ok(response)
    }
}

/// The attempts of one exchange.
struct Attempts<'a> {
    upstream: &'a Arc<Upstream>,
    turn: OwnedSemaphorePermit,
}

impl<'a> Attempts<'a> {
    /// Tries until an origin has answered, or none is left that could.
    fn run(
        self,
        mut over: Over,
        head: Head,
        body: OutgoingBody,
    ) -> impl Future<Output = Result<(Response<Incoming>, Lease), ProxyError>> + use<'a> {
        let shared = body.shared();
        let is_replayable = shared.is_none() && head.method.is_idempotent();
        let mut head = Some(head);
        let mut body = Some(body);
        async move {
            let mut tried = 0u64;
            let mut may_replay = is_replayable;
            let mut may_resend = true;
            let mut error = None;
            while let Some(at) = self.upstream.choose(tried) {
                let Some(now) = body.take().or_else(|| again(shared.as_ref())) else {
                    break;
                };
                let Some((origin, sent)) = self.upstream.origins.get(at).zip(head.take()) else {
                    break;
                };
                let may_be_refused = may_resend && self.upstream.client.may_be_h2(origin);
                if may_be_refused && let Some(shared) = &shared {
                    shared.keep();
                }
                // Copied only where another attempt can follow.
                let may_follow = may_replay || may_be_refused || self.has_other(tried | 1 << at);
                let kept = may_follow.then(|| KeptHead::of(&sent));
                if error.is_some() {
                    self.upstream.metrics.retried();
                }
                match self.attempt(over, origin, sent, now).await {
                    Err(failed @ ProxyError::Connect(_)) => {
                        tried |= 1 << at;
                        error = Some(failed);
                    }
                    Err(failed @ ProxyError::Disconnected(_)) if may_replay => {
                        may_replay = false;
                        error = Some(failed);
                        over = over.anew();
                    }
                    Err(failed @ ProxyError::NotTaken(_)) if may_resend => {
                        may_resend = false;
                        error = Some(failed);
                        over = over.anew();
                    }
                    Err(error) => return Err(error),
                    Ok(answered) => return Ok(answered.with(self.turn)),
                }
                head = kept.and_then(KeptHead::again);
            }
            Err(error.unwrap_or(ProxyError::Target))
        }
    }

    /// Tells whether there is an origin that is not among those `tried`.
    fn has_other(&self, tried: u64) -> bool {
        (tried.count_ones() as usize) < self.upstream.origins.len()
    }

    fn attempt<'b>(
        &'b self,
        over: Over,
        origin: &'b Arc<Origin>,
        head: Head,
        body: OutgoingBody,
    ) -> impl Future<Output = Result<Answered, ProxyError>> + use<'a, 'b> {
        let shared = body.shared();
        let request = request(head, body);
        let busy = Busy::new(self.upstream, origin);
        async move {
            let progress = shared.as_ref().map(|shared| &shared.progress);
            let limit = self.upstream.limits.response_timeout;
            let now = Instant::now();
            let sending = pin!(self.upstream.client.send(origin, over, request, now));
            let sent = head_wait::within(sending, (now, limit), progress)
                .await
                .unwrap_or(Err(ProxyError::Timeout));
            match &sent {
                Ok(_) => origin.succeeded(),
                Err(error) if error.is_of_origin() => origin.failed(Instant::now()),
                Err(_) => {}
            }
            let (response, connection) = sent?;
            Ok(Answered {
                response,
                connection,
                busy,
            })
        }
    }
}

fn request(head: Head, body: OutgoingBody) -> Request<OutgoingBody> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = head.target.into();
    *request.headers_mut() = head.headers;
    request
}

fn again(shared: Option<&Arc<Shared>>) -> Option<OutgoingBody> {
    match shared {
        None => Some(OutgoingBody::empty()),
        Some(shared) => shared.again(),
    }
}

impl Answered {
    fn with(self, turn: OwnedSemaphorePermit) -> (Response<Incoming>, Lease) {
        let lease = Lease {
            busy: self.busy,
            connection: self.connection,
            _turn: turn,
        };
        (self.response, lease)
    }
}

impl Busy {
    fn new(upstream: &Arc<Upstream>, origin: &Arc<Origin>) -> Self {
        origin.begin();
        upstream.metrics.began();
        Self {
            upstream: Arc::clone(upstream),
            origin: Arc::clone(origin),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.busy.origin.pool.keep(connection);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.origin.end();
        self.upstream.metrics.ended();
    }
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
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn checked(
    response: Response<Incoming>,
    wrap: impl FnOnce(Incoming) -> ProxyBody,
) -> Result<Response<ProxyBody>, ProxyError> {
    let (mut parts, body) = response.into_parts();
    check_framing(parts.version, &parts.headers)
        .map_err(|error| ProxyError::InvalidResponse(Some(error.into())))?;
    hop_by_hop::strip_response(&mut parts.headers);
    // The client's connection has its own version, and hyper would lower it to the upstream's.
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    Ok(Response::from_parts(parts, wrap(body)))
}

#[cfg(test)]
mod tests;
