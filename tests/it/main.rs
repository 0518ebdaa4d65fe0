//! The integration tests: one file a behaviour.
#![allow(clippy::unwrap_used)]

mod architecture;
mod cli_check;
mod config;
mod config_errors;
mod config_files;
mod config_route_errors;
mod dev;
mod differential;
mod examples;
mod gateway_headers;
mod gateway_process;
mod gateway_refusals;
mod guards;
mod jwks;
mod keys;
mod layer;
mod layer_corners;
mod library_user;
mod logs;
mod readme;
mod sandbox;
mod sandbox_instance;
mod sandbox_strangers;
mod sandbox_support;
mod sandbox_tokens;
mod sandbox_webhooks;
mod serve_cli;
mod session_status;
mod session_token;
mod sessions_api;
mod setup;
mod signer;
mod support;
mod template_tokens;
mod token_cases;
