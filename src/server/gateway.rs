//! The gateway as a service: the pipeline decides, the proxy sends on.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{ALLOW, ORIGIN, UPGRADE},
    request::Parts,
};
use http_body::Body;
use hyper::{body::Incoming, service::Service};

use super::{
    access_line::{Ended, Line},
    answers::{Answer, Reason, close, from_bytes, preflight, refusal, unreachable_upstream},
    connection::ConnectionInfo,
    hasura_webhook::HasuraWebhook,
    own::{OwnEndpoint, OwnEndpoints, OwnRequest},
    request_id::{RequestId, X_REQUEST_ID},
};
use crate::{
    decision::Decider,
    handle::Clerk,
    layer::ResponseBody,
    pipeline::{ClientAddress, Passed, Pipeline, Refusal, Route},
    problem::{Form, sign_in_redirect},
    proxy::{Allowance, BodyLimits, ReverseProxy, Upstream},
    reject::Rejection,
    request::{RequestError, retain_trace},
    stream::{Ending, StreamLimits, Streams, Ticket, Watched},
    telemetry::{
        access::AccessLog,
        trace::{RequestSpan, SpanEnd},
        traffic,
        traffic::RouteCounter,
    },
};

/// A route's upstream, the proxy that reaches it, and its counter.
pub(crate) struct Target {
    /// `None`: decisions are all that the gateway makes.
    pub(crate) upstream: Option<Arc<Upstream>>,
    pub(crate) proxy: ReverseProxy,
    pub(crate) counter: RouteCounter,
    pub(crate) body: BodyLimits,
}

/// The gateway: cheap to clone, one for all connections; what it runs can be replaced.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<ArcSwap<Current>>);

/// What runs: a request takes one and keeps it to its end.
pub(crate) struct Current {
    pub(crate) clerk: Clerk,
    pub(crate) pipeline: Pipeline<Target>,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// The configuration as `check` prints it: secrets are not in it.
    pub(crate) shown: String,
    /// Counts what no route answers.
    pub(crate) unrouted: RouteCounter,
    pub(crate) access: Option<AccessLog>,
    /// `None`: nobody may ask for decisions.
    pub(crate) decider: Option<Decider>,
    /// `None`: Hasura asks nothing.
    pub(crate) hasura: Option<HasuraWebhook>,
    /// What the gateway answers itself, before any route.
    pub(crate) own: OwnEndpoints,
    pub(crate) streams: Streams,
    pub(crate) stream_limits: StreamLimits,
}

impl Gateway {
    pub(crate) fn new(current: Current) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(current)))
    }

    /// Returns what runs now.
    pub(crate) fn current(&self) -> Arc<Current> {
        self.0.load_full()
    }

    /// Replaces what runs, for the requests that come from now on.
    pub(crate) fn replace(&self, current: Current) {
        self.0.store(Arc::new(current));
    }
}

impl Service<Request<Incoming>> for Gateway {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (parts, body) = request.into_parts();
        Box::pin(self.current().answer(parts, body))
    }
}

/// An answer, and where it came from.
struct Answered<'a> {
    answer: Answer,
    place: Place<'a>,
}

/// A request that goes on, when that was decided, and the ticket of its session.
struct Outgoing<'a> {
    parts: &'a mut Parts,
    body: Incoming,
    decided_at: Instant,
    ticket: Option<Ticket>,
}

/// What answered a request.
enum Place<'a> {
    Nowhere,
    Own(OwnEndpoint<'a>),
    Route(Arc<Route<Target>>),
}

impl Current {
    /// Names the endpoint of the gateway's own that answers at a path, where there is one.
    pub(crate) fn own_endpoint(&self, path: &str) -> Option<&str> {
        let own = self.own.find(path)?;
        Some(own.counter().route())
    }

    async fn answer(
        self: Arc<Self>,
        mut parts: Parts,
        body: Incoming,
    ) -> Result<Answer, Infallible> {
        let began = Instant::now();
        let Some(connection) = parts.extensions.remove::<ConnectionInfo>() else {
            let id = RequestId::new();
            let form = Form::of(&parts.headers);
            return Ok(refusal(&Rejection::layer_missing(), form, &id));
        };
        let id = self.request_id(&connection, &mut parts.headers);
        // Malformed contexts go before a span could be put into them.
        retain_trace(&mut parts.headers);
        let line = self.access.as_ref().map(|_| Line::begun(&parts, began));
        let span = RequestSpan::begin(&mut parts.headers);
        let method = parts.method.clone();
        let Answered { mut answer, place } = self
            .decide_and_forward(&connection, &mut parts, body, (&id, began))
            .await;
        let headers = answer.headers_mut();
        headers.insert(X_REQUEST_ID, id.value());
        let reason = answer.extensions_mut().remove::<Reason>();
        traffic::answered(began.elapsed());
        let route = place.name();
        let reason = reason.map(|Reason(slug)| slug);
        span.end(&SpanEnd {
            method: method.as_str(),
            route,
            status: answer.status().as_u16(),
            reason,
            request_id: id.as_str(),
        });
        if let (Some(log), Some(line)) = (&self.access, line) {
            let ended = Ended {
                client: answer.extensions_mut().remove::<ClientAddress>(),
                peer: connection.peer.address(),
                route,
                status: answer.status(),
                reason,
            };
            line.log(log, id.as_str(), &ended);
        }
        Ok(answer)
    }

    /// Makes the request's ID, or takes over a trusted proxy's, and tells the upstream.
    fn request_id(&self, connection: &ConnectionInfo, headers: &mut HeaderMap) -> RequestId {
        let proxies = &self.pipeline.trusted_proxies;
        let sent = match proxies.contains(connection.peer.address()) {
            true => RequestId::sent(headers),
            false => None,
        };
        let id = sent.unwrap_or_else(RequestId::new);
        headers.insert(X_REQUEST_ID, id.value());
        id
    }

    async fn decide_and_forward(
        &self,
        connection: &ConnectionInfo,
        parts: &mut Parts,
        body: Incoming,
        (id, began): (&RequestId, Instant),
    ) -> Answered<'_> {
        let form = Form::of(&parts.headers);
        if let (None, Some(own)) = (connection.fault, self.own.find(parts.uri.path())) {
            // Apart: every request would carry the room for it.
            let answer = self.answer_own(own, connection, parts, body, (form, id));
            return Answered {
                answer: Box::pin(answer).await,
                place: Place::Own(own),
            };
        }
        let origin = parts.headers.get(ORIGIN).cloned();
        let decided = match connection.fault {
            Some(fault) => Err(Refusal::before_route(RequestError::Head(fault))),
            None => self.pipeline.decide(&connection.peer, parts).await,
        };
        let decided_at = Instant::now();
        traffic::decided(decided_at.duration_since(began));
        let client = parts.extensions.remove::<ClientAddress>();
        let (mut answer, route) = match decided {
            Ok(Passed::Forward(route, session)) => {
                route.target.counter.allowed();
                let outgoing = Outgoing {
                    parts,
                    body,
                    decided_at,
                    ticket: session.map(|session| self.streams.ticket(session)),
                };
                match self.forward(&route, outgoing, (form, id)).await {
                    Ok(mut answer) => {
                        route.target.counter.answered(answer.status());
                        if let Some(cors) = &route.cors {
                            cors.mark_answer(origin.as_ref(), answer.headers_mut());
                        }
                        (answer, Some(route))
                    }
                    Err(rejection) => {
                        let refused = Refusal::of(route, rejection);
                        self.refuse_and_mark(refused, origin.as_ref(), (form, id))
                    }
                }
            }
            Ok(Passed::Preflight(route, headers)) => {
                route.target.counter.decided("allow", "cors-preflight");
                route.target.counter.answered(StatusCode::NO_CONTENT);
                (preflight(headers), Some(route))
            }
            Err(refused) => self.refuse_and_mark(refused, origin.as_ref(), (form, id)),
        };
        if let Some(client) = client {
            answer.extensions_mut().insert(client);
        }
        let place = route.map_or(Place::Nowhere, Place::Route);
        Answered { answer, place }
    }

    /// Answers a request to one of the gateway's own endpoints.
    async fn answer_own(
        &self,
        own: OwnEndpoint<'_>,
        connection: &ConnectionInfo,
        parts: &mut Parts,
        body: Incoming,
        (form, id): (Form, &RequestId),
    ) -> Answer {
        let has_body = !body.is_end_stream();
        let (client, decided) = match self.pipeline.read(&connection.peer, parts) {
            Ok((canonical, from)) => {
                let client = ClientAddress(from.client());
                let request = OwnRequest {
                    parts,
                    canonical,
                    from,
                    body,
                };
                (Some(client), own.answer(self, request).await)
            }
            Err(error) => (None, Err(error.into())),
        };
        let counter = own.counter();
        let is_unread = has_body && !(own.reads_bodies() && decided.is_ok());
        let mut answer = match decided {
            Ok(answer) => {
                counter.allowed();
                counter.answered(answer.status());
                from_bytes(answer)
            }
            Err(rejection) => {
                note_rejection(&rejection, counter, id);
                let mut answer = refusal(&rejection, form, id);
                if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
                    let post = HeaderValue::from_static("POST");
                    answer.headers_mut().insert(ALLOW, post);
                }
                answer.extensions_mut().insert(Reason(rejection.reason()));
                answer
            }
        };
        if is_unread {
            close(&mut answer);
        }
        if let Some(client) = client {
            answer.extensions_mut().insert(client);
        }
        answer
    }

    /// Sends a request on, for as long as its session is not revoked.
    ///
    /// # Errors
    ///
    /// What revoked the session meanwhile.
    async fn forward(
        &self,
        route: &Route<Target>,
        outgoing: Outgoing<'_>,
        (form, id): (Form, &RequestId),
    ) -> Result<Answer, Rejection> {
        let Outgoing {
            parts,
            body,
            decided_at,
            ticket,
        } = outgoing;
        let target = &route.target;
        let Some(upstream) = &target.upstream else {
            return Ok(refusal(&Rejection::route_not_found(), form, id));
        };
        // From here on the ticket sees to it; what became known before it is seen here.
        self.judge(ticket.as_ref())?;
        let body = match body.is_end_stream() {
            true => Watched::free(body),
            false => Watched::new(body, ticket.clone(), Ending::Cut),
        };
        let allowance = match parts.headers.contains_key(UPGRADE) {
            true => ticket.clone().map(allowance),
            false => None,
        };
        let sent = target
            .proxy
            .send(upstream, parts, body, (target.body, allowance));
        let sent = sent.await;
        traffic::upstream(decided_at.elapsed());
        self.judge(ticket.as_ref())?;
        Ok(match sent {
            Ok(response) => {
                tracing::debug!(
                    request.id = id.as_str(),
                    upstream = upstream.name(),
                    status = response.status().as_u16(),
                    "request forwarded"
                );
                let ending = Ending::of(response.headers());
                response.map(|body| ResponseBody::inner(Watched::new(body, ticket, ending)))
            }
            Err(error) => unreachable_upstream(&error, upstream, (form, id)),
        })
    }

    fn judge(&self, ticket: Option<&Ticket>) -> Result<(), Rejection> {
        match ticket {
            Some(ticket) => Ok(self.clerk.judge(ticket.session())?),
            None => Ok(()),
        }
    }

    /// Refuses a request, so that a page may read why.
    fn refuse_and_mark(
        &self,
        refused: Refusal<Target>,
        origin: Option<&HeaderValue>,
        (form, id): (Form, &RequestId),
    ) -> (Answer, Option<Arc<Route<Target>>>) {
        let route = refused.route.clone();
        let mut answer = self.refuse(refused, form, id);
        if let Some(cors) = route.as_ref().and_then(|route| route.cors.as_ref()) {
            cors.mark_own(origin, answer.headers_mut());
        }
        (answer, route)
    }

    fn refuse(&self, refused: Refusal<Target>, form: Form, id: &RequestId) -> Answer {
        self.note_refusal(&refused, id);
        let rejection = &refused.rejection;
        let mut answer = match refused.sign_in {
            Some(location) => from_bytes(sign_in_redirect(location)),
            None => refusal(rejection, form, id),
        };
        answer.extensions_mut().insert(Reason(rejection.reason()));
        answer
    }

    /// Counts and logs a refusal.
    pub(super) fn note_refusal(&self, refused: &Refusal<Target>, id: &RequestId) {
        let counter = match &refused.route {
            Some(route) => &route.target.counter,
            None => &self.unrouted,
        };
        note_rejection(&refused.rejection, counter, id);
    }
}

impl Place<'_> {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Nowhere => None,
            Self::Own(own) => Some(own.counter().route()),
            Self::Route(route) => Some(route.target.counter.route()),
        }
    }
}

fn note_rejection(rejection: &Rejection, counter: &RouteCounter, id: &RequestId) {
    tracing::info!(
        request.id = id.as_str(),
        clerk.reason = rejection.reason(),
        status = rejection.status().as_u16(),
        cause = std::error::Error::source(rejection).map(tracing::field::display),
        "request refused"
    );
    counter.decided("refuse", rejection.reason());
    if let Some(limited) = rejection.rate_limited() {
        counter.rate_limited(limited.of);
    }
    counter.answered(rejection.status());
}

/// Lasts as long as the session.
fn allowance(ticket: Ticket) -> Allowance {
    Box::pin(async move {
        ticket.ended().await;
    })
}
