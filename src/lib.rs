//! Verifies Clerk sessions in front of services: a tower layer, and the engine of a standalone gateway.
//!
//! ```
//! use axum::{Router, routing::get};
//! use clerk_gateway::{Clerk, Session, SessionLayer};
//!
//! async fn me(session: Session) -> String {
//!     session.user_id().to_owned()
//! }
//!
//! # fn example() -> Result<(), clerk_gateway::SetupError> {
//! let clerk = Clerk::from_env()?;
//! let app: Router = Router::new()
//!     .route("/me", get(me))
//!     .layer(SessionLayer::required(clerk));
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `axum` | extractors: [`Session`], `Option<Session>`, [`extract::Permitted`], [`TemplateToken`] |
//! | `client` | Clerk's API: the Sessions API, fetched keys, template tokens; without it verification is networkless, with a key that is given |
//! | `metrics` | counters through the `metrics` facade |
//! | `test-util` | the [`sandbox`], in-process |
//! | `gateway` (default) | the binary |
//! | `redis` (default) | the binary with `[shared]`: what replicas share by way of Redis or Valkey |
//! | `otel` | the binary with traces by OTLP |
//!
//! # Architecture
//!
//! A request flows one way, and each stage is a room of its own:
//!
//! `request → route → credential → verify → policy → mutate → proxy`
//!
//! | room | answers |
//! |---|---|
//! | `request` | what was asked, in the one form that all stages read |
//! | `route` | which rule it meets |
//! | `credential` | what it presents: absent, found, or bad |
//! | [`verify`] | is that genuine, and is the session still good |
//! | `policy` | may they ([`Requirement`], [`Denied`]) |
//! | `mutate` | what the service behind is told: managed headers, [`TemplateToken`] |
//! | `reject` | which response a refusal is ([`Rejection`]): every refusal's status |
//! | `decision` | answers other programs by the same stages: their question in, their answer out |
//! | `proxy` | sends it on, and joins what is upgraded; knows nothing of authentication |
//! | `stream` | which exchanges run on, and that each ends when its session does |
//! | `revocation` | what counts no more, read on every decision |
//! | `webhook` | which of Clerk's deliveries are genuine, and what they revoke |
//! | `limit` | how much of anything one client may take |
//! | `shared` | what replicas tell each other and leave for each other in Redis, of no use to a stranger there |
//!
//! `rule` runs the stages from credential to template token for one route or layer; [`layer`] does so as tower
//! middleware, `pipeline` (the file to read first) for the gateway, with request and route before and the managed headers after.
//! Around them: [`clerk`] is all that talks to Clerk; `handle` is [`Clerk`], which holds an instance's keys, client and caches;
//! `cache` has single-flight, negative, stale and refresh-ahead entries once for all; `server`, `cli` and `config` are the
//! process. Leaves that everyone may use: `session`, `instance`, `problem`, `time`.
//!
//! # Invariants
//!
//! - A refused credential never falls through to the next source; no matching route means refused.
//! - Managed headers are stripped from every request of the gateway before any stage; the library's layer leaves headers alone
//!   unless asked.
//! - Clerk being unreachable is 503: never a 401, and never a pass.
//! - A head that two readers could read differently is refused: beneath hyper (`server::wire`), then in its canonical form (`request`).
//! - A request runs to its end with the configuration that it began with, but not longer than its session.
//! - A revocation is read on every hit; nothing that was begun before it became known is served or stored after it.
//! - Nothing of a client's goes up before the decision, nor past a request for an upgrade before the upstream's 101.
//! - Time is an argument: stages are told what time it is.
//! - Every read of a cache is judged by the caller's clock; a verified token counts only with the keys that proved it.
//! - Credentials and keys show themselves in no `Debug`, error, log or response.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Modules stand in the order in which a request meets them; the leaves come last.
#[cfg(feature = "gateway")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "gateway")]
mod config;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "gateway")]
mod server;
#[cfg(feature = "redis")]
mod shared;
#[cfg(feature = "gateway")]
mod stream;

#[cfg(feature = "gateway")]
mod decision;

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
#[cfg(feature = "gateway")]
mod gather;
mod instance;
#[cfg(feature = "gateway")]
mod limit;
mod problem;
mod recent;
#[cfg(feature = "client")]
mod revocation;
mod session;
mod sync;
mod time;
#[cfg(feature = "gateway")]
mod webhook;

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
