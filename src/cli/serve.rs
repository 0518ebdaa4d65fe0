//! `clerk-gateway serve`: the gateway.

use std::{
    future::Future,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::BuildError;
use tokio::{net::TcpListener, runtime::Runtime, task::JoinHandle};

use super::{BAD_USAGE, build, config_args::ConfigArgs, config_args::report};
use crate::{
    config::{Loaded, ServerSettings},
    handle::Clerk,
    limit::connections::PerAddress,
    pipeline::Pipeline,
    proxy::{End, Tunnels, TunnelsEnded},
    server::{
        Admin, Drain, DrainTrigger, Drained, Gateway, ListenError, Listener, ServeLimits, Target,
        Transport, bind, drain, serve,
    },
    telemetry::exporter::{self, Exporter},
};

/// Histograms are folded this often.
const UPKEEP: Duration = Duration::from_secs(5);

/// Runs the gateway until SIGTERM or SIGINT.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// A gateway that is set up and not yet listening.
pub(super) struct Prepared {
    clerk: Clerk,
    pipeline: Pipeline<Target>,
    server: ServerSettings,
    transport: Transport,
    per_address: PerAddress,
    tunnels: Tunnels,
    tunnels_ended: TunnelsEnded,
}

/// Why a gateway that is set up cannot start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("metrics cannot be kept: {0}")]
    Metrics(#[from] BuildError),
}

/// A gateway that listens.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) admin: Option<SocketAddr>,
    trigger: DrainTrigger,
    /// The admin port answers until the public one has drained: `/readyz` says so meanwhile.
    admin_trigger: DrainTrigger,
    public: JoinHandle<Drained>,
    tunnels: Tunnels,
    tunnels_ended: TunnelsEnded,
    others: Vec<JoinHandle<()>>,
    drain_timeout: Duration,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let prepared = match args.config.load().and_then(|loaded| prepare(&loaded)) {
        Ok(prepared) => prepared,
        Err(status) => return status,
    };
    let runtime = match runtime(prepared.server.workers) {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    runtime.block_on(async {
        let stop = stop_signal();
        match prepared.start() {
            Ok(running) => running.until(stop).await,
            Err(error) => error.report(),
        }
    })
}

/// Sets the gateway up: everything that can be wrong is found before anything is bound.
pub(super) fn prepare(loaded: &Loaded) -> Result<Prepared, ExitCode> {
    let clerk = build::clerk(loaded).map_err(|error| report(&error))?;
    let (tunnels, tunnels_ended) = Tunnels::new();
    let pipeline = build::pipeline(loaded, &clerk, &tunnels).map_err(|error| report(&error))?;
    let server = loaded.settings.server.clone();
    let transport = build::transport(loaded).map_err(|error| report(&error))?;
    let exempt = pipeline.trusted_proxies.clone();
    Ok(Prepared {
        per_address: PerAddress::new(server.max_connections_per_address, exempt),
        clerk,
        pipeline,
        server,
        transport,
        tunnels,
        tunnels_ended,
    })
}

pub(super) fn runtime(workers: usize) -> Result<Runtime, ExitCode> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if workers > 0 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().map_err(|error| {
        eprintln!("error: the runtime cannot start: {error}");
        ExitCode::FAILURE
    })
}

impl StartError {
    /// Writes the error to stderr, and returns the status to exit with.
    pub(super) fn report(&self) -> ExitCode {
        eprintln!("error: {self}");
        match self {
            Self::Listen(_) => ExitCode::from(BAD_USAGE),
            Self::Metrics(_) => ExitCode::FAILURE,
        }
    }
}

impl Prepared {
    /// Binds every address, then serves.
    pub(super) fn start(self) -> Result<Running, StartError> {
        let public = bind("server.listen", self.server.listen)?;
        let admin = self
            .server
            .admin
            .map(|address| bind("server.admin", address));
        let admin = admin.transpose()?;
        let address = local(&public, self.server.listen);
        let admin_address = admin.as_ref().map(|listener| local(listener, address));
        let (admin_trigger, admin_drain) = drain();
        let (trigger, drain) = drain();
        let limits = limits(&self.server);
        let mut others = vec![tokio::spawn(warm(self.clerk.clone()))];
        if let Some(listener) = admin {
            let exporter = exporter::install()?;
            others.push(tokio::spawn(upkeep(exporter.clone())));
            let admin = Admin {
                clerk: self.clerk,
                exporter,
                drain: drain.clone(),
            };
            others.push(serve_admin(listener, admin, limits, admin_drain));
        }
        for route in self.pipeline.routes.values() {
            route.target.upstream.watch();
        }
        let gateway = Gateway::new(self.pipeline);
        let listener = Listener {
            name: "public",
            socket: public,
            transport: self.transport,
            limits,
            per_address: self.per_address,
        };
        Ok(Running {
            address,
            admin: admin_address,
            trigger,
            admin_trigger,
            public: tokio::spawn(serve(listener, gateway, drain)),
            tunnels: self.tunnels,
            tunnels_ended: self.tunnels_ended,
            others,
            drain_timeout: self.server.drain_timeout,
        })
    }
}

impl Running {
    /// Serves until `stop`, then drains.
    pub(super) async fn until(self, stop: impl Future<Output = ()>) -> ExitCode {
        stop.await;
        tracing::info!("draining");
        let deadline = Instant::now() + self.drain_timeout;
        self.trigger.begin();
        self.tunnels.end(End::GoingAway);
        drop(self.tunnels);
        let drained = self.public.await;
        let left = deadline.saturating_duration_since(Instant::now());
        self.tunnels_ended.wait(left).await;
        self.admin_trigger.begin();
        for task in self.others {
            task.abort();
        }
        match drained {
            Ok(Drained { .. }) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(%error, "the server ended abnormally");
                ExitCode::FAILURE
            }
        }
    }
}

/// Listens for SIGTERM and SIGINT from now on; the future ends with the first.
pub(super) fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};

    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async move {
        match (terminate, interrupt) {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            // Without handlers, the signals end the process by themselves.
            _ => std::future::pending().await,
        }
    }
}

fn limits(server: &ServerSettings) -> ServeLimits {
    ServeLimits {
        connections: server.max_connections,
        handshake: server.handshake_timeout,
        header_timeout: server.header_read_timeout,
        header_bytes: server.max_header_bytes,
        headers: server.max_headers,
        idle_timeout: server.idle_timeout,
        streams: server.max_streams,
        write_timeout: server.write_timeout,
        drain: server.drain_timeout,
    }
}

/// Fetches the keys before the first request asks for them; failing is no reason not to start.
async fn warm(clerk: Clerk) {
    if let Err(error) = clerk.ready().await {
        tracing::warn!(
            reason = error.reason,
            "not ready yet: requests are answered 503 until the keys can be fetched"
        );
    }
}

async fn upkeep(exporter: Exporter) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        exporter.run_upkeep();
    }
}

fn serve_admin(
    listener: TcpListener,
    admin: Admin,
    limits: ServeLimits,
    drain: Drain,
) -> JoinHandle<()> {
    let service = TowerToHyperService::new(admin.router());
    tokio::spawn(async move {
        serve(Listener::plain("admin", listener, limits), service, drain).await;
    })
}

fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}
