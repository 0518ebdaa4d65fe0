//! The configuration: each stage's own, composed; file, environment and flags in one.
//!
//! Flags beat the environment, which beats the file, which beats the defaults. Everything that is
//! wrong is said at once, each with its place and its fix; nothing unknown is ever passed over.

mod cache;
mod checks;
mod clerk;
mod cors;
mod decision;
mod document;
mod duration;
mod env;
mod error;
mod file;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod hasura;
mod hasura_roles;
mod hasura_webhook;
mod header;
mod load;
mod log;
mod nearest;
mod overlay;
mod pattern;
mod rate;
mod require;
mod route;
mod route_check;
mod route_warnings;
mod secret;
mod server;
mod session;
mod settings;
mod shared;
mod sign_out;
mod source;
mod token;
mod upstream;
mod watch;
mod webhooks;

pub(crate) use clerk::KeySettings;
pub(crate) use decision::DecisionSettings;
pub(crate) use env::process as process_env;
pub(crate) use error::{ConfigError, Problem};
pub(crate) use file::File;
pub(crate) use hasura_webhook::HasuraSettings;
pub(crate) use load::{Flag, Loaded, Provenance, Sources, load};
pub(crate) use route::{Auth, CredentialFate};
pub(crate) use route_check::RouteSettings;
pub(crate) use server::ServerSettings;
pub(crate) use session::CredentialSettings;
pub(crate) use settings::Settings;
pub(crate) use shared::SharedSettings;
pub(crate) use sign_out::SignOutSettings;
#[cfg(test)]
pub(crate) use source::Source;
pub(crate) use token::TokenSettings;
pub(crate) use watch::FilesSeen;
pub(crate) use webhooks::WebhookSettings;
