//! Envoy's `ext_authz` as a service: unary calls of gRPC, a message in and a message out.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ORIGIN},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, combinators::WithTrailers};
use hyper::{body::Incoming, service::Service};

use super::{
    access_line::{Ended, Line},
    connection::ConnectionInfo,
    gateway::{Current, Gateway, Target},
    request_id::{RequestId, X_REQUEST_ID},
};
use crate::{
    decision::{
        Original, X_CLERK_AUTH_REASON,
        ext_authz::{
            self, CallError, CheckRequest, CheckResponse, HealthCheckResponse, SERVING, Sent,
            framed, unframed,
        },
    },
    pipeline::{ClientAddress, Passed, Refusal, Route},
    problem::{Form, sign_in_redirect},
    request::{Peer, RequestError, retain_trace},
    telemetry::{
        trace::{RequestSpan, SpanEnd},
        traffic,
    },
};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// The reason of a preflight that the gateway answers.
const PREFLIGHT: &str = "cors-preflight";

/// The longest question: heads are far shorter, and bodies are not wanted.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Answers Envoy by what the gateway runs with.
#[derive(Clone)]
pub(crate) struct ExtAuthz {
    gateway: Gateway,
    body_timeout: Duration,
}

type Body = WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>;

impl ExtAuthz {
    /// Takes the gateway, and how long a question may take to arrive.
    pub(crate) fn new(gateway: Gateway, body_timeout: Duration) -> Self {
        Self {
            gateway,
            body_timeout,
        }
    }
}

impl Service<Request<Incoming>> for ExtAuthz {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (current, body_timeout) = (self.gateway.current(), self.body_timeout);
        Box::pin(async move {
            let told = call(&current, request, body_timeout).await;
            if let Err(error) = told {
                tracing::info!(clerk.reason = error.slug(), "call refused");
                current.unrouted.decided("refuse", error.slug());
            }
            Ok(answer(told))
        })
    }
}

fn answer(told: Result<Bytes, CallError>) -> Response<Body> {
    let mut trailers = HeaderMap::with_capacity(2);
    let code = told.as_ref().err().map_or(0, |error| error.code());
    trailers.insert(GRPC_STATUS, HeaderValue::from(code));
    if let Err(error) = &told {
        trailers.insert(GRPC_MESSAGE, HeaderValue::from_static(error.slug()));
    }
    let body = Full::new(told.unwrap_or_default()).with_trailers(ready(Some(Ok(trailers))));
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

async fn call(
    current: &Current,
    request: Request<Incoming>,
    body_timeout: Duration,
) -> Result<Bytes, CallError> {
    let began = Instant::now();
    let caller = request.extensions().get::<ConnectionInfo>();
    let caller = caller.map(|connection| connection.peer.address());
    let decider = current.decider.as_ref();
    if !decider.zip(caller).is_some_and(|(it, by)| it.may_ask(by)) {
        return Err(CallError::CallerNotTrusted);
    }
    if request.method() != Method::POST || !is_grpc(request.headers()) {
        return Err(CallError::Unimplemented);
    }
    match request.uri().path() {
        CHECK => {
            let message = read(request.into_body(), body_timeout).await?;
            let question: CheckRequest = unframed(message)?;
            Ok(framed(&check(current, question, began).await))
        }
        HEALTH => Ok(framed(&HealthCheckResponse { status: SERVING })),
        _ => Err(CallError::Unimplemented),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    Form::of(headers) != Form::Problem
}

async fn read(body: Incoming, body_timeout: Duration) -> Result<Bytes, CallError> {
    let whole = Limited::new(body, MAX_MESSAGE).collect();
    let whole = tokio::time::timeout(body_timeout, whole).await;
    let whole = whole.map_err(|_| CallError::Late)?;
    let whole = whole.map_err(|error| match error.is::<LengthLimitError>() {
        true => CallError::TooLarge,
        false => CallError::Malformed,
    })?;
    Ok(whole.to_bytes())
}

async fn check(current: &Current, question: CheckRequest, began: Instant) -> CheckResponse {
    match ext_authz::original(question) {
        Ok(original) => judge(current, original, began).await,
        Err(error) => refuse_unclear(current, error),
    }
}

fn refuse_unclear(current: &Current, error: RequestError) -> CheckResponse {
    let id = RequestId::new();
    let refusal = Refusal::before_route(error);
    current.note_refusal(&refusal, &id);
    refused(&refusal, None, &id)
}

/// What logs and traces say of a verdict.
struct Outcome {
    told: CheckResponse,
    route: Option<std::sync::Arc<Route<Target>>>,
    status: StatusCode,
    reason: Option<&'static str>,
}

/// Decides; the decision is counted, logged and traced like one on a request that came here itself.
async fn judge(current: &Current, original: Original, began: Instant) -> CheckResponse {
    let Original { peer, mut parts } = original;
    let id = RequestId::sent(&parts.headers).unwrap_or_else(RequestId::new);
    retain_trace(&mut parts.headers);
    let log = current.access.as_ref();
    let line = log.map(|log| (log, Line::begun(&parts, began)));
    let span = RequestSpan::begin(&mut parts.headers);
    let method = parts.method.clone();
    let (outcome, client) = decide(current, &peer, parts, &id).await;
    traffic::decided(began.elapsed());
    let route = outcome.route.as_ref();
    let route = route.map(|route| route.target.counter.route());
    span.end(&SpanEnd {
        method: method.as_str(),
        route,
        status: outcome.status.as_u16(),
        reason: outcome.reason,
        request_id: id.as_str(),
    });
    if let Some((log, line)) = line {
        let ended = Ended {
            client,
            peer: peer.address(),
            route,
            status: outcome.status,
            reason: outcome.reason,
        };
        line.log(log, id.as_str(), &ended);
    }
    outcome.told
}

async fn decide(
    current: &Current,
    peer: &Peer,
    mut parts: http::request::Parts,
    id: &RequestId,
) -> (Outcome, Option<ClientAddress>) {
    let sent = Sent {
        headers: parts.headers.clone(),
        uri: parts.uri.clone(),
    };
    let decided = current.pipeline.decide(peer, &mut parts).await;
    let client = parts.extensions.remove::<ClientAddress>();
    let outcome = match decided {
        Ok(Passed::Forward(route, session)) => {
            let counter = &route.target.counter;
            counter.allowed();
            counter.answered(StatusCode::OK);
            let reason = match (&route.rule, &session) {
                (None, _) => "no-auth",
                (Some(_), None) => "signed-out",
                (Some(_), Some(_)) => "ok",
            };
            let metadata = ext_authz::metadata(session.as_ref(), counter.route(), reason);
            let mut told = ext_authz::allowed(&sent, &parts.headers, &parts.uri);
            told.dynamic_metadata = Some(metadata);
            Outcome {
                told,
                route: Some(route),
                status: StatusCode::OK,
                reason: None,
            }
        }
        Ok(Passed::Preflight(route, headers)) => {
            route.target.counter.decided("allow", PREFLIGHT);
            route.target.counter.answered(StatusCode::NO_CONTENT);
            Outcome {
                told: preflight(headers, id),
                route: Some(route),
                status: StatusCode::NO_CONTENT,
                reason: Some(PREFLIGHT),
            }
        }
        Err(refusal) => {
            current.note_refusal(&refusal, id);
            Outcome {
                told: refused(&refusal, sent.headers.get(ORIGIN), id),
                status: refusal.rejection.status(),
                reason: Some(refusal.rejection.reason()),
                route: refusal.route,
            }
        }
    };
    (outcome, client)
}

fn preflight(headers: HeaderMap, id: &RequestId) -> CheckResponse {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = headers;
    marked(response, PREFLIGHT, id)
}

fn refused(
    refusal: &Refusal<Target>,
    origin: Option<&HeaderValue>,
    id: &RequestId,
) -> CheckResponse {
    let rejection = &refusal.rejection;
    let mut response = match &refusal.sign_in {
        Some(location) => sign_in_redirect(location.clone()),
        None => rejection
            .problem(Some(id.as_str()))
            .to_response_in(Form::Problem),
    };
    let route = refusal.route.as_ref();
    if let Some(cors) = route.and_then(|route| route.cors.as_ref()) {
        cors.mark_own(origin, response.headers_mut());
    }
    marked(response, rejection.reason(), id)
}

fn marked(mut response: Response<Bytes>, reason: &'static str, id: &RequestId) -> CheckResponse {
    let headers = response.headers_mut();
    headers.insert(X_CLERK_AUTH_REASON, HeaderValue::from_static(reason));
    headers.insert(X_REQUEST_ID, id.value());
    headers.insert(CACHE_CONTROL, NO_STORE);
    ext_authz::denied(&response, reason)
}
