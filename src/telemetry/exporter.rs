//! The gateway's recorder: keeps the metrics and writes them for Prometheus.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::metrics::{COUNTERS, GAUGES, HISTOGRAMS};

/// Upper bounds in seconds: from a cache's answer to a slow upstream's.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
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
