//! The rule as tower middleware.
//!
//! [`SessionLayer`] takes the session from a request, verifies it, and puts a [`Session`] into the
//! request's extensions. It never touches the body, leaves the request's headers alone unless
//! asked, and works with any tower service of `http` requests.
//!
//! A request passes if
//!
//! 1. the first credential source that holds anything holds a credential (two different values in
//!    one source are none),
//! 2. that credential is genuine, in its time, and its session good, and
//! 3. the session has all that the layer requires.
//!
//! A request without any credential passes only an optional layer. Everything else is refused with
//! [`Rejection`]'s response.
//!
//! # Example
//!
//! ```
//! use clerk_gateway::{Clerk, Session, SessionLayer};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, service_fn};
//!
//! # fn example(clerk: Clerk) {
//! let service = ServiceBuilder::new()
//!     .layer(SessionLayer::required(clerk))
//!     .service(service_fn(async |request: Request<String>| {
//!         let session = request.extensions().get::<Session>();
//!         let user = session.map(|session| session.user_id().to_owned());
//!         Ok::<_, std::convert::Infallible>(Response::new(user.unwrap_or_default()))
//!     }));
//! # let _ = service;
//! # }
//! ```

mod body;
mod builder;
mod future;

use std::{
    fmt, mem,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Response, Uri};
use tower_layer::Layer;
use tower_service::Service;

pub use body::ResponseBody;
pub use builder::{CredentialSource, SessionLayerBuilder};
pub use future::ResponseFuture;

#[cfg(feature = "client")]
use crate::mutate::template_token::TemplateToken;
use crate::{
    handle::Clerk,
    reject::Rejection,
    rule::{Decision, RequestHead, Rule},
    session::Session,
    telemetry::metrics,
    time::{Clock, Timestamp},
};

type PeerOf = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;
type OnRejection = dyn Fn(&Rejection, &Refused<'_>) -> Response<Bytes> + Send + Sync;

/// Verifies the session of every request that passes.
#[derive(Clone)]
pub struct SessionLayer(Arc<Settings>);

/// The service that [`SessionLayer`] makes.
#[derive(Clone)]
pub struct SessionService<S> {
    inner: S,
    settings: Arc<Settings>,
}

/// A request that was refused, for [`SessionLayerBuilder::on_rejection`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Refused<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's target.
    pub uri: &'a Uri,
    /// The request's headers; the credential is still among them.
    pub headers: &'a HeaderMap,
}

/// In a request's extensions: a layer ran and found nobody signed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedOut;

/// In a request's extensions beside a session: when it was decided on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecidedAt(pub(crate) Timestamp);

pub(super) struct Settings {
    rule: Rule,
    clock: Clock,
    peer: Option<Box<PeerOf>>,
    on_rejection: Option<Box<OnRejection>>,
    #[cfg(feature = "client")]
    forward_token: bool,
}

impl SessionLayer {
    /// Refuses requests without a good session.
    ///
    /// Credentials are looked for in `Authorization: Bearer`, then in Clerk's session cookie; the
    /// rest is as `clerk` says.
    pub fn required(clerk: Clerk) -> Self {
        Self::builder(clerk).build_plain()
    }

    /// Passes requests without a credential as signed out; a bad credential is still refused, but
    /// for a cookie past its time.
    pub fn optional(clerk: Clerk) -> Self {
        Self::builder(clerk).optional().build_plain()
    }

    /// Begins a layer with settings of its own.
    pub fn builder(clerk: Clerk) -> SessionLayerBuilder {
        SessionLayerBuilder::new(clerk)
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService {
            inner,
            settings: Arc::clone(&self.0),
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let now = self.settings.clock.now();
        let head = self.settings.head(&request);
        match self.settings.rule.decide_at_hand(head, now) {
            Some(decided) => match self.settings.settle(decided, &mut request) {
                Ok(()) => ResponseFuture::passed(self.inner.call(request)),
                Err(refusal) => ResponseFuture::refused(*refusal),
            },
            None => {
                // The service that was polled ready is the one to call: the clone takes its place.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                ResponseFuture::deciding(inner, request, Arc::clone(&self.settings), now)
            }
        }
    }
}

impl Settings {
    fn head<'a, B>(&self, request: &'a Request<B>) -> RequestHead<'a> {
        RequestHead {
            headers: request.headers(),
            query: request.uri().query(),
            peer: self.peer(request.extensions()),
        }
    }

    fn peer(&self, extensions: &Extensions) -> Option<IpAddr> {
        self.peer.as_ref().and_then(|peer| peer(extensions))
    }

    /// Writes the decision into the request, or turns it into the refusal's response.
    fn settle<B>(
        &self,
        decided: Result<Decision, Rejection>,
        request: &mut Request<B>,
    ) -> Result<(), Box<Response<Bytes>>> {
        match decided {
            Ok(decision) => {
                metrics::decision("allow", "");
                tracing::debug!(signed_in = decision.session.is_some(), "request allowed");
                self.write(decision, request);
                Ok(())
            }
            Err(rejection) => Err(Box::new(self.refuse(rejection, request))),
        }
    }

    fn write<B>(&self, decision: Decision, request: &mut Request<B>) {
        #[cfg(feature = "client")]
        self.write_token(decision.token, request);
        // What an outer layer or anyone else put there is not this layer's proof.
        let extensions = request.extensions_mut();
        match decision.session {
            Some(session) => {
                extensions.remove::<SignedOut>();
                extensions.insert(DecidedAt(self.clock.now()));
                extensions.insert(session);
            }
            None => {
                extensions.remove::<Session>();
                extensions.insert(SignedOut);
            }
        }
    }

    #[cfg(feature = "client")]
    fn write_token<B>(&self, token: Option<TemplateToken>, request: &mut Request<B>) {
        if self.forward_token {
            request.headers_mut().remove(http::header::AUTHORIZATION);
        }
        let Some(token) = token else {
            request.extensions_mut().remove::<TemplateToken>();
            return;
        };
        if self.forward_token {
            let headers = request.headers_mut();
            headers.insert(http::header::AUTHORIZATION, token.bearer());
        }
        request.extensions_mut().insert(token);
    }

    fn refuse<B>(&self, rejection: Rejection, request: &Request<B>) -> Response<Bytes> {
        metrics::decision("refuse", rejection.reason());
        tracing::info!(
            clerk.reason = rejection.reason(),
            status = rejection.status().as_u16(),
            error = std::error::Error::source(&rejection),
            "request refused"
        );
        let mut response = match &self.on_rejection {
            None => rejection.to_response(),
            Some(hook) => hook(
                &rejection,
                &Refused {
                    method: request.method(),
                    uri: request.uri(),
                    headers: request.headers(),
                },
            ),
        };
        response.extensions_mut().insert(rejection);
        response
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("rule", &self.0.rule)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for SessionService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
