//! The gateway's recorder: keeps the metrics and writes them for Prometheus.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::{
    access::ACCESS_LOG_DROPPED,
    certificates::CERTIFICATE_EXPIRY,
    metrics::{
        CLERK_CALLS_LIMITED, CLERK_REQUEST_SECONDS, CLERK_REQUESTS, DECISIONS, JWKS_REFRESHES,
        SESSION_CACHE, TEMPLATE_TOKEN_CACHE, TOKEN_CACHE,
    },
    reloads::{LAST_RELOAD, RELOADS},
    shared::{SHARED_LOOKUPS, SHARED_MESSAGES, SHARED_UP},
    streams::{STREAMS, STREAMS_ENDED},
    traffic::{
        BUDGET_LEFT, BUDGET_SHARED, BUILD_INFO, CLERK_HELD_BACK, CONNECTIONS, CONNECTIONS_CLOSED,
        DECIDE_SECONDS, JWKS_AGE, LIMIT_REACHED, RATE_LIMITED, REQUEST_SECONDS, REQUESTS,
        TOKEN_AGE_SECONDS, UPSTREAM_SECONDS,
    },
    upstreams::{
        UPGRADED, UPSTREAM_HEALTHY, UPSTREAM_IN_FLIGHT, UPSTREAM_REQUESTS, UPSTREAM_RETRIES,
    },
    webhooks::{DELIVERIES, REVOCATIONS},
};

/// The counters and what they count.
const COUNTERS: [(&str, &str); 19] = [
    (
        ACCESS_LOG_DROPPED,
        "Lines of the access log that could not be written in time.",
    ),
    (
        CLERK_CALLS_LIMITED,
        "Calls of Clerk's API that its rate limit kept from being made at once, by priority and outcome.",
    ),
    (
        CLERK_REQUESTS,
        "Calls of Clerk's API, by operation and outcome.",
    ),
    (
        CONNECTIONS_CLOSED,
        "Client connections refused, cut or broken, by reason.",
    ),
    (
        DECISIONS,
        "Decisions on requests, by route, outcome and reason.",
    ),
    (
        JWKS_REFRESHES,
        "Fetches of the instance's keys, by outcome.",
    ),
    (
        LIMIT_REACHED,
        "Times that a listener had all its connections, or an HTTP/2 connection all its streams.",
    ),
    (
        RATE_LIMITED,
        "Requests refused by a route's rate limit, by route and whose rate it was.",
    ),
    (RELOADS, "Reloads of the configuration, by outcome."),
    (REQUESTS, "Requests answered, by route and status."),
    (SESSION_CACHE, "Look-ups of sessions, by result."),
    (
        SHARED_LOOKUPS,
        "Looks for what other replicas fetched, by kind and result.",
    ),
    (
        SHARED_MESSAGES,
        "Messages between replicas about what is revoked, by outcome.",
    ),
    (
        STREAMS_ENDED,
        "Running exchanges that were told to end, by reason.",
    ),
    (
        TEMPLATE_TOKEN_CACHE,
        "Look-ups of template tokens, by result.",
    ),
    (TOKEN_CACHE, "Look-ups of verified tokens, by result."),
    (
        UPSTREAM_REQUESTS,
        "Requests sent on, by upstream and outcome.",
    ),
    (UPSTREAM_RETRIES, "Attempts made again, by upstream."),
    (
        DELIVERIES,
        "Deliveries of Clerk's webhooks, by event and outcome.",
    ),
];

/// The gauges and what they show.
const GAUGES: [(&str, &str); 14] = [
    (
        BUDGET_LEFT,
        "Calls that Clerk's rate limit still allows in these 10 seconds: all replicas together, or this one by itself.",
    ),
    (
        BUDGET_SHARED,
        "1 where that is counted by all replicas together, 0 where this one keeps to its part; absent without Redis.",
    ),
    (BUILD_INFO, "1, with the version that runs."),
    (
        CERTIFICATE_EXPIRY,
        "When the certificate that is served from a file expires, in seconds since 1970; NaN: served no more.",
    ),
    (
        CLERK_HELD_BACK,
        "How long calls of Clerk's API are held back by its rate limit, in seconds.",
    ),
    (JWKS_AGE, "How old the fetched keys are, in seconds."),
    (CONNECTIONS, "Client connections open, by listener."),
    (
        LAST_RELOAD,
        "When the configuration was last reloaded, in seconds since 1970.",
    ),
    (
        REVOCATIONS,
        "Sessions, users and organizations of which something is revoked.",
    ),
    (
        SHARED_UP,
        "1 where the Redis that replicas share can be used, else 0; absent without one.",
    ),
    (
        STREAMS,
        "Running exchanges that end when their session does.",
    ),
    (UPGRADED, "Upgraded connections open."),
    (
        UPSTREAM_HEALTHY,
        "1 where an origin's health checks succeed, else 0.",
    ),
    (UPSTREAM_IN_FLIGHT, "Requests on their way, by upstream."),
];

/// The histograms and what they measure, in seconds.
const HISTOGRAMS: [(&str, &str); 5] = [
    (
        DECIDE_SECONDS,
        "How long decisions took, from a request's head to its route or refusal.",
    ),
    (
        REQUEST_SECONDS,
        "How long requests took, up to the heads of their answers.",
    ),
    (
        TOKEN_AGE_SECONDS,
        "How old session tokens were when they were presented.",
    ),
    (
        CLERK_REQUEST_SECONDS,
        "How long calls of Clerk's API took, by operation.",
    ),
    (
        UPSTREAM_SECONDS,
        "How long upstreams took to begin their answers.",
    ),
];

/// Upper bounds of ages in seconds: Clerk's session tokens live a minute.
const AGES: [f64; 8] = [5.0, 15.0, 30.0, 45.0, 60.0, 90.0, 300.0, 3600.0];

/// Upper bounds in seconds: from a cache's answer to a slow upstream's.
const SECONDS: [f64; 17] = [
    0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];

/// The installed recorder, from which `/metrics` is answered.
#[derive(Clone)]
pub(crate) struct Exporter(PrometheusHandle);

/// Installs the process's recorder; nothing is kept before.
///
/// # Errors
///
/// [`BuildError`] where the process has a recorder already.
pub(crate) fn install() -> Result<Exporter, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full(TOKEN_AGE_SECONDS.to_owned()), &AGES)?
        .install_recorder()?;
    for (name, text) in COUNTERS {
        describe_counter!(name, text);
    }
    for (name, text) in GAUGES {
        describe_gauge!(name, text);
    }
    for (name, text) in HISTOGRAMS {
        describe_histogram!(name, Unit::Seconds, text);
    }
    Ok(Exporter(handle))
}

impl Exporter {
    /// Returns the metrics in Prometheus's text format.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }

    /// Folds what histograms have gathered; to be called every few seconds.
    pub(crate) fn run_upkeep(&self) {
        self.0.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::{
        metrics::{self, CacheResult},
        traffic::{self, OpenConnection, RouteCounter},
    };

    /// Records on this test's own thread, so that its handles are bound to its own recorder.
    fn rendered(record: impl FnOnce()) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        ::metrics::with_local_recorder(&recorder, record);
        handle.render()
    }

    #[test]
    fn recordings_reach_the_page_under_their_labels() {
        let page = rendered(|| {
            metrics::session_cache(CacheResult::Hit);
            metrics::session_cache(CacheResult::Hit);
            metrics::token_cache(CacheResult::Miss);
            metrics::template_token_cache(CacheResult::Stale);
            metrics::decision("refuse", "token-expired");
            metrics::clerk_request("sessions.get", "ok", Duration::from_millis(3));
            metrics::jwks_refresh("error");
            traffic::upstream(Duration::from_millis(3));
            RouteCounter::new("/a/*").answered(http::StatusCode::OK);
        });
        for line in [
            "clerk_gateway_session_cache_total{result=\"hit\"} 2",
            "clerk_gateway_token_cache_total{result=\"miss\"} 1",
            "clerk_gateway_template_token_cache_total{result=\"stale\"} 1",
            "clerk_gateway_decisions_total{outcome=\"refuse\",reason=\"token-expired\"} 1",
            "clerk_gateway_clerk_requests_total{operation=\"sessions.get\",outcome=\"ok\"} 1",
            "clerk_gateway_clerk_request_seconds_count{operation=\"sessions.get\"} 1",
            "clerk_gateway_jwks_refresh_total{outcome=\"error\"} 1",
            "clerk_gateway_upstream_seconds_count 1",
            "clerk_gateway_requests_total{route=\"/a/*\",status=\"200\"} 1",
        ] {
            assert!(page.lines().any(|said| said == line), "{line}\n{page}");
        }
    }

    #[test]
    fn a_connection_is_counted_while_it_is_open() {
        let page = rendered(|| {
            let closed = OpenConnection::new("public");
            std::mem::forget(OpenConnection::new("public"));
            drop(closed);
        });
        assert!(
            page.contains("clerk_gateway_connections{listener=\"public\"} 1"),
            "{page}"
        );
    }
}
