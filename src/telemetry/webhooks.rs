//! What is recorded of Clerk's webhooks and of what is revoked.

use super::metrics::count;

pub(super) const DELIVERIES: &str = "clerk_gateway_webhook_deliveries_total";
pub(super) const REVOCATIONS: &str = "clerk_gateway_revocations";

/// Counts a delivery; the outcome is `applied`, `ignored` or `repeated`, or a refusal's reason.
pub(crate) fn delivered(event: &'static str, outcome: &'static str) {
    count(DELIVERIES, [("event", event), ("outcome", outcome)]);
}

/// Shows of how many sessions, users and organizations something is revoked.
pub(crate) fn revocations(number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    metrics::gauge!(REVOCATIONS).set(number);
}
