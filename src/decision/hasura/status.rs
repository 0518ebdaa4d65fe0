//! Hasura's two words: 200 and 401.

use http::StatusCode;

/// Returns 401 for every refusal that is about the caller or what it sent.
///
/// Hasura reports anything else as a failure of its own (500), which callers could raise at will. What is no verdict
/// stays what it is: 503 where Clerk cannot be asked, 500 where the set-up is wrong.
pub(crate) fn status(status: StatusCode) -> StatusCode {
    match status.is_client_error() {
        true => StatusCode::UNAUTHORIZED,
        false => status,
    }
}
