//! The gateway as a service: the pipeline decides, the proxy sends on.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, ORIGIN},
};
use hyper::{body::Incoming, service::Service};

use super::{connection::ConnectionInfo, request_id::RequestId};
use crate::{
    handle::Clerk,
    layer::ResponseBody,
    pipeline::{Passed, Pipeline, Refusal, Route},
    problem::{Form, Problem, sign_in_redirect},
    proxy::{BodyLimits, ProxyBody, ProxyError, ReverseProxy, Upstream},
    reject::Rejection,
    request::RequestError,
    telemetry::{metrics, traffic, traffic::RouteCounter},
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A route's upstream, the proxy that reaches it, and its counter.
pub(crate) struct Target {
    pub(crate) upstream: Arc<Upstream>,
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
}

type Answer = Response<ResponseBody<ProxyBody>>;

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
        let current = self.current();
        Box::pin(async move { Ok(current.answer(request).await) })
    }
}

impl Current {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (mut parts, body) = request.into_parts();
        let id = RequestId::new();
        parts.headers.insert(X_REQUEST_ID, id.value());
        let form = Form::of(&parts.headers);
        let origin = parts.headers.get(ORIGIN).cloned();
        let Some(connection) = parts.extensions.remove::<ConnectionInfo>() else {
            return refusal(&Rejection::layer_missing(), form, &id);
        };
        let decided = match connection.fault {
            Some(fault) => Err(Refusal::before_route(RequestError::Head(fault))),
            None => {
                let peer = &connection.peer;
                self.pipeline.decide(peer, &mut parts).await
            }
        };
        let mut answer = match decided {
            Ok(Passed::Forward(route)) => {
                metrics::decision("allow", "");
                let mut answer = forward(&route, parts, body, (form, &id)).await;
                route.target.counter.answered(answer.status());
                if let Some(cors) = &route.cors {
                    cors.mark_answer(origin.as_ref(), answer.headers_mut());
                }
                answer
            }
            Ok(Passed::Preflight(route, headers)) => {
                metrics::decision("allow", "cors-preflight");
                route.target.counter.answered(StatusCode::NO_CONTENT);
                preflight(headers)
            }
            Err(refused) => {
                let cors = refused.route.as_ref().and_then(|route| route.cors.clone());
                let mut answer = self.refuse(refused, form, &id);
                if let Some(cors) = cors {
                    cors.mark_own(origin.as_ref(), answer.headers_mut());
                }
                answer
            }
        };
        answer.headers_mut().insert(X_REQUEST_ID, id.value());
        answer
    }

    fn refuse(&self, refused: Refusal<Target>, form: Form, id: &RequestId) -> Answer {
        let rejection = &refused.rejection;
        metrics::decision("refuse", rejection.reason());
        tracing::info!(
            request.id = id.as_str(),
            clerk.reason = rejection.reason(),
            status = rejection.status().as_u16(),
            cause = std::error::Error::source(rejection).map(tracing::field::display),
            "request refused"
        );
        let counter = match &refused.route {
            Some(route) => &route.target.counter,
            None => &self.unrouted,
        };
        counter.answered(rejection.status());
        match refused.sign_in {
            Some(location) => from_bytes(sign_in_redirect(location)),
            None => refusal(rejection, form, id),
        }
    }
}

fn preflight(headers: HeaderMap) -> Answer {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = headers;
    from_bytes(response)
}

async fn forward(
    route: &Route<Target>,
    parts: http::request::Parts,
    body: Incoming,
    (form, id): (Form, &RequestId),
) -> Answer {
    let target = &route.target;
    let began = Instant::now();
    let sent = target
        .proxy
        .send(&target.upstream, parts, body, target.body)
        .await;
    traffic::upstream(began.elapsed());
    match sent {
        Ok(response) => {
            tracing::debug!(
                request.id = id.as_str(),
                upstream = target.upstream.name(),
                status = response.status().as_u16(),
                "request forwarded"
            );
            response.map(ResponseBody::inner)
        }
        Err(error) => unreachable_upstream(&error, target, (form, id)),
    }
}

fn unreachable_upstream(
    error: &ProxyError,
    target: &Target,
    (form, id): (Form, &RequestId),
) -> Answer {
    let status = error.status();
    tracing::warn!(
        request.id = id.as_str(),
        upstream = target.upstream.name(),
        reason = error.slug(),
        error = %error,
        cause = std::error::Error::source(error).map(tracing::field::display),
        "upstream failed"
    );
    let detail = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "The request's body is too large.",
        StatusCode::REQUEST_TIMEOUT => "The request's body stood still for too long.",
        StatusCode::SERVICE_UNAVAILABLE => "The service behind the gateway is busy.",
        StatusCode::BAD_REQUEST => "The request could not be read.",
        StatusCode::GATEWAY_TIMEOUT => "The service behind the gateway did not answer in time.",
        _ => "The service behind the gateway could not be reached.",
    };
    let problem = Problem {
        status,
        code: error.slug(),
        detail,
        challenge: None,
        retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        request_id: Some(id.as_str()),
    };
    let mut response = problem.to_response_in(form);
    if error.leaves_a_body() {
        close(&mut response);
    }
    from_bytes(response)
}

fn refusal(rejection: &Rejection, form: Form, id: &RequestId) -> Answer {
    let mut response = rejection.problem(Some(id.as_str())).to_response_in(form);
    if matches!(
        rejection.status(),
        StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED
    ) {
        // What follows an ambiguous request, or a CONNECT, must not be read as another request.
        close(&mut response);
    }
    from_bytes(response)
}

fn close(response: &mut Response<Bytes>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}

fn from_bytes(response: Response<Bytes>) -> Answer {
    response.map(ResponseBody::refusal)
}
