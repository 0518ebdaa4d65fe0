//! A template token: its text, its end, and whom it was minted for.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use serde::Deserialize;

#[cfg(feature = "gateway")]
use super::hasura_roles::HasuraRoles;
use crate::{
    cache::{Excuse, FetchError},
    clerk::{Error, outage::Outage},
    revocation::{Epoch, Proven, Revoked, Subject},
    time::Timestamp,
};

/// A JWT that Clerk minted from the session and a JWT template, for a service downstream.
///
/// A clone costs one reference count. It is a secret: `Debug` does not show it.
#[derive(Clone)]
pub struct TemplateToken(Arc<Minted>);

struct Minted {
    jwt: String,
    bearer: HeaderValue,
    #[cfg(feature = "gateway")]
    value: HeaderValue,
    #[cfg(feature = "gateway")]
    hasura_roles: HasuraRoles,
    expires_at: Timestamp,
    origin: Origin,
}

/// Whom a token was minted for, and when that was begun.
pub(super) struct Origin {
    pub(super) user_id: Box<str>,
    pub(super) asked: Epoch,
}

/// Which token an upstream wants.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct TokenRequest {
    pub(crate) template: String,
    /// Overrides the template's lifetime.
    pub(crate) lifetime: Option<Duration>,
    /// Minted again after this, though its `exp` be later.
    pub(crate) max_age: Option<Duration>,
    pub(crate) organization: OrganizationRule,
}

/// Whether the session's active organization must be the presented token's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum OrganizationRule {
    Any,
    Same,
}

/// Why there is no template token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TemplateTokenError {
    #[error("clerk mints for the session's active organization, which is not the token's")]
    OrganizationMismatch,
    #[error("clerk cannot be asked: {0}")]
    Outage(Outage),
    #[error(transparent)]
    Revoked(#[from] Revoked),
    #[error("the session does not exist, or clerk mints nothing for it")]
    SessionNotGood,
    #[error("the jwt template does not exist")]
    TemplateNotFound,
    #[error("the minted token is not a jwt with an exp in the future")]
    Unreadable,
}

#[derive(Deserialize)]
struct Expiry {
    exp: f64,
}

impl TemplateToken {
    /// Returns the token's text.
    pub fn as_str(&self) -> &str {
        &self.0.jwt
    }

    /// Returns `Bearer <token>` as a header value that is marked sensitive.
    pub fn bearer(&self) -> HeaderValue {
        self.0.bearer.clone()
    }

    /// Returns the bare token as a header value that is marked sensitive.
    #[cfg(feature = "gateway")]
    pub(crate) fn value(&self) -> HeaderValue {
        self.0.value.clone()
    }

    /// Returns the roles that the token allows in Hasura.
    #[cfg(feature = "gateway")]
    pub(crate) fn hasura_roles(&self) -> &HasuraRoles {
        &self.0.hasura_roles
    }

    /// Returns the token's `exp`.
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// Says whom the token is about, and since when it is known to be.
    pub(super) fn subject<'a>(
        &'a self,
        session_id: &'a str,
        organization_id: Option<&'a str>,
    ) -> Subject<'a> {
        Subject {
            session_id,
            user_id: &self.0.origin.user_id,
            organization_id,
            proven: Proven::Asked(self.0.origin.asked),
        }
    }

    pub(super) fn read(
        jwt: String,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Self, TemplateTokenError> {
        let expires_at = expiry(&jwt).ok_or(TemplateTokenError::Unreadable)?;
        if expires_at <= now {
            return Err(TemplateTokenError::Unreadable);
        }
        Ok(Self(Arc::new(Minted {
            bearer: secret_value(format!("Bearer {jwt}"))?,
            #[cfg(feature = "gateway")]
            value: secret_value(jwt.clone())?,
            #[cfg(feature = "gateway")]
            hasura_roles: HasuraRoles::of(&jwt),
            jwt,
            expires_at,
            origin,
        })))
    }
}

impl TemplateTokenError {
    pub(super) fn of(error: &Error) -> Self {
        if error.is_template_not_found() {
            return Self::TemplateNotFound;
        }
        match Outage::of(error) {
            Outage::Unavailable if error.is_clerks_word() => Self::SessionNotGood,
            outage => Self::Outage(outage),
        }
    }

    /// Returns the reason slug.
    pub(crate) fn slug(&self) -> &'static str {
        match self {
            Self::OrganizationMismatch => "organization-mismatch",
            Self::Outage(outage) => outage.slug(),
            Self::Revoked(revoked) => revoked.slug(),
            Self::SessionNotGood => "session-not-active",
            Self::TemplateNotFound => "template-not-found",
            Self::Unreadable => "template-token-invalid",
        }
    }
}

impl FetchError for TemplateTokenError {
    fn excuse(&self) -> Excuse {
        Excuse::Ends
    }
}

impl fmt::Debug for TemplateToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateToken")
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}

fn secret_value(text: String) -> Result<HeaderValue, TemplateTokenError> {
    let mut value = HeaderValue::try_from(text).map_err(|_| TemplateTokenError::Unreadable)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads `exp` from the token itself: a template's lifetime is not ours to assume.
fn expiry(jwt: &str) -> Option<Timestamp> {
    let payload = jwt.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let Expiry { exp } = serde_json::from_slice(&payload).ok()?;
    let in_range = exp.is_finite() && exp > 0.0 && exp < 253_402_300_800.0;
    in_range.then(|| Timestamp::from_secs(exp as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clerk::{
            Refusal,
            model::{ClerkError, ClerkErrors},
        },
        revocation::Revocations,
    };

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn the_expiry_is_read_from_the_token() {
        for (payload, expected) in [
            (r#"{"exp":100}"#, Some(Timestamp::from_secs(100))),
            (r#"{"exp":100.9}"#, Some(Timestamp::from_secs(100))),
            (r#"{"exp":1e300}"#, None),
            (
                r#"{"exp":253402300799}"#,
                Some(Timestamp::from_secs(253_402_300_799)),
            ),
            (r#"{"exp":253402300800}"#, None),
            (r#"{"exp":0}"#, None),
            (r#"{"exp":-1}"#, None),
            (r#"{"exp":"100"}"#, None),
            ("{}", None),
            ("[]", None),
        ] {
            assert_eq!(expiry(&jwt(payload)), expected, "{payload}");
        }
        assert_eq!(expiry("garbage"), None);
    }

    #[test]
    #[cfg(feature = "gateway")]
    fn a_token_knows_the_roles_that_it_allows() {
        let origin = Origin {
            user_id: "user_a".into(),
            asked: Revocations::new(Duration::ZERO).epoch(),
        };
        let claims = r#"{"x-hasura-allowed-roles":["editor"]}"#;
        let payload = format!(r#"{{"exp":100,"https://hasura.io/jwt/claims":{claims}}}"#);
        let token = TemplateToken::read(jwt(&payload), origin, Timestamp::from_secs(0)).unwrap();
        let allows = ["editor", "admin"].map(|role| token.hasura_roles().allow(role.as_bytes()));
        assert_eq!(allows, [true, false]);
    }

    #[test]
    fn what_clerk_says_of_a_mint_is_told_from_an_outage() {
        for (status, code, message, told) in [
            (
                404,
                "resource_not_found",
                "not found",
                TemplateTokenError::SessionNotGood,
            ),
            (422, "session_ended", "", TemplateTokenError::SessionNotGood),
            (
                404,
                "resource_not_found",
                "JWT template not found",
                TemplateTokenError::TemplateNotFound,
            ),
            (
                401,
                "authorization_invalid",
                "",
                TemplateTokenError::Outage(Outage::KeyRefused),
            ),
            (
                500,
                "internal_error",
                "",
                TemplateTokenError::Outage(Outage::Unavailable),
            ),
            // Not in Clerk's words: a proxy's page.
            (404, "", "", TemplateTokenError::Outage(Outage::Unavailable)),
        ] {
            let error = ClerkError {
                code: code.to_owned(),
                message: message.to_owned(),
                ..ClerkError::default()
            };
            let refusal = Refusal {
                status,
                errors: ClerkErrors {
                    errors: vec![error],
                    ..ClerkErrors::default()
                },
                ..Refusal::default()
            };
            let error = Error::Refused(Box::new(refusal));
            assert_eq!(TemplateTokenError::of(&error), told, "{status} {code}");
        }
    }

    #[test]
    fn debug_does_not_show_the_token() {
        let origin = Origin {
            user_id: "user_a".into(),
            asked: Revocations::new(Duration::ZERO).epoch(),
        };
        let jwt = jwt(r#"{"exp":100}"#);
        let token = TemplateToken::read(jwt, origin, Timestamp::from_secs(0)).unwrap();
        let shown = format!("{token:?}");
        assert!(
            shown.contains("expires_at") && !shown.contains("e30"),
            "{shown}"
        );
        assert!(!format!("{:?}", token.bearer()).contains("e30"));
    }
}
