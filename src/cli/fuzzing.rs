//! The door to the whole pipeline, set up from a configuration.

use std::{net::SocketAddr, sync::Arc};

use http::request::Parts;
use tokio::runtime::{Builder, Runtime};

use super::setup::Setup;
use crate::{
    config::{Sources, load},
    pipeline::Passed,
    request::{Peer, Scheme},
};

/// A gateway that listens nowhere.
pub struct Gateway {
    setup: Setup,
    runtime: Runtime,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decided {
    /// The upstream is asked this.
    Forwarded {
        /// The route's name, as in `route[0] /*`.
        route: String,
        /// The session's ID, where there is one.
        session: Option<String>,
        /// The head that the upstream gets.
        parts: Box<Parts>,
    },
    /// A CORS preflight is answered.
    Answered,
    /// It is refused.
    Refused {
        /// The status.
        status: u16,
        /// The reason slug.
        reason: &'static str,
    },
}

impl Gateway {
    /// Sets a gateway up; `None` where the configuration is bad.
    pub fn new(toml: &str) -> Option<Self> {
        let sources = Sources {
            built_in: Some(toml.to_owned()),
            ..Sources::default()
        };
        let loaded = load(&sources).ok()?;
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let setup = {
            let _entered = runtime.enter();
            Setup::new(&loaded).ok()?
        };
        Some(Self { setup, runtime })
    }

    /// Decides on a request that came in plain text.
    pub fn decide(&self, peer: SocketAddr, mut parts: Parts) -> Decided {
        let peer = Peer::new(peer, Scheme::Http);
        let current = self.setup.gateway.current();
        let decided = self
            .runtime
            .block_on(current.pipeline.decide(&peer, &mut parts));
        match decided {
            Ok(Passed::Forward(route, session)) => Decided::Forwarded {
                route: Arc::clone(&route).name.clone(),
                session: session.map(|session| session.id().to_owned()),
                parts: Box::new(parts),
            },
            Ok(Passed::Preflight(..)) => Decided::Answered,
            Err(refusal) => Decided::Refused {
                status: refusal.rejection.status().as_u16(),
                reason: refusal.rejection.reason(),
            },
        }
    }
}
