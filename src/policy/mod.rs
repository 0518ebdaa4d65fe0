//! What a session must have to pass, and where a browser goes that has none.

#[cfg(feature = "gateway")]
pub(crate) mod sign_in;

use std::time::Duration;

use crate::session::Session;

/// Something a session must have.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Requirement {
    /// The active organization, by ID (`org_…`) or slug.
    Organization(String),
    /// A permission in the active organization, as in `org:invoices:read`.
    Permission(String),
    /// A first or second factor verified within this time (Clerk's reverification).
    ReverifiedWithin(Duration),
    /// A role in the active organization, as in `org:admin`.
    Role(String),
}

/// Why a session does not pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Another organization is active, or none.
    #[error("the session's active organization is not the required one")]
    OrganizationMismatch,
    /// The session lacks the permission.
    #[error("the session lacks the required permission")]
    PermissionMissing,
    /// The user's factors were verified too long ago, or the session does not tell.
    #[error("the user must verify again")]
    ReverificationRequired,
    /// The session lacks the role.
    #[error("the session lacks the required role")]
    RoleMissing,
}

impl Requirement {
    /// Judges a session.
    ///
    /// # Errors
    ///
    /// [`Denied`] where the session does not have what is required, or does not tell.
    pub fn permit(&self, session: &Session) -> Result<(), Denied> {
        let organization = session.organization();
        let (met, denied) = match self {
            Self::Organization(wanted) => (
                organization
                    .is_some_and(|org| org.id == *wanted || org.slug.as_ref() == Some(wanted)),
                Denied::OrganizationMismatch,
            ),
            Self::Permission(wanted) => (
                organization.is_some_and(|org| org.permissions.contains(wanted)),
                Denied::PermissionMissing,
            ),
            Self::ReverifiedWithin(age) => (
                verified_within(session, *age),
                Denied::ReverificationRequired,
            ),
            Self::Role(wanted) => (
                organization.is_some_and(|org| org.role.as_ref() == Some(wanted)),
                Denied::RoleMissing,
            ),
        };
        if met { Ok(()) } else { Err(denied) }
    }
}

impl Denied {
    /// Returns the reason slug.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::OrganizationMismatch => "organization-mismatch",
            Self::PermissionMissing => "permission-missing",
            Self::ReverificationRequired => "reverification-required",
            Self::RoleMissing => "role-missing",
        }
    }
}

/// Judges a session by all of `requirements`.
pub(crate) fn permit_all(requirements: &[Requirement], session: &Session) -> Result<(), Denied> {
    requirements
        .iter()
        .try_for_each(|requirement| requirement.permit(session))
}

// The `fva` claim counts whole minutes: an age of N minutes may be almost N + 1.
fn verified_within(session: &Session, age: Duration) -> bool {
    let Some(ages) = session.factor_ages() else {
        return false;
    };
    let youngest = ages.first.into_iter().chain(ages.second).min();
    youngest.is_some_and(|minutes| Duration::from_secs((u64::from(minutes) + 1) * 60) <= age)
}
