//! What a request presents: where it is looked for, in order, and the three outcomes.
//!
//! The first source that holds a credential decides. A bad one never falls through to the next, and
//! two different values for one source are bad: whoever guesses which one counts is guessed against.

mod bearer;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(feature = "gateway")]
mod removal;
mod session_cookie;
mod session_id;

use std::fmt;

use http::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE, HeaderName},
};

use crate::time::Timestamp;

#[cfg(feature = "gateway")]
pub(crate) use removal::{remove_credentials, strip_query};

/// The places a credential is looked for in, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Sources {
    order: Vec<Source>,
    suffixed: Option<session_cookie::Names>,
}

/// One place a credential is looked for in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// A session token in `Authorization: Bearer`.
    Bearer,
    /// A session token in Clerk's session cookie.
    Cookie,
    /// A bare session ID in a header.
    SessionIdHeader(HeaderName),
    /// A bare session ID in a query parameter.
    SessionIdQuery(String),
}

/// Whether the peer may present bare session IDs: they are identifiers, not secrets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SessionIds {
    /// The peer is a trusted caller.
    Accepted,
    /// The peer is anyone.
    Refused,
}

/// What was found.
#[derive(Debug, PartialEq)]
pub(crate) enum Extracted<'a> {
    /// No source holds anything.
    Absent,
    /// The first source that holds anything holds this; nothing of it is verified.
    Found(Credential<'a>),
    /// The first source that holds anything holds what cannot be a credential.
    Bad(CredentialError),
}

/// A credential as presented, unverified; it never shows itself.
#[derive(PartialEq)]
pub(crate) enum Credential<'a> {
    /// What should be a session token.
    SessionToken {
        /// The token: a secret.
        token: PresentedToken<'a>,
        /// The client's last sign-in, where a cookie beside the token's tells.
        client_uat: Option<ClientUat>,
    },
    /// What has the form of a session ID, from a peer that may present one.
    SessionId {
        /// The ID, `sess_…`.
        id: &'a str,
        /// Where it was.
        carrier: Carrier<'a>,
    },
}

/// What should be a session token, as presented: its bytes are looked at only when it is read.
///
/// So a token that was proven before is known again by its bytes alone, and never scanned.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct PresentedToken<'a> {
    bytes: &'a [u8],
    carrier: Carrier<'a>,
}

/// Where a credential was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Carrier<'a> {
    /// `Authorization: Bearer`.
    Bearer,
    /// A cookie.
    Cookie,
    /// This header.
    Header(&'a HeaderName),
    /// This query parameter.
    Query(&'a str),
}

/// Clerk's `__client_uat` cookie: when the client last signed in, in Unix seconds; 0 is signed out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ClientUat(i64);

/// Why what a request presents is not even looked into.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CredentialError {
    /// `__client_uat` says that the client is signed out.
    #[error("the client is signed out, by its __client_uat cookie")]
    ClientSignedOut,
    /// The token was issued before the client last signed in.
    #[error("the token was issued before the client's __client_uat")]
    IssuedBeforeClientUat,
    /// `Authorization: Bearer` is not followed by exactly one token.
    #[error("the Authorization header does not hold exactly one bearer token")]
    MalformedBearer,
    /// `__client_uat` is not an integer.
    #[error("the __client_uat cookie is not an integer")]
    MalformedClientUat,
    /// The session cookie's value cannot be a token.
    #[error("the session cookie does not hold a token")]
    MalformedCookie,
    /// A bare session ID does not have the form of one.
    #[error("the session id does not have the form of one")]
    MalformedSessionId,
    /// One source holds different values.
    #[error("one source holds different values")]
    Several,
    /// The peer is none that may present bare session IDs.
    #[error("the peer may not present bare session ids")]
    UntrustedPeer,
}

/// Why sources cannot be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum SourcesError {
    /// The list is empty, or names a source twice.
    #[error("the credential sources must be at least one, each named once")]
    List,
    /// The header cannot carry a session ID.
    #[error("the header {0} cannot carry a session id: it has a meaning of its own")]
    Header(HeaderName),
    /// The query parameter's name needs encoding.
    #[error("the query parameter {0:?} must be a name of letters, digits, '_', '-' and '.'")]
    Query(String),
}

impl fmt::Display for Carrier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => f.write_str("session token in Authorization: Bearer"),
            Self::Cookie => f.write_str("session token in Clerk's session cookie"),
            Self::Header(name) => write!(f, "bare session ID in the header {name}"),
            Self::Query(name) => write!(f, "bare session ID in the query parameter {name}"),
        }
    }
}

impl Sources {
    /// Takes the sources in order, and the instance's cookie suffix where it is known.
    ///
    /// # Errors
    ///
    /// A [`SourcesError`] for a list or a name that cannot work.
    pub(crate) fn new(
        order: Vec<Source>,
        cookie_suffix: Option<&str>,
    ) -> Result<Self, SourcesError> {
        let repeats = |(i, source)| order.iter().skip(i + 1).any(|other| other == source);
        if order.is_empty() || order.iter().enumerate().any(repeats) {
            return Err(SourcesError::List);
        }
        for source in &order {
            source.check()?;
        }
        Ok(Self {
            order,
            suffixed: cookie_suffix.map(session_cookie::Names::suffixed),
        })
    }

    /// Takes the usual sources: bearer, then cookie.
    pub(crate) fn usual(cookie_suffix: Option<&str>) -> Self {
        Self {
            order: vec![Source::Bearer, Source::Cookie],
            suffixed: cookie_suffix.map(session_cookie::Names::suffixed),
        }
    }

    /// Returns the sources in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.order.iter()
    }

    /// Looks at one source after the other, until one holds something.
    pub(crate) fn extract<'a>(
        &'a self,
        headers: &'a HeaderMap,
        query: Option<&'a str>,
        session_ids: SessionIds,
    ) -> Extracted<'a> {
        for source in &self.order {
            let found = match source {
                Source::Bearer => bearer::extract(headers),
                Source::Cookie => session_cookie::extract(headers, self.suffixed.as_ref()),
                Source::SessionIdHeader(name) => {
                    session_id::from_header(headers, name, session_ids)
                }
                Source::SessionIdQuery(name) => {
                    session_id::from_query(query.unwrap_or_default(), name, session_ids)
                }
            };
            match found {
                Ok(None) => {}
                Ok(Some(credential)) => return Extracted::Found(credential),
                Err(error) => return Extracted::Bad(error),
            }
        }
        Extracted::Absent
    }
}

impl Source {
    /// Tells whether the source carries bare session IDs.
    pub(crate) fn is_session_id(&self) -> bool {
        matches!(self, Self::SessionIdHeader(_) | Self::SessionIdQuery(_))
    }

    fn check(&self) -> Result<(), SourcesError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        match self {
            Self::SessionIdHeader(name)
                if [AUTHORIZATION, COOKIE, http::header::HOST].contains(name) =>
            {
                Err(SourcesError::Header(name.clone()))
            }
            Self::SessionIdQuery(name) if name.is_empty() || !name.chars().all(plain) => {
                Err(SourcesError::Query(name.clone()))
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Credential<'a> {
    /// Returns where the credential was.
    pub(crate) fn carrier(&self) -> Carrier<'a> {
        match self {
            Self::SessionToken { token, .. } => token.carrier,
            Self::SessionId { carrier, .. } => *carrier,
        }
    }

    /// Looks at every byte.
    ///
    /// # Errors
    ///
    /// Why it cannot be a credential.
    #[cfg(feature = "gateway")]
    pub(crate) fn check(&self) -> Result<(), CredentialError> {
        match self {
            Self::SessionToken { token, .. } => token.text().map(drop),
            Self::SessionId { .. } => Ok(()),
        }
    }
}

impl<'a> PresentedToken<'a> {
    #[cfg(all(test, feature = "client"))]
    pub(crate) fn bearer(token: &'a str) -> Self {
        Self {
            bytes: token.as_bytes(),
            carrier: Carrier::Bearer,
        }
    }

    /// Returns the bytes, which may be any.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Reads the token's text.
    ///
    /// # Errors
    ///
    /// [`CredentialError::MalformedBearer`] or [`CredentialError::MalformedCookie`] for bytes that no token has.
    pub(crate) fn text(self) -> Result<&'a str, CredentialError> {
        match self.carrier {
            Carrier::Cookie => session_cookie::text(self.bytes),
            _ => bearer::text(self.bytes),
        }
    }
}

impl fmt::Debug for Credential<'_> {
    // By hand: what a credential holds must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::SessionToken { .. } => "SessionToken",
            Self::SessionId { .. } => "SessionId",
        };
        f.debug_struct(name)
            .field("carrier", &self.carrier())
            .finish_non_exhaustive()
    }
}

impl ClientUat {
    /// Compares with the verified token's `iat`; a token without one passes, as in Clerk's SDK.
    ///
    /// # Errors
    ///
    /// [`CredentialError::ClientSignedOut`] for 0, [`CredentialError::IssuedBeforeClientUat`] for a
    /// sign-in after the token's issue.
    pub(crate) fn check(self, issued_at: Option<Timestamp>) -> Result<(), CredentialError> {
        if self.0 == 0 {
            return Err(CredentialError::ClientSignedOut);
        }
        match issued_at {
            Some(issued_at) if issued_at.as_secs() < self.0 => {
                Err(CredentialError::IssuedBeforeClientUat)
            }
            _ => Ok(()),
        }
    }
}

impl CredentialError {
    /// Returns the reason as Clerk names it, or in the same form where Clerk has none.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::ClientSignedOut => "session-token-but-no-client-uat",
            Self::IssuedBeforeClientUat => "session-token-iat-before-client-uat",
            Self::MalformedBearer | Self::MalformedCookie => "token-invalid",
            Self::MalformedClientUat => "client-uat-invalid",
            Self::MalformedSessionId => "session-id-invalid",
            Self::Several => "credentials-conflict",
            Self::UntrustedPeer => "session-id-not-allowed",
        }
    }
}

/// Returns the one value that all of `values` are.
fn only<T: PartialEq>(values: impl Iterator<Item = T>) -> Result<Option<T>, CredentialError> {
    let mut only = None;
    for value in values {
        match &only {
            Some(first) if *first != value => return Err(CredentialError::Several),
            Some(_) => {}
            None => only = Some(value),
        }
    }
    Ok(only)
}

#[cfg(test)]
mod tests;
