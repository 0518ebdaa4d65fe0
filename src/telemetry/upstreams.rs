//! What is recorded of each upstream; made once, when the upstream is.

use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, SharedString};

pub(super) const UPSTREAM_HEALTHY: &str = "clerk_gateway_upstream_healthy";
pub(super) const UPSTREAM_IN_FLIGHT: &str = "clerk_gateway_upstream_in_flight";
pub(super) const UPSTREAM_REQUESTS: &str = "clerk_gateway_upstream_requests_total";
pub(super) const UPSTREAM_RETRIES: &str = "clerk_gateway_upstream_retries_total";
pub(super) const UPGRADED: &str = "clerk_gateway_upgraded_connections";

/// One upstream's counters; bound to the recorder when they are first used.
#[derive(Debug)]
pub(crate) struct UpstreamMetrics {
    name: Arc<str>,
    answered: OnceLock<Bound<Counter>>,
    retries: OnceLock<Bound<Counter>>,
    in_flight: OnceLock<Bound<Gauge>>,
}

struct Bound<H>(H);

impl<H> std::fmt::Debug for Bound<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bound")
    }
}

impl UpstreamMetrics {
    /// Returns the counters of the upstream with this name.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            answered: OnceLock::new(),
            retries: OnceLock::new(),
            in_flight: OnceLock::new(),
        }
    }

    fn label(&self) -> SharedString {
        SharedString::from_shared(Arc::clone(&self.name))
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self) {
        let bind = || {
            let name = self.label();
            Bound(metrics::counter!(UPSTREAM_REQUESTS, "upstream" => name, "outcome" => "answered"))
        };
        self.answered.get_or_init(bind).0.increment(1);
    }

    /// Counts a request that failed, by the reason's slug.
    pub(crate) fn failed(&self, reason: &'static str) {
        let name = self.label();
        metrics::counter!(UPSTREAM_REQUESTS, "upstream" => name, "outcome" => reason).increment(1);
    }

    /// Counts an attempt that was made again.
    pub(crate) fn retried(&self) {
        let bind = || {
            let name = self.label();
            Bound(metrics::counter!(UPSTREAM_RETRIES, "upstream" => name))
        };
        self.retries.get_or_init(bind).0.increment(1);
    }

    /// Counts a request as on its way.
    pub(crate) fn began(&self) {
        self.in_flight().increment(1.0);
    }

    /// Counts it as ended.
    pub(crate) fn ended(&self) {
        self.in_flight().decrement(1.0);
    }

    /// Shows what a health check has found of an origin.
    pub(crate) fn healthy(&self, url: &str, healthy: bool) {
        let name = self.label();
        let value = if healthy { 1.0 } else { 0.0 };
        metrics::gauge!(UPSTREAM_HEALTHY, "upstream" => name, "url" => url.to_owned()).set(value);
    }

    fn in_flight(&self) -> &Gauge {
        let bind = || {
            let name = self.label();
            Bound(metrics::gauge!(UPSTREAM_IN_FLIGHT, "upstream" => name))
        };
        &self.in_flight.get_or_init(bind).0
    }
}

/// Counts an upgraded connection as open, until this is dropped.
pub(crate) struct OpenUpgrade(());

impl OpenUpgrade {
    pub(crate) fn new() -> Self {
        metrics::gauge!(UPGRADED).increment(1.0);
        Self(())
    }
}

impl Drop for OpenUpgrade {
    fn drop(&mut self) {
        metrics::gauge!(UPGRADED).decrement(1.0);
    }
}
