//! axum extractors: the session, where handlers want it.
//!
//! ```
//! use axum::{Router, routing::get};
//! use clerk_gateway::{Clerk, Guard, Requirement, Session, SessionLayer, extract::Permitted};
//!
//! async fn me(session: Session) -> String {
//!     session.user_id().to_owned()
//! }
//!
//! async fn greeting(session: Option<Session>) -> String {
//!     session.map_or("Hello!".to_owned(), |session| format!("Hello, {}!", session.user_id()))
//! }
//!
//! struct ReadsInvoices;
//!
//! impl Guard for ReadsInvoices {
//!     fn requirement() -> Requirement {
//!         Requirement::Permission("org:invoices:read".to_owned())
//!     }
//! }
//!
//! async fn invoices(session: Permitted<ReadsInvoices>) -> String {
//!     format!("the invoices that {} may see", session.user_id())
//! }
//!
//! # fn example(clerk: Clerk) {
//! let app: Router = Router::new()
//!     .route("/me", get(me))
//!     .route("/invoices", get(invoices))
//!     .route("/", get(greeting))
//!     .layer(SessionLayer::optional(clerk));
//! # let _ = app;
//! # }
//! ```

use std::{marker::PhantomData, ops::Deref};

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

#[cfg(feature = "client")]
use crate::mutate::template_token::TemplateToken;
use crate::{guard, guard::Guard, reject::Rejection, session::Session};

/// A session that has what `G` requires; else the handler is not called: 401 signed out, 403 not
/// permitted.
pub struct Permitted<G> {
    session: Session,
    guard: PhantomData<fn() -> G>,
}

impl<G> Permitted<G> {
    /// Returns the session.
    pub fn into_session(self) -> Session {
        self.session
    }
}

impl<G> Deref for Permitted<G> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        guard::session(&parts.extensions).cloned()
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        match guard::session(&parts.extensions) {
            Ok(session) => Ok(Some(session.clone())),
            Err(rejection) if rejection.is_signed_out() => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }
}

impl<S: Send + Sync, G: Guard> FromRequestParts<S> for Permitted<G> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let session = guard::session(&parts.extensions)?;
        G::requirement().permit(session, guard::decided_at(&parts.extensions))?;
        Ok(Self {
            session: session.clone(),
            guard: PhantomData,
        })
    }
}

/// Finds the token that a layer with `template_token` minted; 500 where none did.
#[cfg(feature = "client")]
impl<S: Send + Sync> FromRequestParts<S> for TemplateToken {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        if let Some(token) = parts.extensions.get::<Self>() {
            return Ok(token.clone());
        }
        guard::session(&parts.extensions)?;
        tracing::error!(
            "no template token was minted for this request: add .template_token(\"…\") to the \
             SessionLayer's builder"
        );
        Err(Rejection::layer_missing())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = self.to_response().map(Body::from);
        response.extensions_mut().insert(self);
        response
    }
}

impl<G> std::fmt::Debug for Permitted<G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Permitted").field(&self.session).finish()
    }
}
