//! The integration tests: one file a behaviour.
#![allow(clippy::unwrap_used)]

mod sandbox;
mod sandbox_strangers;
mod sandbox_webhooks;
