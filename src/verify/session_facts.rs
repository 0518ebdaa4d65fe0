//! What the Sessions API says of one session, and whether that makes it a good one.

use std::sync::Arc;

use super::shared_status::Told;
use crate::{
    clerk::budget::Priority,
    revocation::{Epoch, Subject},
    session::{Organization, Proof, Session, SessionData, SessionStatus},
    telemetry::metrics::CacheResult,
    time::Timestamp,
};

/// What the Sessions API says of a session.
#[derive(Clone, Debug)]
pub(crate) enum SessionAnswer {
    Known(Arc<SessionFacts>),
    NotFound,
    /// The `verify` operation refused the token.
    NotVerified,
}

/// The facts of a known session.
#[derive(Debug)]
pub(crate) struct SessionFacts {
    pub(crate) user_id: String,
    pub(crate) client_id: String,
    pub(crate) status: SessionStatus,
    expire_at: Timestamp,
    abandon_at: Timestamp,
    pub(super) asked_at: Timestamp,
    /// The session as a bare ID proves it: without claims.
    bare: Session,
}

/// Why a session is not good.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotGood {
    #[error("the session is given up (past its abandon_at)")]
    Abandoned,
    #[error("the session is past its expire_at")]
    Expired,
    #[error("the session's status is {0}")]
    Inactive(SessionStatus),
    #[error("the session does not exist")]
    NotFound,
    #[error("the sessions api refused the token")]
    NotVerified,
    #[error("the session belongs to another user than the token says")]
    UserMismatch,
}

/// When Clerk was asked, and how urgently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) epoch: Epoch,
    pub(super) at: Timestamp,
    pub(super) priority: Priority,
}

impl SessionAnswer {
    pub(super) fn known(told: Told, asked: Asked) -> Self {
        Self::Known(Arc::new(SessionFacts::new(told, asked)))
    }

    pub(super) fn as_result(&self) -> CacheResult {
        match self {
            Self::Known(facts) if facts.status == SessionStatus::Active => CacheResult::Hit,
            _ => CacheResult::Negative,
        }
    }

    /// Returns the session's facts, if it is good.
    pub(crate) fn facts(
        &self,
        accept_pending: bool,
        now: Timestamp,
    ) -> Result<&Arc<SessionFacts>, NotGood> {
        let facts = match self {
            Self::Known(facts) => facts,
            Self::NotFound => return Err(NotGood::NotFound),
            Self::NotVerified => return Err(NotGood::NotVerified),
        };
        match &facts.status {
            SessionStatus::Active => {}
            SessionStatus::Pending if accept_pending => {}
            other => return Err(NotGood::Inactive(other.clone())),
        }
        if now >= facts.expire_at {
            return Err(NotGood::Expired);
        }
        if now >= facts.abandon_at {
            return Err(NotGood::Abandoned);
        }
        Ok(facts)
    }
}

impl SessionFacts {
    /// Returns the session as its bare ID proves it.
    pub(crate) fn bare(&self) -> Session {
        self.bare.clone()
    }

    /// Returns the session as `token`'s claims and these facts prove it together.
    pub(crate) fn compose(&self, token: &Session) -> Session {
        let mut data = token.data().clone();
        data.client_id = Some(self.client_id.as_str().into());
        data.status = self.status.clone();
        data.proof = Proof::SessionsApi;
        Session::new(data)
    }

    /// Returns the organization that is active in the session, where one is.
    pub(crate) fn organization_id(&self) -> Option<&str> {
        self.bare.organization().map(|active| active.id.as_str())
    }

    /// Says whom the facts are about, and since when they are known.
    pub(crate) fn subject(&self) -> Subject<'_> {
        self.bare.subject()
    }

    fn new(told: Told, asked: Asked) -> Self {
        let expire_at = Timestamp::from_millis(told.expire_at);
        let bare = Session::new(SessionData {
            id: told.id.into(),
            user_id: told.user_id.as_str().into(),
            client_id: Some(told.client_id.as_str().into()),
            status: told.status.clone(),
            organization: told.organization_id.map(|id| Organization {
                id,
                ..Organization::default()
            }),
            actor: told.actor.map(Box::new),
            factor_ages: None,
            plan: None,
            features: Box::default(),
            authorized_party: None,
            issued_at: None,
            expires_at: expire_at,
            proof: Proof::SessionId,
            claims: None,
            asked: Some(asked.epoch),
        });
        Self {
            user_id: told.user_id,
            client_id: told.client_id,
            status: told.status,
            expire_at,
            abandon_at: Timestamp::from_millis(told.abandon_at),
            asked_at: asked.at,
            bare,
        }
    }

    pub(super) fn told(&self) -> Told {
        Told {
            id: self.bare.id().to_owned(),
            user_id: self.user_id.clone(),
            client_id: self.client_id.clone(),
            status: self.status.clone(),
            organization_id: self.organization_id().map(str::to_owned),
            actor: self.bare.actor().cloned(),
            expire_at: self.expire_at.as_millis(),
            abandon_at: self.abandon_at.as_millis(),
        }
    }
}

impl NotGood {
    /// Returns the reason slug.
    pub(crate) fn slug(&self) -> &'static str {
        match self {
            Self::Abandoned | Self::Inactive(SessionStatus::Abandoned) => "session-abandoned",
            Self::Expired | Self::Inactive(SessionStatus::Expired) => "session-expired",
            Self::Inactive(SessionStatus::Ended) => "session-ended",
            Self::Inactive(SessionStatus::Pending) => "session-pending",
            Self::Inactive(SessionStatus::Removed) => "session-removed",
            Self::Inactive(SessionStatus::Replaced) => "session-replaced",
            Self::Inactive(SessionStatus::Revoked) => "session-revoked",
            Self::Inactive(SessionStatus::Active | SessionStatus::Unknown(_)) => {
                "session-not-active"
            }
            Self::NotFound => "session-not-found",
            Self::NotVerified => "session-not-verified",
            Self::UserMismatch => "session-user-mismatch",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked {
        epoch: Epoch::FIRST,
        at: Timestamp::from_millis(1_000),
        priority: Priority::Request,
    };

    fn answer(status: SessionStatus) -> SessionAnswer {
        let told = Told {
            status,
            ..Told::plain()
        };
        SessionAnswer::known(told, ASKED)
    }

    fn judged(status: SessionStatus, accept_pending: bool, at: i64) -> Option<NotGood> {
        let at = Timestamp::from_millis(at);
        answer(status).facts(accept_pending, at).err()
    }

    #[test]
    fn what_is_not_active_is_counted_as_a_no() {
        for (answer, counted) in [
            (answer(SessionStatus::Active), CacheResult::Hit),
            (answer(SessionStatus::Revoked), CacheResult::Negative),
            (SessionAnswer::NotFound, CacheResult::Negative),
            (SessionAnswer::NotVerified, CacheResult::Negative),
        ] {
            assert_eq!(answer.as_result(), counted, "{answer:?}");
        }
    }

    #[test]
    fn a_pending_session_is_good_where_those_are_accepted_and_no_other_is() {
        let pending = Some(NotGood::Inactive(SessionStatus::Pending));
        assert_eq!(judged(SessionStatus::Pending, true, 1_500), None);
        assert_eq!(judged(SessionStatus::Pending, false, 1_500), pending);
        let ended = Some(NotGood::Inactive(SessionStatus::Ended));
        assert_eq!(judged(SessionStatus::Ended, true, 1_500), ended);
    }

    #[test]
    fn an_active_session_is_good_until_it_expires_or_is_given_up() {
        let mut told = Told::plain();
        std::mem::swap(&mut told.expire_at, &mut told.abandon_at);
        let given_up_first = SessionAnswer::known(told, ASKED);
        for (at, expired, given_up) in [
            (1_999, None, None),
            (2_000, Some(NotGood::Expired), Some(NotGood::Abandoned)),
        ] {
            assert_eq!(judged(SessionStatus::Active, false, at), expired);
            let at = Timestamp::from_millis(at);
            assert_eq!(given_up_first.facts(false, at).err(), given_up);
        }
    }
}
