//! Why an upstream gave no response that can be passed on.

use std::{error::Error, io};

use http::StatusCode;

use super::{BoxError, body::BodyFault};

/// Why a request could not be forwarded; the sources are for the log, never for the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ProxyError {
    /// The client's body stood still for too long.
    #[error("the request's body stood still")]
    BodyTimeout,
    /// The client's body is larger than the limit.
    #[error("the request's body is larger than the limit")]
    BodyTooLarge,
    /// No connection could be opened.
    #[error("the upstream cannot be connected to")]
    Connect(#[source] BoxError),
    /// The connection ended before the response's head.
    #[error("the upstream closed the connection without a response")]
    Disconnected(#[source] BoxError),
    /// The response is not one that can be passed on.
    #[error("the upstream's response is invalid")]
    InvalidResponse(#[source] Option<BoxError>),
    /// An HTTP/2 upstream has taken nothing of the request: it is leaving, or wants no more streams (RFC 9113 §8.7).
    #[error("the upstream did not take the request")]
    NotTaken(#[source] BoxError),
    /// The upstream has as many requests as it may.
    #[error("the upstream has as many requests as it may")]
    Overloaded,
    /// The client's body broke off or was malformed, so the request was aborted.
    #[error("the request's body could not be read")]
    RequestBody(#[source] BoxError),
    /// The request's target has no path.
    #[error("the request has no target that can be forwarded")]
    Target,
    /// The response's head took too long.
    #[error("the upstream took too long to respond")]
    Timeout,
}

impl ProxyError {
    /// Returns the reason's slug.
    pub(crate) fn slug(&self) -> &'static str {
        match self {
            Self::BodyTimeout => "request-body-timeout",
            Self::BodyTooLarge => "request-body-too-large",
            Self::Connect(_) => "upstream-unreachable",
            Self::Disconnected(_) | Self::NotTaken(_) => "upstream-disconnected",
            Self::InvalidResponse(_) => "upstream-invalid-response",
            Self::Overloaded => "upstream-overloaded",
            Self::RequestBody(_) => "request-body-unreadable",
            Self::Target => "request-ambiguous-target",
            Self::Timeout => "upstream-timeout",
        }
    }

    /// Returns the status that tells the client.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Connect(_)
            | Self::Disconnected(_)
            | Self::InvalidResponse(_)
            | Self::NotTaken(_) => StatusCode::BAD_GATEWAY,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::RequestBody(_) | Self::Target => StatusCode::BAD_REQUEST,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Tells whether it speaks against the origin that was asked.
    pub(super) fn is_of_origin(&self) -> bool {
        matches!(
            self,
            Self::Connect(_) | Self::Disconnected(_) | Self::Timeout
        )
    }

    /// Tells whether bytes of the request may still be on their way, so that the connection cannot be used again.
    pub(crate) fn leaves_a_body(&self) -> bool {
        matches!(
            self,
            Self::BodyTimeout | Self::BodyTooLarge | Self::RequestBody(_)
        )
    }
}

impl From<hyper::Error> for ProxyError {
    fn from(error: hyper::Error) -> Self {
        match source::<BodyFault>(&error) {
            Some(BodyFault::Idle) => return Self::BodyTimeout,
            Some(BodyFault::TooLarge) => return Self::BodyTooLarge,
            None => {}
        }
        if is_not_taken(&error) {
            Self::NotTaken(error.into())
        } else if error.is_user() {
            Self::RequestBody(error.into())
        } else if error.is_canceled()
            || error.is_closed()
            || error.is_incomplete_message()
            || is_broken(&error)
        {
            Self::Disconnected(error.into())
        } else {
            Self::InvalidResponse(Some(error.into()))
        }
    }
}

fn is_broken(error: &hyper::Error) -> bool {
    source::<io::Error>(error).is_some() && !error.is_parse()
}

/// Tells whether an HTTP/2 upstream has said that it took nothing of the request (RFC 9113 §6.8 and §8.7).
///
/// h2 tells of a GOAWAY only those streams that are behind the last one that the upstream took.
fn is_not_taken(error: &hyper::Error) -> bool {
    source::<h2::Error>(error).is_some_and(|error| {
        let is_refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (error.is_go_away() || is_refused)
    })
}

fn source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
