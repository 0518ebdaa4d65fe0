//! Why it is unclear which request a caller asks about.

/// What a caller's question lacks or says twice; each names the header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OriginalError {
    /// The header is not there.
    #[error("the caller does not send {0}")]
    Absent(&'static str),
    /// The header's value cannot be read.
    #[error("the caller sends a {0} that cannot be read")]
    Malformed(&'static str),
    /// The header is there more than once.
    #[error("the caller sends {0} more than once")]
    Repeated(&'static str),
}
