//! The answers that the gateway gives itself.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONNECTION};
use tracing::field::display;

use super::request_id::RequestId;
use crate::{
    layer::ResponseBody,
    problem::{Form, Problem},
    proxy::{ProxyBody, ProxyError, Upstream},
    reject::Rejection,
    stream::Watched,
};

/// An answer to a client: an upstream's or the gateway's own.
pub(super) type Answer = Response<ResponseBody<Watched<ProxyBody>>>;

/// Why a request was refused or failed; in its answer's extensions until it is logged.
#[derive(Clone, Copy)]
pub(super) struct Reason(pub(super) &'static str);

/// Builds the answer to a preflight.
pub(super) fn preflight(headers: HeaderMap) -> Answer {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = headers;
    from_bytes(response)
}

/// Logs why an upstream failed, and builds the answer.
pub(super) fn unreachable_upstream(
    error: &ProxyError,
    upstream: &Upstream,
    (form, id): (Form, &RequestId),
) -> Answer {
    let status = error.status();
    let (slug, cause) = (error.slug(), std::error::Error::source(error));
    let (id_text, upstream, cause) = (id.as_str(), upstream.name(), cause.map(display));
    if status.is_client_error() {
        // Clients could fill the log with warnings.
        tracing::info!(request.id = id_text, upstream, reason = slug, %error, cause, "request refused");
    } else if status == StatusCode::SERVICE_UNAVAILABLE {
        // Where there is too much to do, a line for each refusal is too much as well; they are counted.
        tracing::debug!(request.id = id_text, upstream, reason = slug, %error, cause, "request refused");
    } else {
        tracing::warn!(request.id = id_text, upstream, reason = slug, %error, cause, "upstream failed");
    }
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
    response.extensions_mut().insert(Reason(error.slug()));
    from_bytes(response)
}

/// Builds a refusal in the form that the client understands.
pub(super) fn refusal(rejection: &Rejection, form: Form, id: &RequestId) -> Answer {
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

/// Has the connection end after this answer.
pub(super) fn close<B>(response: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}

/// Makes an answer of a whole body.
pub(super) fn from_bytes(response: Response<Bytes>) -> Answer {
    response.map(ResponseBody::refusal)
}
