//! What a session must have to pass, and where a browser goes that has none.

#[cfg(feature = "gateway")]
pub(crate) mod cors;
#[cfg(feature = "gateway")]
pub(crate) mod cross_site;
#[cfg(feature = "gateway")]
pub(crate) mod sign_in;

use std::time::Duration;

use crate::{session::Session, time::Timestamp};

/// Something a session must have.
///
/// What is named is compared exactly, letter by letter. A session that was proven by its bare ID has
/// no claims, and meets only [`Requirement::NotImpersonated`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Requirement {
    /// All of these.
    All(Vec<Self>),
    /// At least one of these; none at all is never met.
    Any(Vec<Self>),
    /// A feature of the user's or the active organization's plan, as in `dashboard`; `u:dashboard` and
    /// `o:dashboard` name one of the two.
    Feature(String),
    /// The user himself, and nobody who impersonates him.
    NotImpersonated,
    /// The active organization, by ID (`org_…`) or slug.
    Organization(String),
    /// A permission in the active organization, as in `org:invoices:read`.
    Permission(String),
    /// The user's or the active organization's plan, as in `pro`; `u:pro` and `o:pro` name one of the two.
    Plan(String),
    /// A first or second factor verified within this time (Clerk's reverification).
    ///
    /// Clerk counts whole minutes and writes them down when it mints the token, so a minute and the
    /// token's own age count against the session: it never passes too late, and sometimes up to a
    /// minute early it does not. A time below two minutes is hardly ever met.
    ReverifiedWithin(Duration),
    /// A role in the active organization, as in `org:admin`.
    Role(String),
}

/// Why a session does not pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Neither the user nor the active organization has the feature.
    #[error("neither the user nor the active organization has the required feature")]
    FeatureMissing,
    /// Somebody impersonates the user.
    #[error("the session impersonates its user")]
    Impersonated,
    /// The session has none of several things of which one would do.
    #[error("the session has none of the things of which one is required")]
    NoneOfAny,
    /// Another organization is active, or none.
    #[error("the session's active organization is not the required one")]
    OrganizationMismatch,
    /// The session lacks the permission.
    #[error("the session lacks the required permission")]
    PermissionMissing,
    /// Neither the user nor the active organization has the plan.
    #[error("neither the user nor the active organization has the required plan")]
    PlanMissing,
    /// The user's factors were verified too long ago, or the session does not tell.
    #[error("the user must verify again")]
    ReverificationRequired,
    /// The session lacks the role.
    #[error("the session lacks the required role")]
    RoleMissing,
}

impl Requirement {
    /// Judges a session, at a time.
    ///
    /// # Errors
    ///
    /// [`Denied`] where the session does not have what is required, or does not tell.
    pub fn permit(&self, session: &Session, now: Timestamp) -> Result<(), Denied> {
        let organization = session.organization();
        let (met, denied) = match self {
            Self::All(all) => return permit_all(all, session, now),
            Self::Any(any) => return permit_any(any, session, now),
            Self::Feature(wanted) => (
                session.features().iter().any(|claim| names(claim, wanted)),
                Denied::FeatureMissing,
            ),
            Self::NotImpersonated => (session.actor().is_none(), Denied::Impersonated),
            Self::Organization(wanted) => (
                organization
                    .is_some_and(|org| org.id == *wanted || org.slug.as_ref() == Some(wanted)),
                Denied::OrganizationMismatch,
            ),
            Self::Permission(wanted) => (
                organization.is_some_and(|org| org.permissions.contains(wanted)),
                Denied::PermissionMissing,
            ),
            Self::Plan(wanted) => (
                session.plan().is_some_and(|claim| names(claim, wanted)),
                Denied::PlanMissing,
            ),
            Self::ReverifiedWithin(age) => (
                verified_within(session, *age, now),
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
            Self::FeatureMissing => "feature-missing",
            Self::Impersonated => "impersonation-denied",
            Self::NoneOfAny => "requirements-not-met",
            Self::OrganizationMismatch => "organization-mismatch",
            Self::PermissionMissing => "permission-missing",
            Self::PlanMissing => "plan-missing",
            Self::ReverificationRequired => "reverification-required",
            Self::RoleMissing => "role-missing",
        }
    }
}

/// Judges a session by all of `requirements`.
pub(crate) fn permit_all(
    requirements: &[Requirement],
    session: &Session,
    now: Timestamp,
) -> Result<(), Denied> {
    requirements
        .iter()
        .try_for_each(|requirement| requirement.permit(session, now))
}

/// Says what is missing where every alternative misses the same, else that none is met.
fn permit_any(any: &[Requirement], session: &Session, now: Timestamp) -> Result<(), Denied> {
    let mut missing = None;
    for requirement in any {
        match (requirement.permit(session, now), missing) {
            (Ok(()), _) => return Ok(()),
            (Err(denied), None) => missing = Some(denied),
            (Err(denied), Some(other)) if denied == other => {}
            (Err(_), Some(_)) => missing = Some(Denied::NoneOfAny),
        }
    }
    Err(missing.unwrap_or(Denied::NoneOfAny))
}

/// Tells whether a scoped claim (`u:pro`) is the wanted one, which may leave the scope open (`pro`).
fn names(claim: &str, wanted: &str) -> bool {
    let Some((scope, name)) = claim.split_once(':') else {
        return false;
    };
    match wanted.split_once(':') {
        None => name == wanted && matches!(scope, "o" | "u" | "ou" | "uo"),
        // A claim may be the user's and the organization's at once.
        Some((wanted_scope @ ("o" | "u"), wanted_name)) => {
            name == wanted_name
                && matches!(scope, "o" | "u" | "ou" | "uo")
                && scope.contains(wanted_scope)
        }
        Some(_) => false,
    }
}

// The `fva` claim counts whole minutes, so N of them may be almost N + 1; and it was written when the
// token was issued, so the token's own age comes on top.
fn verified_within(session: &Session, limit: Duration, now: Timestamp) -> bool {
    let (Some(ages), Some(issued_at)) = (session.factor_ages(), session.issued_at()) else {
        return false;
    };
    let youngest = ages.first.into_iter().chain(ages.second).min();
    youngest.is_some_and(|minutes| {
        let at_issue = Duration::from_secs((u64::from(minutes) + 1) * 60);
        at_issue + now.since(issued_at) <= limit
    })
}

#[cfg(test)]
mod tests;
