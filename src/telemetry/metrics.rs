//! The metrics' names, and what the stages record; without the feature `metrics` it costs nothing.
//!
//! Handles are bound to the process's recorder when they are first used, so that recording
//! allocates nothing after that: a recorder is installed before the first request or not at all.

use std::thread::LocalKey;
#[cfg(feature = "client")]
use std::time::Duration;

#[cfg(feature = "metrics")]
use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
};

#[cfg(feature = "client")]
pub(super) const CLERK_CALLS_LIMITED: &str = "clerk_gateway_clerk_calls_limited_total";
#[cfg(feature = "client")]
pub(super) const CLERK_REQUESTS: &str = "clerk_gateway_clerk_requests_total";
#[cfg(feature = "client")]
pub(super) const CLERK_REQUEST_SECONDS: &str = "clerk_gateway_clerk_request_seconds";
pub(super) const DECISIONS: &str = "clerk_gateway_decisions_total";
#[cfg(feature = "client")]
pub(super) const JWKS_REFRESHES: &str = "clerk_gateway_jwks_refresh_total";
#[cfg(feature = "client")]
pub(super) const SESSION_CACHE: &str = "clerk_gateway_session_cache_total";
#[cfg(feature = "client")]
pub(super) const TEMPLATE_TOKEN_CACHE: &str = "clerk_gateway_template_token_cache_total";
pub(super) const TOKEN_CACHE: &str = "clerk_gateway_token_cache_total";

/// What a cache had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CacheResult {
    /// A fresh entry.
    Hit,
    /// A fetch that another request had begun.
    #[cfg(feature = "client")]
    Coalesced,
    /// Nothing.
    Miss,
    /// A definite no.
    #[cfg(feature = "client")]
    Negative,
    /// An entry past its time, served because Clerk cannot be asked.
    #[cfg(feature = "client")]
    Stale,
    /// An active entry past its time, served because Clerk's budget is scarce.
    #[cfg(feature = "client")]
    Stretched,
}

/// Counts a look-up of a session.
#[cfg(feature = "client")]
pub(crate) fn session_cache(result: CacheResult) {
    count_result(&SESSION_CACHE_RESULTS, result);
}

/// Counts a look-up of a verified token.
pub(crate) fn token_cache(result: CacheResult) {
    count_result(&TOKEN_CACHE_RESULTS, result);
}

/// Counts a look-up of a template token.
#[cfg(feature = "client")]
pub(crate) fn template_token_cache(result: CacheResult) {
    count_result(&TEMPLATE_TOKEN_CACHE_RESULTS, result);
}

/// Counts a decision; the outcome is `allow` or `refuse`, the reason a slug.
pub(crate) fn decision(outcome: &'static str, reason: &'static str) {
    count(DECISIONS, [("outcome", outcome), ("reason", reason)]);
}

/// Counts and times a call of Clerk's API.
#[cfg(feature = "client")]
pub(crate) fn clerk_request(operation: &'static str, outcome: &'static str, took: Duration) {
    count(
        CLERK_REQUESTS,
        [("operation", operation), ("outcome", outcome)],
    );
    observe(CLERK_REQUEST_SECONDS, [("operation", operation)], took);
}

/// Counts a call that Clerk's rate limit, or our part of it, kept from being made at once; the outcome is
/// `delayed`, `refused` or, in the background, `skipped`.
#[cfg(feature = "client")]
pub(crate) fn clerk_call_limited(priority: &'static str, outcome: &'static str) {
    count(
        CLERK_CALLS_LIMITED,
        [("priority", priority), ("outcome", outcome)],
    );
}

/// Counts a fetch of the instance's keys.
#[cfg(feature = "client")]
pub(crate) fn jwks_refresh(outcome: &'static str) {
    count(JWKS_REFRESHES, [("outcome", outcome)]);
}

impl CacheResult {
    /// How many there are.
    #[cfg(all(feature = "client", feature = "metrics"))]
    const COUNT: usize = Self::Stretched as usize + 1;
    #[cfg(all(not(feature = "client"), feature = "metrics"))]
    const COUNT: usize = Self::Miss as usize + 1;

    #[cfg(feature = "metrics")]
    fn as_str(self) -> &'static str {
        match self {
            #[cfg(feature = "client")]
            Self::Coalesced => "coalesced",
            Self::Hit => "hit",
            Self::Miss => "miss",
            #[cfg(feature = "client")]
            Self::Negative => "negative",
            #[cfg(feature = "client")]
            Self::Stale => "stale",
            #[cfg(feature = "client")]
            Self::Stretched => "stretched",
        }
    }
}

/// What is recorded on every request, with handles of its own: nothing is looked up for it.
#[cfg(feature = "metrics")]
struct Results {
    name: &'static str,
    handles: [OnceCell<metrics::Counter>; CacheResult::COUNT],
}

/// A histogram without labels that is recorded on every request.
#[cfg(feature = "gateway")]
pub(super) struct Times {
    name: &'static str,
    handle: OnceCell<metrics::Histogram>,
}

#[cfg(not(feature = "metrics"))]
struct Results;

thread_local! {
    #[cfg(feature = "client")]
    static SESSION_CACHE_RESULTS: Results = const { Results::of(SESSION_CACHE) };
    #[cfg(feature = "client")]
    static TEMPLATE_TOKEN_CACHE_RESULTS: Results = const { Results::of(TEMPLATE_TOKEN_CACHE) };
    static TOKEN_CACHE_RESULTS: Results = const { Results::of(TOKEN_CACHE) };
}

// A thread that is ending has no handles any more; what it would count is lost.
fn count_result(results: &'static LocalKey<Results>, result: CacheResult) {
    let _ = results.try_with(|results| results.count(result));
}

/// Records a time in a histogram of this thread's.
#[cfg(feature = "gateway")]
pub(super) fn note(times: &'static LocalKey<Times>, took: Duration) {
    let _ = times.try_with(|times| {
        let bind = || metrics::histogram!(times.name);
        times.handle.get_or_init(bind).record(took);
    });
}

#[cfg(feature = "metrics")]
impl Results {
    const fn of(name: &'static str) -> Self {
        Self {
            name,
            handles: [const { OnceCell::new() }; CacheResult::COUNT],
        }
    }

    fn count(&self, result: CacheResult) {
        let bind = || metrics::counter!(self.name, "result" => result.as_str());
        if let Some(handle) = self.handles.get(result as usize) {
            handle.get_or_init(bind).increment(1);
        }
    }
}

#[cfg(not(feature = "metrics"))]
impl Results {
    const fn of(_name: &'static str) -> Self {
        Self
    }

    fn count(&self, _result: CacheResult) {}
}

#[cfg(feature = "gateway")]
impl Times {
    pub(super) const fn of(name: &'static str) -> Self {
        Self {
            name,
            handle: OnceCell::new(),
        }
    }
}

type Label = (&'static str, &'static str);

/// A metric's name and its labels' values, by where they stand: no bytes are hashed or compared on a
/// request. A text that stands twice has two handles of the same metric.
#[cfg(feature = "metrics")]
type Place = [(usize, usize); 3];

#[cfg(feature = "metrics")]
type Bound<H> = RefCell<HashMap<Place, H, foldhash::fast::RandomState>>;

#[cfg(feature = "metrics")]
thread_local! {
    static COUNTER_HANDLES: Bound<metrics::Counter> = RefCell::default();
    #[cfg(feature = "client")]
    static HISTOGRAM_HANDLES: Bound<metrics::Histogram> = RefCell::default();
}

#[cfg(feature = "metrics")]
pub(super) fn count<const N: usize>(name: &'static str, labels: [Label; N]) {
    // A thread that is ending has no handles any more; what it would count is lost.
    let _ = COUNTER_HANDLES.try_with(|handles| {
        handles
            .borrow_mut()
            .entry(place(name, &labels))
            .or_insert_with(|| metrics::counter!(name, labels.as_slice()))
            .increment(1);
    });
}

#[cfg(all(feature = "client", feature = "metrics"))]
pub(super) fn observe<const N: usize>(name: &'static str, labels: [Label; N], took: Duration) {
    let _ = HISTOGRAM_HANDLES.try_with(|handles| {
        handles
            .borrow_mut()
            .entry(place(name, &labels))
            .or_insert_with(|| metrics::histogram!(name, labels.as_slice()))
            .record(took);
    });
}

#[cfg(feature = "metrics")]
fn place(name: &'static str, labels: &[Label]) -> Place {
    let of = |text: &'static str| (text.as_ptr().addr(), text.len());
    let value = |index| {
        labels
            .get(index)
            .map_or((0, 0), |(_, value): &Label| of(value))
    };
    [of(name), value(0), value(1)]
}

#[cfg(not(feature = "metrics"))]
fn count<const N: usize>(_name: &'static str, _labels: [Label; N]) {}

#[cfg(all(feature = "client", not(feature = "metrics")))]
fn observe<const N: usize>(_name: &'static str, _labels: [Label; N], _took: Duration) {}
