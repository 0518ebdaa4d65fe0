//! Asks origins whether they are well, beside the requests.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use http::{Method, Request, header::USER_AGENT, uri::PathAndQuery};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Upstream, body::OutgoingBody, client::Over, origin::Origin};

/// How an origin is asked.
#[derive(Clone, Debug)]
pub(crate) struct HealthCheck {
    /// What is asked for, by GET; 2xx and 3xx are well.
    pub(crate) path: PathAndQuery,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// Failures in a row until it gets no requests.
    pub(crate) unhealthy_after: u32,
    /// Successes in a row until it gets requests again.
    pub(crate) healthy_after: u32,
}

impl Upstream {
    /// Begins to ask each origin, for as long as the upstream is in use; without a health check, or the second time, it does nothing.
    pub(crate) fn watch(self: &Arc<Self>) {
        let Some(check) = &self.health else {
            return;
        };
        if self.is_watched.swap(true, Ordering::Relaxed) {
            return;
        }
        for at in 0..self.origins.len() {
            tokio::spawn(watch(Arc::downgrade(self), at, check.clone()));
        }
    }
}

async fn watch(upstream: Weak<Upstream>, at: usize, check: HealthCheck) {
    let mut ticks = interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut streak = Streak::default();
    loop {
        ticks.tick().await;
        let Some(upstream) = upstream.upgrade() else {
            return;
        };
        let Some(origin) = upstream.origins.get(at) else {
            return;
        };
        let well = is_well(&upstream, origin, &check).await;
        if let Some(healthy) = streak.after(well, &check) {
            origin.checked(healthy);
            upstream.metrics.healthy(origin.url(), healthy);
        }
    }
}

async fn is_well(upstream: &Upstream, origin: &Origin, check: &HealthCheck) -> bool {
    let mut request = Request::new(OutgoingBody::empty());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = check.path.clone().into();
    let headers = request.headers_mut();
    let agent = http::HeaderValue::from_static("clerk-gateway-health");
    headers.insert(USER_AGENT, agent);
    let sent = upstream
        .client
        .send(origin, Over::New, request, Instant::now());
    match timeout(check.timeout, sent).await {
        Ok(Ok((response, _))) => {
            response.status().is_success() || response.status().is_redirection()
        }
        Ok(Err(_)) | Err(_) => false,
    }
}

/// How often in a row the answer was the same.
#[derive(Debug, Default)]
struct Streak {
    well: bool,
    length: u32,
}

impl Streak {
    /// Counts an answer; returns the verdict where there is one.
    fn after(&mut self, well: bool, check: &HealthCheck) -> Option<bool> {
        self.length = match self.well == well {
            true => self.length.saturating_add(1),
            false => 1,
        };
        self.well = well;
        let wanted = match well {
            true => check.healthy_after,
            false => check.unhealthy_after,
        };
        (self.length >= wanted).then_some(well)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_as_many_answers_in_a_row_as_it_says() {
        let check = HealthCheck {
            path: PathAndQuery::from_static("/"),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            unhealthy_after: 2,
            healthy_after: 3,
        };
        let mut streak = Streak::default();
        let verdicts: Vec<_> = [false, true, false, false, true, true, true]
            .into_iter()
            .map(|well| streak.after(well, &check))
            .collect();
        let expected = [None, None, None, Some(false), None, None, Some(true)];
        assert_eq!(verdicts, expected);
    }
}
