//! What is recorded of the certificates that are served.

use crate::time::Timestamp;

pub(super) const CERTIFICATE_EXPIRY: &str = "clerk_gateway_certificate_expiry_timestamp_seconds";

/// Shows when the certificate of a file expires.
pub(crate) fn expires(file: &str, at: Timestamp) {
    let secs = at.since(Timestamp::from_secs(0)).as_secs_f64();
    metrics::gauge!(CERTIFICATE_EXPIRY, "file" => file.to_owned()).set(secs);
}

/// Shows that the certificate of a file is served no more: no alert is true of what is no number.
pub(crate) fn gone(file: &str) {
    metrics::gauge!(CERTIFICATE_EXPIRY, "file" => file.to_owned()).set(f64::NAN);
}
