//! Guards for parts of an app: the session must have this, else 403.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Extensions, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    layer::{DecidedAt, ResponseBody, ResponseFuture, SignedOut},
    policy::{Requirement, permit_all},
    reject::Rejection,
    session::Session,
    time::{Clock, Timestamp},
};

/// Requires something of the session that a [`SessionLayer`](crate::SessionLayer) outside it proved.
///
/// Signed out is 401, a session that does not have what is required 403; without a
/// `SessionLayer` outside it every request is a 500, loudly logged.
///
/// ```
/// use std::time::Duration;
/// use clerk_gateway::RequireLayer;
///
/// let admins = RequireLayer::role("org:admin");
/// let readers = RequireLayer::permission("org:invoices:read");
/// let acme = RequireLayer::organization("acme");
/// let fresh = RequireLayer::reverified_within(Duration::from_secs(10 * 60));
/// ```
#[derive(Clone, Debug)]
pub struct RequireLayer(Arc<[Requirement]>);

/// The service that [`RequireLayer`] makes.
#[derive(Clone, Debug)]
pub struct RequireService<S> {
    inner: S,
    requirements: Arc<[Requirement]>,
}

/// A requirement with a name of its own, for the `Permitted` extractor.
pub trait Guard {
    /// Returns what the session must have.
    fn requirement() -> Requirement;
}

impl RequireLayer {
    /// Requires this of the session.
    pub fn new(requirement: Requirement) -> Self {
        Self(Arc::new([requirement]))
    }

    /// Requires this role in the active organization, as in `org:admin`; else 403 `role-missing`.
    pub fn role(role: impl Into<String>) -> Self {
        Self::new(Requirement::Role(role.into()))
    }

    /// Requires this permission in the active organization, as in `org:invoices:read`; else 403
    /// `permission-missing`.
    pub fn permission(permission: impl Into<String>) -> Self {
        Self::new(Requirement::Permission(permission.into()))
    }

    /// Requires this organization to be the active one, by ID or slug; else 403
    /// `organization-mismatch`.
    pub fn organization(organization: impl Into<String>) -> Self {
        Self::new(Requirement::Organization(organization.into()))
    }

    /// Requires one of these; else 403 with what they all lack, or `requirements-not-met`.
    pub fn any(requirements: impl IntoIterator<Item = Requirement>) -> Self {
        Self::new(Requirement::Any(requirements.into_iter().collect()))
    }

    /// Requires a factor to have been verified within `age`, told as strictly as
    /// [`Requirement::ReverifiedWithin`] says; else 403 `reverification-required`.
    pub fn reverified_within(age: std::time::Duration) -> Self {
        Self::new(Requirement::ReverifiedWithin(age))
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService {
            inner,
            requirements: Arc::clone(&self.0),
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let extensions = request.extensions();
        let permitted = session(extensions).and_then(|session| {
            let now = decided_at(extensions);
            Ok(permit_all(&self.requirements, session, now)?)
        });
        match permitted {
            Ok(()) => ResponseFuture::passed(self.inner.call(request)),
            Err(rejection) => {
                let mut response = rejection.to_response();
                response.extensions_mut().insert(rejection);
                ResponseFuture::refused(response)
            }
        }
    }
}

/// Finds the session that a layer put there; who is signed out and where no layer ran are told
/// apart.
pub(crate) fn session(extensions: &Extensions) -> Result<&Session, Rejection> {
    if let Some(session) = extensions.get() {
        return Ok(session);
    }
    if extensions.get::<SignedOut>().is_some() {
        return Err(Rejection::session_token_missing());
    }
    tracing::error!(
        "no SessionLayer ran for this request: put SessionLayer::required(clerk) or \
         SessionLayer::optional(clerk) around the router (Router::layer), outside of what needs \
         the session"
    );
    Err(Rejection::layer_missing())
}

/// Returns the time of the layer's decision, so that a guard goes by the layer's clock.
pub(crate) fn decided_at(extensions: &Extensions) -> Timestamp {
    match extensions.get() {
        Some(DecidedAt(time)) => *time,
        None => Clock::system().now(),
    }
}
