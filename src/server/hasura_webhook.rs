//! Hasura's webhook on the decision listener: a caller's headers in, session variables out.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::{
    access_line::{Ended, Line},
    decisions::Question,
    gateway::Current,
};
use crate::{
    decision::{
        X_CLERK_AUTH_REASON,
        hasura::{self, Variables, Webhook},
    },
    problem::Form,
    reject::Rejection,
    request::{HasuraBodyError, RequestError, hasura_headers},
    telemetry::{
        trace::{RequestSpan, SpanEnd},
        traffic,
        traffic::RouteCounter,
    },
};

/// The webhook as it runs.
pub(crate) struct HasuraWebhook {
    pub(crate) webhook: Webhook,
    pub(crate) counter: RouteCounter,
    /// How long a question's body may take to arrive.
    pub(crate) body_timeout: Duration,
}

impl HasuraWebhook {
    /// Answers one of Hasura's questions; who asks is trusted already.
    pub(super) async fn answer(
        &self,
        current: &Current,
        (mut asking, body): (Parts, Incoming),
        question: &Question<'_>,
    ) -> Response<Bytes> {
        let line = current
            .access
            .as_ref()
            .map(|log| (log, Line::begun(&asking, question.began)));
        let span = RequestSpan::begin(&mut asking.headers);
        let method = asking.method.clone();
        let decided = self.decide(current, asking, body).await;
        traffic::decided(question.began.elapsed());
        let id = question.id.as_str();
        let (answer, reason) = match &decided {
            Ok(variables) => (allowed(variables), None),
            Err(rejection) => (refused(rejection, id), Some(rejection.reason())),
        };
        self.note(&decided, answer.status(), id);
        span.end(&SpanEnd {
            method: method.as_str(),
            route: Some(self.counter.route()),
            status: answer.status().as_u16(),
            reason,
            request_id: id,
        });
        if let Some((log, line)) = line {
            let ended = Ended {
                client: None,
                peer: question.peer.address(),
                route: Some(self.counter.route()),
                status: answer.status(),
                reason,
            };
            line.log(log, id, &ended);
        }
        answer
    }

    async fn decide(
        &self,
        current: &Current,
        asking: Parts,
        body: Incoming,
    ) -> Result<Variables, Rejection> {
        let headers = match asking.method {
            Method::GET => asking.headers,
            Method::POST => self.told(body).await.map_err(RequestError::Hasura)?,
            _ => return Err(RequestError::MethodNotAllowed.into()),
        };
        let now = current.pipeline.clock.now();
        self.webhook.decide(&headers, now).await
    }

    /// Reads the caller's headers out of a POST's body.
    async fn told(&self, body: Incoming) -> Result<HeaderMap, HasuraBodyError> {
        let whole = Limited::new(body, self.webhook.max_body_bytes).collect();
        let whole = tokio::time::timeout(self.body_timeout, whole).await;
        let whole = whole.map_err(|_| HasuraBodyError::Incomplete)?;
        let whole = whole.map_err(|error| match error.is::<LengthLimitError>() {
            true => HasuraBodyError::TooLarge,
            false => HasuraBodyError::Incomplete,
        })?;
        hasura_headers(&whole.to_bytes())
    }

    fn note(&self, decided: &Result<Variables, Rejection>, status: StatusCode, id: &str) {
        self.counter.answered(status);
        let Err(rejection) = decided else {
            self.counter.allowed();
            return;
        };
        tracing::info!(
            request.id = id,
            clerk.reason = rejection.reason(),
            status = status.as_u16(),
            cause = std::error::Error::source(rejection).map(tracing::field::display),
            "request refused"
        );
        self.counter.decided("refuse", rejection.reason());
    }
}

fn allowed(variables: &Variables) -> Response<Bytes> {
    let mut answer = Response::new(variables.body.clone());
    let headers = answer.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let reason = match variables.session {
        Some(_) => "ok",
        None => "signed-out",
    };
    headers.insert(X_CLERK_AUTH_REASON, HeaderValue::from_static(reason));
    answer
}

fn refused(rejection: &Rejection, id: &str) -> Response<Bytes> {
    let problem = rejection.problem(Some(id));
    let mut answer = problem.to_response_in(Form::Problem);
    *answer.status_mut() = hasura::status(answer.status());
    let reason = HeaderValue::from_static(rejection.reason());
    answer.headers_mut().insert(X_CLERK_AUTH_REASON, reason);
    answer
}
