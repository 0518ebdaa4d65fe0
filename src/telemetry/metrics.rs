//! The metrics' names, and what the stages record; without the feature `metrics` it costs nothing.
//!
//! Handles are bound to the process's recorder when they are first used, so that recording
//! allocates nothing after that: a recorder is installed before the first request or not at all.

use std::time::Duration;

#[cfg(feature = "metrics")]
use std::{cell::RefCell, collections::HashMap, sync::Arc, sync::OnceLock};

const CLERK_REQUESTS: &str = "clerk_gateway_clerk_requests_total";
const CLERK_REQUEST_SECONDS: &str = "clerk_gateway_clerk_request_seconds";
const CONNECTIONS: &str = "clerk_gateway_connections";
const DECISIONS: &str = "clerk_gateway_decisions_total";
const JWKS_REFRESHES: &str = "clerk_gateway_jwks_refresh_total";
const REQUESTS: &str = "clerk_gateway_requests_total";
const SESSION_CACHE: &str = "clerk_gateway_session_cache_total";
const TEMPLATE_TOKEN_CACHE: &str = "clerk_gateway_template_token_cache_total";
const TOKEN_CACHE: &str = "clerk_gateway_token_cache_total";
const UPSTREAM_SECONDS: &str = "clerk_gateway_upstream_seconds";

/// The counters and what they count.
pub(crate) const COUNTERS: [(&str, &str); 7] = [
    (
        CLERK_REQUESTS,
        "Calls of Clerk's API, by operation and outcome.",
    ),
    (DECISIONS, "Decisions on requests, by outcome and reason."),
    (
        JWKS_REFRESHES,
        "Fetches of the instance's keys, by outcome.",
    ),
    (REQUESTS, "Requests answered, by route and status."),
    (SESSION_CACHE, "Look-ups of sessions, by result."),
    (
        TEMPLATE_TOKEN_CACHE,
        "Look-ups of template tokens, by result.",
    ),
    (TOKEN_CACHE, "Look-ups of verified tokens, by result."),
];

/// The gauges and what they show.
pub(crate) const GAUGES: [(&str, &str); 1] = [(CONNECTIONS, "Client connections open.")];

/// The histograms and what they measure, in seconds.
pub(crate) const HISTOGRAMS: [(&str, &str); 2] = [
    (
        CLERK_REQUEST_SECONDS,
        "How long calls of Clerk's API took, by operation.",
    ),
    (
        UPSTREAM_SECONDS,
        "How long upstreams took to begin their answers.",
    ),
];

/// What a cache had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CacheResult {
    /// A fresh entry.
    Hit,
    /// Nothing.
    Miss,
    /// A definite no.
    Negative,
    /// An entry past its time, served because Clerk cannot be asked.
    Stale,
}

/// Counts one route's answers; made once, when the route is.
#[derive(Clone)]
pub(crate) struct RouteCounter {
    #[cfg(feature = "metrics")]
    route: Arc<str>,
    #[cfg(feature = "metrics")]
    by_status: Arc<[OnceLock<metrics::Counter>]>,
}

/// Counts a connection as open for as long as it lives.
pub(crate) struct OpenConnection(());

/// Counts a look-up of a session.
pub(crate) fn session_cache(result: CacheResult) {
    count(SESSION_CACHE, [("result", result.as_str())]);
}

/// Counts a look-up of a verified token.
pub(crate) fn token_cache(result: CacheResult) {
    count(TOKEN_CACHE, [("result", result.as_str())]);
}

/// Counts a look-up of a template token.
pub(crate) fn template_token_cache(result: CacheResult) {
    count(TEMPLATE_TOKEN_CACHE, [("result", result.as_str())]);
}

/// Counts a decision; the outcome is `allow` or `refuse`, the reason a slug.
pub(crate) fn decision(outcome: &'static str, reason: &'static str) {
    count(DECISIONS, [("outcome", outcome), ("reason", reason)]);
}

/// Counts and times a call of Clerk's API.
pub(crate) fn clerk_request(operation: &'static str, outcome: &'static str, took: Duration) {
    count(
        CLERK_REQUESTS,
        [("operation", operation), ("outcome", outcome)],
    );
    observe(CLERK_REQUEST_SECONDS, [("operation", operation)], took);
}

/// Counts a fetch of the instance's keys.
pub(crate) fn jwks_refresh(outcome: &'static str) {
    count(JWKS_REFRESHES, [("outcome", outcome)]);
}

/// Times an upstream, from the request to the answer's head.
pub(crate) fn upstream(took: Duration) {
    observe(UPSTREAM_SECONDS, [], took);
}

impl CacheResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Negative => "negative",
            Self::Stale => "stale",
        }
    }
}

impl OpenConnection {
    /// Counts one more open connection, until this is dropped.
    pub(crate) fn new() -> Self {
        #[cfg(feature = "metrics")]
        metrics::gauge!(CONNECTIONS).increment(1.0);
        Self(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        #[cfg(feature = "metrics")]
        metrics::gauge!(CONNECTIONS).decrement(1.0);
    }
}

#[cfg(feature = "metrics")]
impl RouteCounter {
    /// Returns the counter of the route with this path.
    pub(crate) fn new(route: &str) -> Self {
        Self {
            route: route.into(),
            by_status: (100..600).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, status: http::StatusCode) {
        let slot = usize::from(status.as_u16()).checked_sub(100);
        let Some(counter) = slot.and_then(|slot| self.by_status.get(slot)) else {
            return;
        };
        let bind = || {
            let route = metrics::SharedString::from_shared(self.route.clone());
            let status = status.as_u16().to_string();
            metrics::counter!(REQUESTS, "route" => route, "status" => status)
        };
        counter.get_or_init(bind).increment(1);
    }
}

#[cfg(not(feature = "metrics"))]
impl RouteCounter {
    /// Returns a counter that counts nothing.
    pub(crate) fn new(_route: &str) -> Self {
        Self {}
    }

    /// Counts nothing.
    pub(crate) fn answered(&self, _status: http::StatusCode) {}
}

type Label = (&'static str, &'static str);

/// A metric's name and its labels' values; the labels' names follow from the first.
#[cfg(feature = "metrics")]
type Bound<H> = RefCell<HashMap<(&'static str, [&'static str; 2]), H, foldhash::fast::RandomState>>;

#[cfg(feature = "metrics")]
thread_local! {
    static COUNTER_HANDLES: Bound<metrics::Counter> = RefCell::default();
    static HISTOGRAM_HANDLES: Bound<metrics::Histogram> = RefCell::default();
}

#[cfg(feature = "metrics")]
fn count<const N: usize>(name: &'static str, labels: [Label; N]) {
    // A thread that is ending has no handles any more; what it would count is lost.
    let _ = COUNTER_HANDLES.try_with(|handles| {
        handles
            .borrow_mut()
            .entry((name, values(&labels)))
            .or_insert_with(|| metrics::counter!(name, labels.as_slice()))
            .increment(1);
    });
}

#[cfg(feature = "metrics")]
fn observe<const N: usize>(name: &'static str, labels: [Label; N], took: Duration) {
    let _ = HISTOGRAM_HANDLES.try_with(|handles| {
        handles
            .borrow_mut()
            .entry((name, values(&labels)))
            .or_insert_with(|| metrics::histogram!(name, labels.as_slice()))
            .record(took);
    });
}

#[cfg(feature = "metrics")]
fn values(labels: &[Label]) -> [&'static str; 2] {
    let value = |index| labels.get(index).map_or("", |(_, value): &Label| *value);
    [value(0), value(1)]
}

#[cfg(not(feature = "metrics"))]
fn count<const N: usize>(_name: &'static str, _labels: [Label; N]) {}

#[cfg(not(feature = "metrics"))]
fn observe<const N: usize>(_name: &'static str, _labels: [Label; N], _took: Duration) {}
