//! One route's or layer's rule: credential, verify, policy, template token, in that order.

use std::net::IpAddr;
#[cfg(feature = "client")]
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;

#[cfg(feature = "client")]
use crate::mutate::{
    template_token::{TemplateToken, TokenRequest},
    template_tokens::TemplateTokens,
};
use crate::{
    credential::{Carrier, Credential, Extracted, SessionIds, Sources},
    policy::{self, Requirement},
    reject::Rejection,
    session::Session,
    time::Timestamp,
    verify::{Verifier, VerifyError},
};

/// What a request must bring, and what it is given.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) auth: Auth,
    pub(crate) sources: Sources,
    pub(crate) session_id_callers: Vec<IpNet>,
    pub(crate) verifier: Verifier,
    pub(crate) requirements: Vec<Requirement>,
    #[cfg(feature = "client")]
    pub(crate) token: Option<TokenOutput>,
}

/// Whether a session is needed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Auth {
    Optional,
    Required,
}

/// The template token that goes with the request.
#[cfg(feature = "client")]
#[derive(Debug)]
pub(crate) struct TokenOutput {
    pub(crate) request: Arc<TokenRequest>,
    pub(crate) minter: Arc<TemplateTokens>,
}

/// What a decision reads of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestHead<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Option<&'a str>,
    /// Who sent it, where known.
    pub(crate) peer: Option<IpAddr>,
}

/// A request that may pass, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// `None` only where sessions are optional.
    pub(crate) session: Option<Session>,
    #[cfg(feature = "client")]
    pub(crate) token: Option<TemplateToken>,
}

type Decided = Result<Decision, Rejection>;

impl Rule {
    /// Decides with what is at hand; `None` where something must be awaited.
    pub(crate) fn decide_at_hand(&self, head: RequestHead<'_>, now: Timestamp) -> Option<Decided> {
        let credential = match self.credential(head) {
            Ok(Some(credential)) => credential,
            Ok(None) => return Some(self.signed_out()),
            Err(rejection) => return Some(Err(rejection)),
        };
        let verified = self.verifier.recall(&credential, now)?;
        let session = match self.admit(&credential, verified, now) {
            Ok(Some(session)) => session,
            Ok(None) => return Some(self.signed_out()),
            Err(rejection) => return Some(Err(rejection)),
        };
        self.give_at_hand(session, now).map(Ok)
    }

    /// Returns where the request's credential is; the error is that of one that cannot be.
    #[cfg(feature = "gateway")]
    pub(crate) fn presented<'a>(
        &'a self,
        head: RequestHead<'a>,
    ) -> Result<Option<Carrier<'a>>, Rejection> {
        let Some(credential) = self.credential(head)? else {
            return Ok(None);
        };
        credential.check()?;
        Ok(Some(credential.carrier()))
    }

    /// Finds what the request presents: absent, good so far, or bad.
    fn credential<'a>(
        &'a self,
        head: RequestHead<'a>,
    ) -> Result<Option<Credential<'a>>, Rejection> {
        let session_ids = match head.peer {
            Some(peer)
                if self
                    .session_id_callers
                    .iter()
                    .any(|net| net.contains(&peer)) =>
            {
                SessionIds::Accepted
            }
            _ => SessionIds::Refused,
        };
        match self.sources.extract(head.headers, head.query, session_ids) {
            Extracted::Absent => Ok(None),
            Extracted::Found(credential) => Ok(Some(credential)),
            Extracted::Bad(error) => Err(error.into()),
        }
    }

    /// Judges the verified session by the policy; `None` where it counts as signed out.
    fn admit(
        &self,
        credential: &Credential<'_>,
        verified: Result<Session, VerifyError>,
        now: Timestamp,
    ) -> Result<Option<Session>, Rejection> {
        let session = match verified {
            Ok(session) => session,
            // Browsers hold cookies past their time all the time; nothing else bad passes.
            Err(error)
                if self.auth == Auth::Optional
                    && credential.carrier() == Carrier::Cookie
                    && error.is_out_of_time() =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        policy::permit_all(&self.requirements, &session, now)?;
        Ok(Some(session))
    }

    fn signed_out(&self) -> Decided {
        match self.auth {
            Auth::Optional => Ok(Decision::signed_out()),
            Auth::Required => Err(Rejection::session_token_missing()),
        }
    }
}

#[cfg(not(feature = "client"))]
impl Rule {
    fn give_at_hand(&self, session: Session, _: Timestamp) -> Option<Decision> {
        Some(Decision {
            session: Some(session),
        })
    }
}

#[cfg(feature = "client")]
impl Rule {
    /// Decides, awaiting what is not at hand.
    pub(crate) async fn decide(&self, head: RequestHead<'_>, now: Timestamp) -> Decided {
        let Some(credential) = self.credential(head)? else {
            return self.signed_out();
        };
        let verified = self.verifier.verify(&credential, now).await;
        let Some(session) = self.admit(&credential, verified, now)? else {
            return self.signed_out();
        };
        self.give(session, now).await
    }

    fn give_at_hand(&self, session: Session, now: Timestamp) -> Option<Decision> {
        let token = match &self.token {
            None => None,
            Some(output) => Some(output.minter.recall(&session, &output.request, now)?),
        };
        let session = Some(session);
        Some(Decision { session, token })
    }

    async fn give(&self, session: Session, now: Timestamp) -> Decided {
        let token = match &self.token {
            None => None,
            Some(output) => Some(output.minter.get(&session, &output.request, now).await?),
        };
        let session = Some(session);
        Ok(Decision { session, token })
    }
}

impl Decision {
    /// A request that passes without a session.
    pub(crate) fn signed_out() -> Self {
        Self {
            session: None,
            #[cfg(feature = "client")]
            token: None,
        }
    }
}
