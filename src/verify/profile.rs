//! What a session token must satisfy, beyond its signature.

use std::time::Duration;

use crate::{session::Session, time::Timestamp};

const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// What an instance's session tokens must satisfy; strict until a method says otherwise.
///
/// ```
/// use std::time::Duration;
/// use clerk_gateway::verify::TokenProfile;
///
/// let profile = TokenProfile::new("https://clerk.example.com")?
///     .authorized_parties(["https://app.example.com"])?
///     .clock_skew(Duration::from_secs(2))?;
/// # Ok::<_, clerk_gateway::verify::ProfileError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TokenProfile {
    pub(super) issuer: String,
    pub(super) authorized_parties: Option<Vec<String>>,
    pub(super) allow_missing_azp: bool,
    pub(super) audience: Vec<String>,
    pub(super) clock_skew: Duration,
    pub(super) max_token_lifetime: Duration,
    pub(super) pending: Pending,
}

/// What a session with outstanding tasks (`sts: pending`) counts as.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "gateway",
    derive(schemars::JsonSchema, serde::Deserialize, serde::Serialize)
)]
#[cfg_attr(feature = "gateway", serde(rename_all = "kebab-case"))]
pub enum Pending {
    /// Signed out, as Clerk's SDKs have it.
    #[default]
    SignedOut,
    /// Signed in: for the pages on which users finish their tasks.
    Accept,
}

/// Why a [`TokenProfile`] cannot be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// An audience is empty.
    #[error("an audience must not be empty")]
    Audience,
    /// An authorized party is not an origin, so that no token could ever name it.
    #[error(
        "authorized party {0:?} must be an origin, as in https://app.example.com (no path, no trailing slash)"
    )]
    AuthorizedParty(String),
    /// The clock skew is above five minutes.
    #[error("a clock skew of {0:?} is more than 5 minutes")]
    ClockSkew(Duration),
    /// The issuer is empty.
    #[error(
        "the issuer must not be empty: it is the Frontend API's URL, as in https://clerk.example.com"
    )]
    Issuer,
    /// The longest lifetime is zero.
    #[error("the longest token lifetime must be more than zero")]
    MaxTokenLifetime,
    /// The list of authorized parties is empty, which would switch the check off unseen.
    #[error("the list of authorized parties is empty: name at least one, or leave it out")]
    NoAuthorizedParties,
}

impl TokenProfile {
    pub(crate) const DEFAULT_CLOCK_SKEW: Duration = Duration::from_secs(5);
    pub(crate) const DEFAULT_MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

    /// Expects tokens of `issuer`: 5 s of skew, at most 24 h of lifetime, pending is signed out.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Issuer`] where it is empty.
    pub fn new(issuer: impl Into<String>) -> Result<Self, ProfileError> {
        let issuer = issuer.into();
        if issuer.is_empty() {
            return Err(ProfileError::Issuer);
        }
        Ok(Self {
            issuer,
            authorized_parties: None,
            allow_missing_azp: false,
            audience: Vec::new(),
            clock_skew: Self::DEFAULT_CLOCK_SKEW,
            max_token_lifetime: Self::DEFAULT_MAX_TOKEN_LIFETIME,
            pending: Pending::default(),
        })
    }

    /// Requires `azp` to be one of these origins, exactly; without this call it is not judged.
    ///
    /// # Errors
    ///
    /// [`ProfileError::NoAuthorizedParties`] for an empty list, [`ProfileError::AuthorizedParty`]
    /// for what is not an origin.
    pub fn authorized_parties<I>(self, parties: I) -> Result<Self, ProfileError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let parties: Vec<String> = parties.into_iter().map(Into::into).collect();
        if parties.is_empty() {
            return Err(ProfileError::NoAuthorizedParties);
        }
        if let Some(bad) = parties.iter().find(|party| !is_origin(party)) {
            return Err(ProfileError::AuthorizedParty(bad.clone()));
        }
        Ok(Self {
            authorized_parties: Some(parties),
            ..self
        })
    }

    /// Lets tokens without `azp` pass although parties are given.
    ///
    /// Tokens that the Backend API minted have none. What it gives up: a token that was minted for
    /// no origin at all passes as one for yours.
    #[must_use]
    pub fn allow_missing_azp(self) -> Self {
        Self {
            allow_missing_azp: true,
            ..self
        }
    }

    /// Requires `aud` to name one of these; an empty list leaves `aud` unjudged.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Audience`] for an empty name.
    pub fn audience<I>(self, audience: I) -> Result<Self, ProfileError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let audience: Vec<String> = audience.into_iter().map(Into::into).collect();
        if audience.iter().any(String::is_empty) {
            return Err(ProfileError::Audience);
        }
        Ok(Self { audience, ..self })
    }

    /// Sets how far clocks may differ, for `exp`, `nbf` and `iat` alike: 0 s to 5 min.
    ///
    /// # Errors
    ///
    /// [`ProfileError::ClockSkew`] above that.
    pub fn clock_skew(self, clock_skew: Duration) -> Result<Self, ProfileError> {
        if clock_skew > MAX_CLOCK_SKEW {
            return Err(ProfileError::ClockSkew(clock_skew));
        }
        Ok(Self { clock_skew, ..self })
    }

    /// Sets the longest lifetime a token may have, so that a revocation can outlive every token.
    ///
    /// # Errors
    ///
    /// [`ProfileError::MaxTokenLifetime`] for zero.
    pub fn max_token_lifetime(self, max_token_lifetime: Duration) -> Result<Self, ProfileError> {
        if max_token_lifetime.is_zero() {
            return Err(ProfileError::MaxTokenLifetime);
        }
        Ok(Self {
            max_token_lifetime,
            ..self
        })
    }

    /// Sets what a pending session counts as.
    #[must_use]
    pub fn pending(self, pending: Pending) -> Self {
        Self { pending, ..self }
    }

    /// Tells whether a session's proof has ended, as [`verify`](super::session_token::verify) would.
    pub(crate) fn is_expired(&self, session: &Session, now: Timestamp) -> bool {
        session.expires_at() <= now.minus(self.clock_skew)
    }

    /// Tells whether pending sessions are accepted.
    #[cfg(feature = "client")]
    pub(crate) fn accepts_pending(&self) -> bool {
        self.pending == Pending::Accept
    }

    /// Returns the issuer that tokens must name.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns how far past `exp` a token is still taken.
    pub fn accepted_skew(&self) -> Duration {
        self.clock_skew
    }

    /// Returns the longest lifetime a token may have.
    pub fn longest_lifetime(&self) -> Duration {
        self.max_token_lifetime
    }
}

/// Browsers' extensions and apps have origins too, so the scheme is free.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let graphic = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#' | '*');
    !scheme.is_empty() && !authority.is_empty() && text.replacen("://", "", 1).chars().all(graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> TokenProfile {
        TokenProfile::new("https://clerk.example.com").unwrap()
    }

    #[test]
    fn a_profile_is_what_it_was_given() {
        let (skew, lifetime) = (MAX_CLOCK_SKEW, Duration::from_secs(7));
        let profile = profile().clock_skew(skew).unwrap();
        let profile = profile.max_token_lifetime(lifetime).unwrap();
        assert_eq!(profile.issuer(), "https://clerk.example.com");
        assert_eq!(profile.accepted_skew(), skew);
        assert_eq!(profile.longest_lifetime(), lifetime);
    }

    #[test]
    #[cfg(feature = "client")]
    fn pending_sessions_are_accepted_where_that_is_asked_for() {
        assert!(!profile().accepts_pending());
        assert!(profile().pending(Pending::Accept).accepts_pending());
    }

    #[test]
    fn an_empty_list_of_parties_is_refused() {
        assert_eq!(
            profile().authorized_parties([] as [&str; 0]),
            Err(ProfileError::NoAuthorizedParties)
        );
    }

    #[test]
    fn a_party_is_an_origin() {
        for (party, good) in [
            ("https://app.example.com", true),
            ("http://localhost:3000", true),
            ("chrome-extension://abcdef", true),
            ("https://app.example.com/", false),
            ("https://app.example.com/x", false),
            ("https://*.example.com", false),
            ("app.example.com", false),
            ("https://", false),
            ("https://a b", false),
            ("", false),
        ] {
            assert_eq!(
                profile().authorized_parties([party]).is_ok(),
                good,
                "{party}"
            );
        }
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        assert_eq!(TokenProfile::new(""), Err(ProfileError::Issuer));
        assert_eq!(profile().audience([""]), Err(ProfileError::Audience));
        assert!(profile().clock_skew(Duration::from_secs(301)).is_err());
        assert!(profile().max_token_lifetime(Duration::ZERO).is_err());
    }
}
