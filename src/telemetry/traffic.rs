//! What the gateway itself records: answers, upstreams, connections.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::metrics::{DECISIONS, Times, count, note};

pub(super) const BUDGET_LEFT: &str = "clerk_gateway_clerk_budget_left";
pub(super) const BUDGET_SHARED: &str = "clerk_gateway_clerk_budget_shared";
pub(super) const BUILD_INFO: &str = "clerk_gateway_build_info";
pub(super) const CLERK_HELD_BACK: &str = "clerk_gateway_clerk_held_back_seconds";
pub(super) const JWKS_AGE: &str = "clerk_gateway_jwks_age_seconds";
pub(super) const CONNECTIONS: &str = "clerk_gateway_connections";
pub(super) const CONNECTIONS_CLOSED: &str = "clerk_gateway_connections_closed_total";
pub(super) const LIMIT_REACHED: &str = "clerk_gateway_limit_reached_total";
pub(super) const RATE_LIMITED: &str = "clerk_gateway_rate_limited_total";
pub(super) const REQUESTS: &str = "clerk_gateway_requests_total";
pub(super) const DECIDE_SECONDS: &str = "clerk_gateway_decide_seconds";
pub(super) const REQUEST_SECONDS: &str = "clerk_gateway_request_seconds";
pub(super) const TOKEN_AGE_SECONDS: &str = "clerk_gateway_token_age_seconds";
pub(super) const UPSTREAM_SECONDS: &str = "clerk_gateway_upstream_seconds";

thread_local! {
    static DECIDE_TIMES: Times = const { Times::of(DECIDE_SECONDS) };
    static REQUEST_TIMES: Times = const { Times::of(REQUEST_SECONDS) };
    static TOKEN_AGES: Times = const { Times::of(TOKEN_AGE_SECONDS) };
    static UPSTREAM_TIMES: Times = const { Times::of(UPSTREAM_SECONDS) };
}

/// Counts one route's answers; made once, when the route is.
#[derive(Clone)]
pub(crate) struct RouteCounter {
    route: Arc<str>,
    allowed: Arc<OnceLock<metrics::Counter>>,
    by_status: Arc<[OnceLock<metrics::Counter>]>,
}

/// Counts a connection as open for as long as it lives.
pub(crate) struct OpenConnection {
    listener: &'static str,
}

/// Says which version runs.
pub(crate) fn build_info() {
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Shows how old the fetched keys are.
pub(crate) fn keys_age(age: Duration) {
    metrics::gauge!(JWKS_AGE).set(age.as_secs_f64());
}

/// Shows how many of Clerk's calls still fit into these 10 seconds, where they are limited, how long they are held
/// back, and whether they are counted together with the other replicas', where there are any.
pub(crate) fn budget(left: Option<u64>, held_back: Duration, is_shared: Option<bool>) {
    if let Some(left) = left {
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        metrics::gauge!(BUDGET_LEFT).set(left);
    }
    metrics::gauge!(CLERK_HELD_BACK).set(held_back.as_secs_f64());
    if let Some(is_shared) = is_shared {
        metrics::gauge!(BUDGET_SHARED).set(u8::from(is_shared));
    }
}

/// Counts a connection that was refused, cut or broken, by reason.
pub(crate) fn closed(reason: &'static str) {
    count(CONNECTIONS_CLOSED, [("reason", reason)]);
}

/// Counts that something is in use as much as it may be, so that what comes next waits: a listener's
/// `connections`, or an HTTP/2 connection's `streams`.
pub(crate) fn limit_reached(limit: &'static str) {
    count(LIMIT_REACHED, [("limit", limit)]);
}

/// Times a decision, from the request's head to its route or refusal.
pub(crate) fn decided(took: Duration) {
    note(&DECIDE_TIMES, took);
}

/// Times a request, up to the head of its answer.
pub(crate) fn answered(took: Duration) {
    note(&REQUEST_TIMES, took);
}

/// Notes how old a session token was when it was presented.
pub(crate) fn token_age(age: Duration) {
    note(&TOKEN_AGES, age);
}

/// Times an upstream, from the request to the answer's head.
pub(crate) fn upstream(took: Duration) {
    note(&UPSTREAM_TIMES, took);
}

impl OpenConnection {
    /// Counts one more open connection of a listener, `public` or `admin`, until this is dropped.
    pub(crate) fn new(listener: &'static str) -> Self {
        metrics::gauge!(CONNECTIONS, "listener" => listener).increment(1.0);
        Self { listener }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS, "listener" => self.listener).decrement(1.0);
    }
}

impl RouteCounter {
    /// Returns the counter of the route with this path.
    pub(crate) fn new(route: &str) -> Self {
        Self {
            route: route.into(),
            allowed: Arc::default(),
            by_status: (100..600).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Returns the route's path.
    pub(crate) fn route(&self) -> &str {
        &self.route
    }

    /// Counts a request that passes.
    pub(crate) fn allowed(&self) {
        let bind = || decisions(&self.route, "allow", "");
        self.allowed.get_or_init(bind).increment(1);
    }

    /// Counts a request that is refused or answered here, by the reason's slug.
    pub(crate) fn decided(&self, outcome: &'static str, reason: &'static str) {
        decisions(&self.route, outcome, reason).increment(1);
    }

    /// Counts a request beyond the rate of one `session` or one `address`.
    pub(crate) fn rate_limited(&self, of: &'static str) {
        let route = metrics::SharedString::from_shared(Arc::clone(&self.route));
        metrics::counter!(RATE_LIMITED, "route" => route, "of" => of).increment(1);
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

fn decisions(route: &Arc<str>, outcome: &'static str, reason: &'static str) -> metrics::Counter {
    let route = metrics::SharedString::from_shared(Arc::clone(route));
    metrics::counter!(DECISIONS, "route" => route, "outcome" => outcome, "reason" => reason)
}
