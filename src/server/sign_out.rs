//! Where a caller ends the session that it presents.

use bytes::Bytes;
use http::Response;

use super::{
    gateway::Current,
    own::{OwnRequest, done},
};
use crate::{
    clerk::outage::Outage,
    policy::cross_site::SameSite,
    reject::Rejection,
    request::Host,
    rule::{RequestHead, Rule},
    telemetry::traffic::RouteCounter,
    verify::VerifyError,
};

/// The endpoint as it runs.
pub(crate) struct SignOut {
    pub(crate) path: String,
    pub(crate) counter: RouteCounter,
    /// What proves the session.
    pub(crate) rule: Rule,
    /// Whose pages may send a browser here.
    pub(crate) same_site: SameSite,
}

impl SignOut {
    /// Refuses the session from now on, then asks Clerk to end it.
    pub(super) async fn answer(
        &self,
        current: &Current,
        request: &OwnRequest<'_>,
    ) -> Result<Response<Bytes>, Rejection> {
        let headers = &request.parts.headers;
        let host = request.from.host().map(Host::authority);
        self.same_site
            .judge(request.canonical.method(), host, headers)?;
        let head = RequestHead {
            headers,
            query: None,
            peer: Some(request.from.client()),
        };
        let clerk = &current.clerk;
        let decision = self.rule.decide(head, clerk.clock().now()).await?;
        let Some(session) = &decision.session else {
            return Err(Rejection::session_token_missing());
        };
        clerk.refuse_session(session.id());
        tracing::info!(session.id = session.id(), "session signed out");
        if clerk.can_ask()
            && let Err(error) = clerk.sessions().revoke(session.id()).await
            && !error.is_not_found()
        {
            tracing::warn!(session.id = session.id(), %error, "clerk has not revoked the session");
            return Err(VerifyError::Outage(Outage::of(&error)).into());
        }
        Ok(done())
    }
}
