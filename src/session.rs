//! What verification proves: the session, its organization, its actor.

#[cfg(feature = "gateway")]
use std::{any::Any, sync::OnceLock};
use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[cfg(feature = "client")]
use crate::revocation::{Epoch, Proven as Since, Subject};
use crate::time::Timestamp;

/// A verified Clerk session; a clone costs one reference count.
///
/// The layer puts it into the request's extensions, and only the layer makes one: whoever holds a
/// `Session` holds the proof.
#[derive(Clone)]
pub struct Session(Arc<Proven>);

/// What was proven, and beside it what was once made of it: neither changes.
struct Proven {
    data: SessionData,
    #[cfg(feature = "gateway")]
    memo: OnceLock<Memo>,
}

/// Something made of a session's data, by a stage that knows its type.
#[cfg(feature = "gateway")]
pub(crate) type Memo = Box<dyn Any + Send + Sync>;

/// The parts a verifier assembles; a cache holds many, so that none has room for more than it is.
#[derive(Clone)]
pub(crate) struct SessionData {
    pub(crate) id: Box<str>,
    pub(crate) user_id: Box<str>,
    pub(crate) client_id: Option<Box<str>>,
    pub(crate) status: SessionStatus,
    pub(crate) organization: Option<Organization>,
    /// Apart, because few sessions have one.
    pub(crate) actor: Option<Box<Actor>>,
    pub(crate) factor_ages: Option<FactorAges>,
    pub(crate) plan: Option<Box<str>>,
    pub(crate) features: Box<[String]>,
    pub(crate) authorized_party: Option<Box<str>>,
    pub(crate) issued_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    pub(crate) proof: Proof,
    /// The payload of the token, where there is one: a JSON object.
    pub(crate) claims: Option<Arc<str>>,
    /// For a bare session ID: since when what Clerk said of it counts.
    #[cfg(feature = "client")]
    pub(crate) asked: Option<Epoch>,
}

/// How a session was proven.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Proof {
    /// By the token's signature and claims alone.
    Networkless,
    /// By the token, and by the Sessions API saying that the session is active.
    SessionsApi,
    /// By the Sessions API alone, for a bare session ID from a trusted caller: there are no claims.
    SessionId,
}

/// A session's status, as Clerk names it; open, because Clerk adds to it.
///
/// <https://clerk.com/docs/reference/types/session-status>
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum SessionStatus {
    /// Given up on the client's side.
    Abandoned,
    /// Normal; the only status that authenticates by default.
    Active,
    /// The user signed out; the record is still on the client.
    Ended,
    /// The allowed period is over.
    Expired,
    /// Signed in with session tasks outstanding.
    Pending,
    /// The user signed out; the record is off the client.
    Removed,
    /// Superseded by another session.
    Replaced,
    /// Ended by the application.
    Revoked,
    /// A status this version does not know; it never authenticates.
    Unknown(String),
}

/// The organization that is active in a session.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Organization {
    /// Its ID, `org_…`.
    pub id: String,
    /// Its slug, where it has one.
    pub slug: Option<String>,
    /// The member's role with its prefix, as in `org:admin`.
    pub role: Option<String>,
    /// The member's permissions, as in `org:invoices:read`.
    pub permissions: Vec<String>,
}

/// Who really acts, where a session impersonates its user (Clerk's `act` claim).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Actor {
    /// The impersonator's ID.
    pub sub: String,
    /// The impersonator's issuer, where given.
    #[serde(default)]
    pub iss: Option<String>,
    /// The impersonator's session ID, where given.
    #[serde(default)]
    pub sid: Option<String>,
}

/// Minutes since each factor was verified (Clerk's `fva` claim); `None` where it never was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FactorAges {
    /// Minutes since the first factor.
    pub first: Option<u32>,
    /// Minutes since the second factor.
    pub second: Option<u32>,
}

/// Why [`Session::claims`] gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The session was proven by its ID alone, so there is no token to read from.
    #[error("a session proven by its bare ID has no claims")]
    Absent,
    /// The claims do not have the wanted shape.
    #[error("the token's claims do not have the wanted shape")]
    Shape(#[source] serde_json::Error),
}

#[cfg(test)]
impl SessionData {
    /// An active session without anything that it need not have, proven by its token until the 60th second.
    pub(crate) fn plain() -> Self {
        Self {
            id: "sess_1".into(),
            user_id: "user_1".into(),
            client_id: None,
            status: SessionStatus::Active,
            organization: None,
            actor: None,
            factor_ages: None,
            plan: None,
            features: Box::default(),
            authorized_party: None,
            issued_at: None,
            expires_at: Timestamp::from_secs(60),
            proof: Proof::Networkless,
            claims: None,
            #[cfg(feature = "client")]
            asked: None,
        }
    }
}

impl Session {
    pub(crate) fn new(data: SessionData) -> Self {
        Self(Arc::new(Proven {
            data,
            #[cfg(feature = "gateway")]
            memo: OnceLock::new(),
        }))
    }

    /// Says whom the proof is about, and since when it counts.
    #[cfg(feature = "client")]
    pub(crate) fn subject(&self) -> Subject<'_> {
        let organization = self.organization();
        Subject {
            session_id: self.id(),
            user_id: self.user_id(),
            organization_id: organization.map(|organization| organization.id.as_str()),
            proven: match self.0.data.asked {
                Some(epoch) => Since::Asked(epoch),
                None => Since::Issued(self.issued_at()),
            },
        }
    }

    #[cfg(feature = "client")]
    pub(crate) fn data(&self) -> &SessionData {
        &self.0.data
    }

    /// Returns where one thing that was made of this session's data is kept for as long as it lives.
    ///
    /// The data never change, and a session with other data has a memo of its own. So what is kept
    /// never goes stale, if it is made of the data and of what it is compared with when it is read.
    #[cfg(feature = "gateway")]
    pub(crate) fn memo(&self) -> &OnceLock<Memo> {
        &self.0.memo
    }

    /// Returns the session's ID, `sess_…`.
    pub fn id(&self) -> &str {
        &self.0.data.id
    }

    /// Returns the user's ID, `user_…`.
    pub fn user_id(&self) -> &str {
        &self.0.data.user_id
    }

    /// Returns the client's ID, `client_…`; only the Sessions API tells it.
    pub fn client_id(&self) -> Option<&str> {
        self.0.data.client_id.as_deref()
    }

    /// Returns the session's status when it was proven.
    pub fn status(&self) -> &SessionStatus {
        &self.0.data.status
    }

    /// Returns the active organization, if any.
    pub fn organization(&self) -> Option<&Organization> {
        self.0.data.organization.as_ref()
    }

    /// Returns who impersonates the user, if anyone.
    pub fn actor(&self) -> Option<&Actor> {
        self.0.data.actor.as_deref()
    }

    /// Returns how long ago the user's factors were verified, where the token tells.
    pub fn factor_ages(&self) -> Option<FactorAges> {
        self.0.data.factor_ages
    }

    /// Returns the billing plan claim, as in `u:pro` or `o:team`.
    pub fn plan(&self) -> Option<&str> {
        self.0.data.plan.as_deref()
    }

    /// Returns the feature claims, as in `o:dashboard`.
    pub fn features(&self) -> &[String] {
        &self.0.data.features
    }

    /// Returns the origin the token was minted for (`azp`), if it says.
    pub fn authorized_party(&self) -> Option<&str> {
        self.0.data.authorized_party.as_deref()
    }

    /// Returns when the token was issued; `None` without a token or its `iat`.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.0.data.issued_at
    }

    /// Returns when this proof ends: the token's `exp`, or for a bare ID the session's `expire_at`.
    pub fn expires_at(&self) -> Timestamp {
        self.0.data.expires_at
    }

    /// Returns how the session was proven.
    pub fn proof(&self) -> Proof {
        self.0.data.proof
    }

    /// Reads the verified token's claims, custom ones included, as `T`.
    ///
    /// # Errors
    ///
    /// [`ClaimsError::Absent`] for a session proven by its bare ID; [`ClaimsError::Shape`] where
    /// the claims do not fit `T`.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        let claims = self.0.data.claims.as_ref().ok_or(ClaimsError::Absent)?;
        serde_json::from_str(claims).map_err(ClaimsError::Shape)
    }
}

impl fmt::Debug for Session {
    // By hand, so that a new field (or a claim) is not logged unnoticed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.0.data.id)
            .field("status", &self.0.data.status)
            .field("proof", &self.0.data.proof)
            .finish_non_exhaustive()
    }
}

impl SessionStatus {
    /// Returns Clerk's word for the status.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Unknown(word) => word,
        }
    }
}

impl From<String> for SessionStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "abandoned" => Self::Abandoned,
            "active" => Self::Active,
            "ended" => Self::Ended,
            "expired" => Self::Expired,
            "pending" => Self::Pending,
            "removed" => Self::Removed,
            "replaced" => Self::Replaced,
            "revoked" => Self::Revoked,
            _ => Self::Unknown(word),
        }
    }
}

impl From<SessionStatus> for String {
    fn from(status: SessionStatus) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
