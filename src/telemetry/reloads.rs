//! What is recorded of the configuration's reloads.

use std::time::{SystemTime, UNIX_EPOCH};

pub(super) const RELOADS: &str = "clerk_gateway_config_reloads_total";
pub(super) const LAST_RELOAD: &str = "clerk_gateway_config_last_reload_timestamp_seconds";

/// Counts a reload, and notes when the last good one was.
pub(crate) fn ended(good: bool) {
    let outcome = if good { "ok" } else { "bad" };
    metrics::counter!(RELOADS, "outcome" => outcome).increment(1);
    if good {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        metrics::gauge!(LAST_RELOAD).set(now.map_or(0.0, |now| now.as_secs_f64()));
    }
}
