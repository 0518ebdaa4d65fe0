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

#[cfg(feature = "axum")]
pub mod extract;
mod guard;
mod handle;
pub mod layer;

mod credential;
mod mutate;
#[cfg(feature = "gateway")]
mod pipeline;
mod policy;
#[cfg(feature = "gateway")]
mod proxy;
mod reject;
#[cfg(feature = "gateway")]
mod request;
#[cfg(feature = "gateway")]
mod route;
mod rule;
pub mod verify;

pub mod clerk;
#[cfg(feature = "test-util")]
pub mod sandbox;
mod telemetry;

#[cfg(feature = "client")]
mod cache;
mod instance;
mod problem;
#[cfg(feature = "client")]
mod revocation;
mod session;
mod time;

pub use guard::{Guard, RequireLayer, RequireService};
pub use handle::{CacheSettings, Clerk, ClerkBuilder, SetupError};
pub use instance::{Instance, InstanceError, InstanceKind, PublishableKey};
pub use layer::{SessionLayer, SessionLayerBuilder, SessionService};
#[cfg(feature = "client")]
pub use mutate::template_token::TemplateToken;
pub use policy::{Denied, Requirement};
pub use reject::Rejection;
pub use session::{Actor, ClaimsError, FactorAges, Organization, Proof, Session, SessionStatus};
pub use time::{Clock, Timestamp};
