//! The integration tests: one file a behaviour.
#![allow(clippy::unwrap_used)]

mod sessions_api;
mod differential;
mod keys;
mod session_token;
mod signer;
mod token_cases;
mod cli_check;
mod config;
mod config_errors;
mod config_files;
mod config_route_errors;
