//! An in-memory Clerk for development and tests: a development tool, never for production.
//!
//! Clerk's own SDKs work against it unchanged, and so does this crate's client.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use clerk_gateway::sandbox::Sandbox;
//!
//! let sandbox = Sandbox::builder().start().await?;
//! let token = sandbox.mint(sandbox.session_id());
//! sandbox.revoke(sandbox.session_id());
//! # Ok(())
//! # }
//! ```

mod api;
mod backend;
mod builder;
mod changes;
mod control;
mod faults;
mod handle;
mod ids;
mod listener;
mod objects;
mod permissions;
mod rate;
mod seed;
mod seeding;
mod shortcodes;
mod signing;
mod store;
mod table;
mod tokens;
mod webhooks;

pub use builder::{SandboxBuilder, SandboxError};
pub use faults::{Faults, Outage};
pub use handle::Sandbox;
pub use rate::RateLimit;
pub use seed::{
    Seed, SeedKey, SeedMembership, SeedOrganization, SeedSession, SeedTemplate, SeedUser,
};
