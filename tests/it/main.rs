//! The integration tests: one file a behaviour.
#![allow(clippy::unwrap_used)]

mod sessions_api;
