//! The integration tests: one file a behaviour.
#![allow(clippy::unwrap_used)]

mod sandbox;
mod sandbox_instance;
mod sandbox_strangers;
mod sandbox_support;
mod sandbox_tokens;
mod sandbox_webhooks;
