//! What is recorded of exchanges that run on.

use super::metrics::count;

pub(super) const STREAMS: &str = "clerk_gateway_streams";
pub(super) const STREAMS_ENDED: &str = "clerk_gateway_streams_ended_total";

/// Notes that a stream is watched.
pub(crate) fn began() {
    metrics::gauge!(STREAMS).increment(1.0);
}

/// Notes that a stream is watched no more.
pub(crate) fn left() {
    metrics::gauge!(STREAMS).decrement(1.0);
}

/// Counts a stream that was told to end, by reason.
pub(crate) fn ended(reason: &'static str) {
    count(STREAMS_ENDED, [("reason", reason)]);
}
