//! The gateway's own endpoints on the public listener, which no route can take.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use hyper::body::Incoming;

use super::{gateway::Current, sign_out::SignOut, webhooks::Webhooks};
use crate::{
    reject::Rejection,
    request::{CanonicalRequest, ForwardedFor, RequestError, canonical_path},
    telemetry::traffic::RouteCounter,
};

/// The endpoints that are set up.
#[derive(Default)]
pub(crate) struct OwnEndpoints {
    pub(crate) webhooks: Option<Webhooks>,
    pub(crate) sign_out: Option<SignOut>,
}

/// One of them.
#[derive(Clone, Copy)]
pub(super) enum OwnEndpoint<'a> {
    SignOut(&'a SignOut),
    Webhooks(&'a Webhooks),
}

/// A request to one, canonical and with its sender known.
pub(super) struct OwnRequest<'a> {
    pub(super) parts: &'a Parts,
    pub(super) canonical: CanonicalRequest,
    pub(super) from: ForwardedFor,
    pub(super) body: Incoming,
}

impl OwnEndpoints {
    /// Finds the endpoint at a path, in whatever spelling.
    pub(super) fn find(&self, path: &str) -> Option<OwnEndpoint<'_>> {
        if self.webhooks.is_none() && self.sign_out.is_none() {
            return None;
        }
        let canonical = path.contains('%').then(|| canonical_path(path));
        let path = match &canonical {
            None => path,
            Some(Ok(path)) => path,
            // Nothing is served there.
            Some(Err(_)) => return None,
        };
        let webhooks = self.webhooks.as_ref().filter(|own| own.path == path);
        let sign_out = self.sign_out.as_ref().filter(|own| own.path == path);
        webhooks
            .map(OwnEndpoint::Webhooks)
            .or(sign_out.map(OwnEndpoint::SignOut))
    }
}

impl<'a> OwnEndpoint<'a> {
    /// Tells whether requests' bodies are read.
    pub(super) fn reads_bodies(self) -> bool {
        matches!(self, Self::Webhooks(_))
    }

    /// Returns the endpoint's counter, which has its name.
    pub(super) fn counter(self) -> &'a RouteCounter {
        match self {
            Self::SignOut(own) => &own.counter,
            Self::Webhooks(own) => &own.counter,
        }
    }

    /// Answers a request that has been found to be unambiguous.
    pub(super) async fn answer(
        self,
        current: &Current,
        request: OwnRequest<'_>,
    ) -> Result<Response<Bytes>, Rejection> {
        if request.canonical.method() != Method::POST {
            return Err(RequestError::MethodNotAllowed.into());
        }
        match self {
            Self::SignOut(own) => own.answer(current, &request).await,
            Self::Webhooks(own) => own.answer(current, request).await,
        }
    }
}

/// What there is nothing more to say about.
pub(super) fn done() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
