//! The integration tests: one file a behaviour.
#![allow(clippy::unwrap_used)]

mod cli_check;
mod config;
mod config_errors;
mod config_files;
mod config_route_errors;
