//! Clerk's HTTP API: the client of the Sessions API and its wire types.

pub mod id;
pub mod model;

#[cfg(feature = "client")]
pub(crate) mod books;
#[cfg(feature = "client")]
pub(crate) mod budget;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod endpoint;
#[cfg(feature = "client")]
mod error;
#[cfg(feature = "redis")]
pub(crate) mod fleet;
#[cfg(all(test, feature = "redis"))]
mod fleet_tests;
#[cfg(feature = "client")]
mod gate;
#[cfg(feature = "client")]
pub mod jwks;
#[cfg(feature = "client")]
pub(crate) mod ledger;
#[cfg(feature = "client")]
pub(crate) mod outage;
#[cfg(feature = "client")]
mod query;
#[cfg(feature = "client")]
mod refresh;
#[cfg(feature = "client")]
mod retry;
#[cfg(feature = "client")]
mod sessions;
#[cfg(feature = "gateway")]
mod templates;
#[cfg(feature = "client")]
mod transport;

#[cfg(feature = "client")]
pub use client::{Client, ClientBuilder, ClientError};
#[cfg(feature = "client")]
pub use error::{Error, InvalidArgument, Refusal};
#[cfg(feature = "client")]
pub use jwks::PublicJwks;
#[cfg(feature = "client")]
pub use query::SessionQuery;
#[cfg(feature = "client")]
pub use refresh::{RefreshFormat, RefreshRequest};
#[cfg(feature = "client")]
pub use sessions::Sessions;
