//! Verifies Clerk sessions in front of services.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Modules stand in the order in which a request meets them; the leaves come last.
#[cfg(feature = "gateway")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "gateway")]
mod config;
#[cfg(feature = "gateway")]
mod server;

mod credential;
mod mutate;
mod policy;
#[cfg(feature = "gateway")]
mod proxy;
#[cfg(feature = "gateway")]
mod request;
#[cfg(feature = "gateway")]
mod route;
pub mod verify;

pub mod clerk;
#[cfg(feature = "test-util")]
pub mod sandbox;
mod telemetry;

mod cache;
mod instance;
mod revocation;
mod session;
mod time;

pub use instance::{Instance, InstanceError, InstanceKind, PublishableKey};
pub use session::{Actor, ClaimsError, FactorAges, Organization, Proof, Session, SessionStatus};
pub use time::{Clock, Timestamp};
