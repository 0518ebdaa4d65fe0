//! The decision listener as a service: who asks, what about, and what they are told.

use std::{convert::Infallible, future::Future, pin::Pin, time::Instant};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{CONNECTION, ORIGIN},
    request::Parts,
};
use http_body::Body;
use http_body_util::Full;
use hyper::{body::Incoming, service::Service};

use super::{
    connection::ConnectionInfo,
    gateway::{Current, Gateway},
    hasura_webhook::HasuraWebhook,
    request_id::{RequestId, X_REQUEST_ID},
    verdicts::{judge, told},
};
use crate::{
    decision::{Decider, Dialect, Verdict, X_CLERK_AUTH_REASON},
    pipeline::Refusal,
    problem::Form,
    reject::Rejection,
    request::{Peer, RequestError, retain_trace},
};

/// Answers callers' questions by what the gateway runs with.
#[derive(Clone)]
pub(crate) struct Decisions(Gateway);

impl Decisions {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self(gateway)
    }
}

impl Service<Request<Incoming>> for Decisions {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let current = self.0.current();
        Box::pin(async move { Ok(answer(&current, request).await.map(Full::new)) })
    }
}

/// A question, and who asks it.
pub(super) struct Question<'a> {
    pub(super) peer: &'a Peer,
    pub(super) id: &'a RequestId,
    pub(super) began: Instant,
}

async fn answer(current: &Current, request: Request<Incoming>) -> Response<Bytes> {
    let began = Instant::now();
    let (mut asking, body) = request.into_parts();
    let Some(connection) = asking.extensions.remove::<ConnectionInfo>() else {
        return Rejection::layer_missing().to_response();
    };
    // Hasura passes on what its caller sends, so an ID among the headers is anybody's.
    let id = RequestId::new();
    let question = Question {
        peer: &connection.peer,
        id: &id,
        began,
    };
    let mut answer = match endpoint(current, &connection, &mut asking) {
        Ok(Endpoint::Hasura(hasura)) => hasura.answer(current, (asking, body), &question).await,
        Ok(Endpoint::Proxies(decider, dialect)) => {
            let mut answer = proxies(current, (decider, dialect), asking, &question).await;
            // A question's body is not read here: callers may announce one that they do not send.
            if !body.is_end_stream() {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            answer
        }
        Err(rejection) => refuse(current, &rejection, &id),
    };
    answer.headers_mut().insert(X_REQUEST_ID, id.value());
    answer
}

/// Who answers a question.
enum Endpoint<'a> {
    Hasura(&'a HasuraWebhook),
    Proxies(&'a Decider, Dialect),
}

/// Finds what is asked, for those who may ask.
fn endpoint<'a>(
    current: &'a Current,
    connection: &ConnectionInfo,
    asking: &mut Parts,
) -> Result<Endpoint<'a>, Rejection> {
    let decider = current.decider.as_ref();
    let decider = decider.filter(|decider| decider.may_ask(connection.peer.address()));
    let decider = decider.ok_or_else(Rejection::caller_not_trusted)?;
    let path = asking.uri.path();
    let hasura = current.hasura.as_ref().filter(|_| path == "/hasura");
    let endpoint = match (hasura, Dialect::of(path)) {
        (Some(hasura), _) => Endpoint::Hasura(hasura),
        (None, Some(dialect)) => Endpoint::Proxies(decider, dialect),
        (None, None) => return Err(Rejection::endpoint_not_found()),
    };
    if let Some(fault) = connection.fault {
        return Err(RequestError::Head(fault).into());
    }
    retain_trace(&mut asking.headers);
    Ok(endpoint)
}

/// Answers a proxy.
async fn proxies(
    current: &Current,
    (decider, dialect): (&Decider, Dialect),
    asking: Parts,
    question: &Question<'_>,
) -> Response<Bytes> {
    let origin = asking.headers.get(ORIGIN).cloned();
    let verdict = match dialect.original(question.peer, asking) {
        Ok(original) => judge(current, decider, original, question).await,
        Err(error) => {
            let refusal = Refusal::before_route(Rejection::from(error));
            current.note_refusal(&refusal, question.id);
            Verdict::Refused(refusal)
        }
    };
    let mut answer = told(&verdict, dialect, question);
    if let Verdict::Refused(Refusal {
        route: Some(route), ..
    }) = &verdict
        && let Some(cors) = &route.cors
    {
        cors.mark_own(origin.as_ref(), answer.headers_mut());
    }
    answer
}

/// Refuses a question that is about no request.
fn refuse(current: &Current, rejection: &Rejection, id: &RequestId) -> Response<Bytes> {
    tracing::info!(
        request.id = id.as_str(),
        clerk.reason = rejection.reason(),
        status = rejection.status().as_u16(),
        "question refused"
    );
    let reason = rejection.reason();
    current.unrouted.decided("refuse", reason);
    current.unrouted.answered(rejection.status());
    let problem = rejection.problem(Some(id.as_str()));
    let mut answer = problem.to_response_in(Form::Problem);
    let reason = http::HeaderValue::from_static(reason);
    answer.headers_mut().insert(X_CLERK_AUTH_REASON, reason);
    answer
}
