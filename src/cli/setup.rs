//! From a configuration to what runs, and from the next one to what runs then.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::Digest;

use super::{
    build::{self, Upstreams},
    build_hasura, build_own, build_shared,
    build_shared::Shared,
    certificates, check,
    config_args::{ConfigArgs, report, warn},
};
use crate::{
    config::{
        ConfigError, DecisionSettings, FilesSeen, Loaded, Problem, ServerSettings, SharedSettings,
    },
    handle::Clerk,
    proxy::Tunnels,
    server::{Current, Gateway, Transport},
    stream::Streams,
    telemetry::{reloads, traffic::RouteCounter},
    webhook::Delivered,
};

/// A gateway that is set up and not yet listening.
pub(super) struct Setup {
    pub(super) gateway: Gateway,
    pub(super) transport: Transport,
    pub(super) tunnels: Tunnels,
    pub(super) server: ServerSettings,
    pub(super) decision: DecisionSettings,
    pub(super) shared: Option<Arc<Shared>>,
    made: Made,
}

/// What the running configuration was made into; the next one takes over what has not changed.
struct Made {
    clerk: Clerk,
    clerk_fingerprint: Digest,
    upstreams: Upstreams,
    /// The webhooks that have had their effect.
    delivered: Arc<Delivered>,
    /// Those that run on keep running.
    streams: Streams,
    /// Only a restart replaces it.
    shared: Option<Arc<Shared>>,
    shared_fingerprint: Option<Digest>,
    server: ServerSettings,
    decision: DecisionSettings,
    files: FilesSeen,
}

/// Reads the configuration again, and replaces what runs where all of it is good.
pub(super) struct Reloader {
    args: ConfigArgs,
    gateway: Gateway,
    transport: Transport,
    tunnels: Tunnels,
    made: Mutex<Made>,
}

impl Setup {
    /// Sets the gateway up: everything that can be wrong is found before anything is bound.
    pub(super) fn new(loaded: &Loaded) -> Result<Self, ExitCode> {
        let setup = Self::make(loaded).map_err(|error| report(&error))?;
        if let Transport::Tls(tls) = &setup.transport {
            let now = setup.made.clerk.clock().now();
            warn(&certificates::warnings(loaded, tls, now));
        }
        Ok(setup)
    }

    fn make(loaded: &Loaded) -> Result<Self, ConfigError> {
        let tunnels = Tunnels::new();
        let (made, current) = made(loaded, None, &tunnels)?;
        Ok(Self {
            gateway: Gateway::new(current),
            transport: build::transport(loaded)?,
            tunnels,
            server: loaded.settings.server.clone(),
            decision: loaded.settings.decision.clone(),
            shared: made.shared.clone(),
            made,
        })
    }

    /// Returns what replaces this set-up's gateway when the configuration changes.
    pub(super) fn reloader(self, args: ConfigArgs) -> Reloader {
        Reloader {
            args,
            gateway: self.gateway,
            transport: self.transport,
            tunnels: self.tunnels,
            made: Mutex::new(self.made),
        }
    }
}

fn made(
    loaded: &Loaded,
    previous: Option<&Made>,
    tunnels: &Tunnels,
) -> Result<(Made, Current), ConfigError> {
    let files = FilesSeen::now(&loaded.files);
    let shared = match previous {
        Some(made) => made.shared.clone(),
        None => build_shared::shared(loaded)?.map(Arc::new),
    };
    let clerk_fingerprint = loaded.settings.clerk_fingerprint();
    let same = |made: &&Made| made.clerk_fingerprint.as_ref() == clerk_fingerprint.as_ref();
    let clerk = match previous.filter(same) {
        Some(made) => made.clerk.clone(),
        None => build::clerk(loaded, previous.map(|made| &made.clerk), shared.as_deref())?,
    };
    let none = Upstreams::new();
    let upstreams = build::upstreams(loaded, previous.map_or(&none, |made| &made.upstreams))?;
    let delivered = previous.map(|made| Arc::clone(&made.delivered));
    let delivered = delivered.unwrap_or_default();
    let streams = previous.map(|made| made.streams.clone());
    let streams = streams.unwrap_or_default();
    let pipeline = build::pipeline(loaded, &clerk, &upstreams, tunnels)?;
    let current = Current {
        decider: build::decider(loaded, &pipeline.trusted_proxies)?,
        pipeline,
        clerk: clerk.clone(),
        upstreams: upstreams.values().map(|(_, up)| Arc::clone(up)).collect(),
        shown: check::table(&loaded.provenance),
        unrouted: RouteCounter::new("none"),
        access: build::access_log(loaded)?,
        hasura: build_hasura::webhook(loaded, &clerk)?,
        own: build_own::endpoints(loaded, &clerk, &delivered)?,
        streams: streams.clone(),
        stream_limits: loaded.settings.session.streams,
    };
    let made = Made {
        clerk,
        clerk_fingerprint,
        upstreams,
        delivered,
        streams,
        shared,
        shared_fingerprint: loaded
            .settings
            .shared
            .as_ref()
            .map(SharedSettings::fingerprint),
        server: loaded.settings.server.clone(),
        decision: loaded.settings.decision.clone(),
        files,
    };
    Ok((made, current))
}

impl Made {
    fn shared_differs(&self, other: &Self) -> bool {
        let bytes = |made: &Self| {
            made.shared_fingerprint
                .map(|digest| digest.as_ref().to_vec())
        };
        bytes(self) != bytes(other)
    }
}

impl Reloader {
    /// Reloads, and says so in the log and the metrics; the error names every problem.
    pub(super) fn reload(&self) -> Result<(), String> {
        let outcome = self.try_reload();
        reloads::ended(outcome.is_ok());
        outcome.map_err(|error| {
            for problem in &error.problems {
                tracing::error!(%problem, "the configuration is bad: what ran goes on");
            }
            let problems = error.problems.iter().map(ToString::to_string);
            problems.collect::<Vec<_>>().join("\n")
        })
    }

    fn try_reload(&self) -> Result<(), ConfigError> {
        let mut running = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = match self.args.read() {
            Ok(loaded) => loaded,
            Err(error) => {
                // Another change may mend it; the same files need not be tried again.
                running.files = running.files.again();
                return Err(error);
            }
        };
        let made = made(&loaded, Some(&*running), &self.tunnels);
        let (made, current) = made.inspect_err(|_| running.files = running.files.again())?;
        let certificates = self.replace_certificates(&loaded, &made);
        let certificates = certificates.inspect_err(|_| running.files = running.files.again())?;
        for warning in loaded.warnings.iter().chain(&certificates) {
            tracing::warn!(%warning, "configuration");
        }
        for key in running.server.restart_only(&made.server) {
            tracing::warn!(config.key = %format_args!("server.{key}"), "changed, but only a restart can change it");
        }
        for key in running.decision.restart_only(&made.decision) {
            tracing::warn!(
                config.key = key,
                "changed, but only a restart can change it"
            );
        }
        if running.shared_differs(&made) {
            tracing::warn!(
                config.key = "shared",
                "changed, but only a restart can change it"
            );
        }
        for upstream in &current.upstreams {
            upstream.watch();
        }
        self.gateway.replace(current);
        *running = Made {
            // What a restart is needed for is compared with what the process began with.
            server: running.server.clone(),
            decision: running.decision.clone(),
            shared_fingerprint: running.shared_fingerprint,
            ..made
        };
        tracing::info!("configuration reloaded");
        Ok(())
    }

    /// Replaces the certificates, and returns what is to be said of the new ones.
    fn replace_certificates(
        &self,
        loaded: &Loaded,
        made: &Made,
    ) -> Result<Vec<Problem>, ConfigError> {
        let (Transport::Tls(tls), Some(identity)) = (&self.transport, &loaded.settings.server.tls)
        else {
            return Ok(Vec::new());
        };
        tls.replace(identity)
            .map_err(|error| build::refuse_tls(loaded, &error))?;
        Ok(certificates::warnings(
            loaded,
            tls,
            made.clerk.clock().now(),
        ))
    }

    /// Tells whether a file that the configuration was read from has changed.
    pub(super) fn is_due(&self) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.files.have_changed()
    }
}

#[cfg(test)]
#[path = "setup_tests.rs"]
mod tests;
