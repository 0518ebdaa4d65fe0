//! nginx's `auth_request`: 2xx passes, 401 and 403 are passed on, and anything else is an error of the server.

use http::StatusCode;

/// Returns 403 for every refusal that nginx would take for a failure of ours.
///
/// The reason is in `X-Clerk-Auth-Reason`. What is no verdict stays what it is, so that the file can map it: 503
/// where Clerk cannot be asked, 500 where the set-up is wrong.
pub(super) fn status(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::UNAUTHORIZED => status,
        status if status.is_client_error() => StatusCode::FORBIDDEN,
        status => status,
    }
}
