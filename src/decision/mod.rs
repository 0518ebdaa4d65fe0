//! Other programs' questions, answered by the same stages that serve requests.

mod decider;
pub(crate) mod hasura;

use http::HeaderName;

pub(crate) use decider::Decider;

/// The header of every answer that tells why.
pub(crate) const X_CLERK_AUTH_REASON: HeaderName = HeaderName::from_static("x-clerk-auth-reason");
