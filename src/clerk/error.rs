//! What can go wrong between us and Clerk.

use std::{error::Error as StdError, fmt, io, sync::Arc, time::Duration};

use super::{
    id::InvalidId,
    model::{ClerkError, ClerkErrors},
};

/// Clerk's longest error text that goes into one of ours, in characters.
const MAX_QUOTED: usize = 200;

/// Why a call to Clerk gave no result; neither the URL nor the secret key is ever in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Clerk answered with another session than the one asked for.
    #[error("clerk answered with another session than the one asked for")]
    AnotherSession,
    /// The answer's body is not what the operation promises.
    ///
    /// The parser's own text is left out, because it may quote a token.
    #[error("clerk's answer was not understood at line {line}, column {column}")]
    BodyNotUnderstood {
        /// The line, from 1.
        line: usize,
        /// The column, from 0.
        column: usize,
    },
    /// The answer's body is longer than we read.
    #[error("clerk's answer is longer than {limit} bytes")]
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// No connection was made: nothing was sent.
    #[error("clerk could not be connected to")]
    Connect(#[source] Arc<dyn StdError + Send + Sync>),
    /// An argument is out of its range: nothing was sent.
    #[error(transparent)]
    InvalidArgument(#[from] InvalidArgument),
    /// There is no secret key: nothing was sent.
    #[error("clerk's backend api needs a secret key: set CLERK_SECRET_KEY")]
    NoSecretKey,
    /// Clerk no longer offers the operation (410).
    #[error("clerk no longer offers this operation: {0}")]
    OperationDeprecated(Box<Refusal>),
    /// Clerk's rate limit is used up (429).
    #[error("clerk's rate limit is used up for another {retry_after:?}")]
    #[non_exhaustive]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
        /// Clerk's answer; absent where nothing was sent, because an earlier one holds or our own budget of
        /// calls is used up.
        refusal: Option<Box<Refusal>>,
    },
    /// Clerk refused.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The call's total time-out passed.
    #[error("clerk did not answer in time")]
    TimedOut,
    /// The TLS handshake failed: nothing was sent.
    #[error("no trusted TLS connection to clerk could be made")]
    Tls(#[source] Arc<dyn StdError + Send + Sync>),
    /// The connection failed after something was sent.
    #[error("the connection to clerk failed")]
    Transport(#[source] Arc<dyn StdError + Send + Sync>),
}

/// An argument out of its range.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidArgument {
    /// An ID or a template's name.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A token's lifetime.
    #[error("a token's lifetime must be whole seconds from 30 to 315360000")]
    Lifetime,
    /// A page's limit.
    #[error("a page's limit must be from 1 to 500")]
    Limit,
}

/// Clerk's refusal, with everything that it said.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body; its list is empty where it was not Clerk's JSON.
    pub errors: ClerkErrors,
    /// Clerk's trace ID, else its `cf-ray`: what its support asks for.
    pub clerk_trace_id: Option<String>,
    /// When Clerk wants to be asked again, as its `Retry-After` says.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// Returns the HTTP status, where Clerk answered with one that is not a success.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::RateLimited { .. } => Some(429),
            _ => self.refusal().map(|refusal| refusal.status),
        }
    }

    /// Returns the code of Clerk's first error, as in `resource_not_found`.
    pub fn code(&self) -> Option<&str> {
        let first = self.refusal()?.errors.errors.first()?;
        (!first.code.is_empty()).then_some(&first.code)
    }

    /// Returns all that Clerk said, where it refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::OperationDeprecated(refusal) | Self::Refused(refusal) => Some(refusal),
            Self::RateLimited { refusal, .. } => refusal.as_deref(),
            _ => None,
        }
    }

    /// Says that nothing was sent, so that Clerk's rate limit is kept.
    pub(crate) fn rate_limited(retry_after: Duration) -> Self {
        Self::RateLimited {
            retry_after,
            refusal: None,
        }
    }

    /// Returns how long Clerk wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            _ => self.refusal()?.retry_after,
        }
    }

    /// Tells whether Clerk could not be asked: 5xx, 429, no connection, time-out.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Connect(_)
            | Self::RateLimited { .. }
            | Self::TimedOut
            | Self::Tls(_)
            | Self::Transport(_) => true,
            _ => self.status().is_some_and(|status| status >= 500),
        }
    }

    /// Tells whether Clerk knows no such thing: a 404 in its own words, and not one of a proxy before it.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404) && self.is_clerks_word()
    }

    /// Tells whether Clerk itself, in the form of its errors, refuses what was asked.
    pub(crate) fn is_clerks_word(&self) -> bool {
        self.code().is_some() && self.status().is_some_and(|status| status < 500)
    }

    /// Tells whether it is the JWT template that Clerk does not know (404).
    ///
    /// Clerk gives a missing template and a missing session the same code; only the text differs.
    pub fn is_template_not_found(&self) -> bool {
        let names_template = |error: &ClerkError| {
            [&error.message, &error.long_message]
                .iter()
                .any(|text| text.to_ascii_lowercase().contains("template"))
        };
        self.is_not_found()
            && self
                .refusal()
                .is_some_and(|refusal| refusal.errors.errors.iter().any(names_template))
    }

    /// Tells whether Clerk refused our own secret key (401, 403).
    ///
    /// Not so for `refresh`, whose 401 speaks of the tokens given to it.
    pub fn is_unauthorized_key(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    /// Tells whether Clerk speaks of the secret key itself, and not of what was asked with it.
    pub(super) fn names_the_key(&self) -> bool {
        let codes = [
            "authentication_invalid",
            "authorization_header_format_invalid",
            "clerk_key_invalid",
            "could_not_authenticate_request",
        ];
        self.is_unauthorized_key() && self.code().is_none_or(|code| codes.contains(&code))
    }

    pub(super) fn transport(error: reqwest::Error) -> Self {
        let connect = error.is_connect();
        let source: Arc<dyn StdError + Send + Sync> = Arc::new(error.without_url());
        match connect {
            true if is_tls(&*source) => Self::Tls(source),
            true => Self::Connect(source),
            false => Self::Transport(source),
        }
    }

    pub(super) fn not_understood(error: &serde_json::Error) -> Self {
        Self::BodyNotUnderstood {
            line: error.line(),
            column: error.column(),
        }
    }
}

impl From<InvalidId> for Error {
    fn from(error: InvalidId) -> Self {
        Self::InvalidArgument(error.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clerk answered {}", self.status)?;
        if let Some(error) = self.errors.errors.first() {
            write!(f, " {}: {}", Quoted(&error.code), Quoted(&error.message))?;
        }
        if let Some(id) = &self.clerk_trace_id {
            write!(f, " (trace {})", Quoted(id))?;
        }
        Ok(())
    }
}

/// A peer's text, cut short and without control characters, so that it cannot forge log lines.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        self.0
            .chars()
            .take(MAX_QUOTED)
            .map(printable)
            .try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

/// Tells whether a connect error is TLS's: tokio-rustls marks those as invalid data.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        // An I/O error's `source` skips the very error that it wraps.
        next = match io.and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, message: &str) -> Error {
        let error = ClerkError {
            code: "resource_not_found".to_owned(),
            message: message.to_owned(),
            ..ClerkError::default()
        };
        Error::Refused(Box::new(Refusal {
            status,
            errors: ClerkErrors {
                errors: vec![error],
                ..ClerkErrors::default()
            },
            ..Refusal::default()
        }))
    }

    #[test]
    fn each_status_has_one_meaning() {
        for (status, unavailable, not_found, key) in [
            (400, false, false, false),
            (401, false, false, true),
            (403, false, false, true),
            (404, false, true, false),
            (422, false, false, false),
            (500, true, false, false),
            (503, true, false, false),
        ] {
            let error = refused(status, "");
            assert_eq!(error.is_unavailable(), unavailable, "{status}");
            assert_eq!(error.is_not_found(), not_found, "{status}");
            assert_eq!(error.is_unauthorized_key(), key, "{status}");
        }
        assert!(Error::TimedOut.is_unavailable());
    }

    #[test]
    fn a_missing_template_is_told_from_a_missing_session() {
        assert!(refused(404, "JWT template not found").is_template_not_found());
        assert!(!refused(404, "Session not found").is_template_not_found());
        assert!(!refused(400, "template").is_template_not_found());
    }

    #[test]
    fn a_peers_text_forges_no_log_line_and_is_cut() {
        let error = refused(400, &format!("a\r\n\u{1b}[31m{}", "b".repeat(10_000)));
        let text = error.to_string();
        assert!(
            text.len() < 300 && !text.contains(char::is_control),
            "{text}"
        );
    }
}
