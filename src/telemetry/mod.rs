//! Logs and metrics: their set-up and their names.

#[cfg(feature = "gateway")]
pub(crate) mod access;
#[cfg(feature = "gateway")]
pub(crate) mod certificates;
#[cfg(feature = "gateway")]
pub(crate) mod exporter;
#[cfg(feature = "gateway")]
pub(crate) mod logs;
pub(crate) mod metrics;
#[cfg(feature = "gateway")]
pub(crate) mod reloads;
#[cfg(feature = "gateway")]
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
pub(crate) mod shared;
#[cfg(feature = "gateway")]
pub(crate) mod streams;
#[cfg(feature = "gateway")]
pub(crate) mod trace;
#[cfg(feature = "gateway")]
pub(crate) mod traffic;
#[cfg(feature = "gateway")]
pub(crate) mod upstreams;
#[cfg(feature = "gateway")]
pub(crate) mod webhooks;
