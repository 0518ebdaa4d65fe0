//! The integration tests: one file a behaviour.
#![allow(clippy::unwrap_used)]

mod sessions_api;
mod differential;
mod keys;
mod session_token;
mod signer;
mod token_cases;
