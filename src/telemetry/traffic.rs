//! What the gateway itself records: answers, upstreams, connections.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::metrics::{count, observe};

pub(super) const CONNECTIONS: &str = "clerk_gateway_connections";
pub(super) const CONNECTIONS_CLOSED: &str = "clerk_gateway_connections_closed_total";
pub(super) const REQUESTS: &str = "clerk_gateway_requests_total";
pub(super) const UPSTREAM_SECONDS: &str = "clerk_gateway_upstream_seconds";

/// Counts one route's answers; made once, when the route is.
#[derive(Clone)]
pub(crate) struct RouteCounter {
    route: Arc<str>,
    by_status: Arc<[OnceLock<metrics::Counter>]>,
}

/// Counts a connection as open for as long as it lives.
pub(crate) struct OpenConnection {
    listener: &'static str,
}

/// Counts a connection that was refused, cut or broken, by reason.
pub(crate) fn closed(reason: &'static str) {
    count(CONNECTIONS_CLOSED, [("reason", reason)]);
}

/// Times an upstream, from the request to the answer's head.
pub(crate) fn upstream(took: Duration) {
    observe(UPSTREAM_SECONDS, [], took);
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
