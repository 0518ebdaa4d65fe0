//! `clerk-gateway serve`: the gateway.

use std::{
    future::Future,
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::BuildError;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    BAD_USAGE,
    config_args::ConfigArgs,
    runtime::runtime,
    setup::{Reloader, Setup},
};
use crate::{
    config::ServerSettings,
    handle::Clerk,
    limit::connections::PerAddress,
    proxy::{End, Tunnels},
    server::{
        Admin, Decisions, Drain, DrainTrigger, Drained, ExtAuthz, Gateway, ListenError, Listener,
        Reload, ServeLimits, Transport, bind, drain, oversee, serve,
    },
    telemetry::exporter::{self, Exporter},
};

/// Histograms are folded this often.
const UPKEEP: Duration = Duration::from_secs(5);
/// What is kept for listeners, logs, and the connections to Clerk and Redis.
const OWN_DESCRIPTORS: usize = 32;

/// A Redis that does not answer holds a start up for so long.
const CATCHING_UP: Duration = Duration::from_secs(2);

/// Runs the gateway until SIGTERM or SIGINT.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
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
    decisions: Vec<JoinHandle<Drained>>,
    tunnels: Tunnels,
    others: Vec<JoinHandle<()>>,
    drain_timeout: Duration,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let setup = match args.config.load().and_then(|loaded| Setup::new(&loaded)) {
        Ok(setup) => setup,
        Err(status) => return status,
    };
    raise_descriptors(&setup.server);
    let runtime = match runtime(setup.server.workers) {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    runtime.block_on(async {
        let stop = stop_signal();
        match start(setup, Some(args.config.clone())) {
            Ok(running) => running.until(stop).await,
            Err(error) => error.report(),
        }
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

/// Asks for all the file descriptors that the process may have: shells give 1,024.
fn raise_descriptors(server: &ServerSettings) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "the limit of file descriptors cannot be raised"),
    }
    let connections = affordable(server.max_connections);
    if connections < server.max_connections {
        tracing::warn!(
            config.key = "server.max_connections",
            connections,
            "the file descriptors that the process may have suffice for fewer connections"
        );
    }
}

/// Returns how many of so many connections there are descriptors for: with a request, each takes one to its upstream too.
fn affordable(connections: usize) -> usize {
    let Ok((descriptors, _)) = rlimit::Resource::NOFILE.get() else {
        return connections;
    };
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let pairs = descriptors.saturating_sub(OWN_DESCRIPTORS) / 2;
    connections.min(pairs.max(1))
}

/// Binds every address, then serves; `args` say what is read again when the configuration changes.
pub(super) fn start(setup: Setup, args: Option<ConfigArgs>) -> Result<Running, StartError> {
    let server = setup.server.clone();
    // The admin port first: who finds the public one open finds both.
    let admin = server.admin.map(|address| bind("server.admin", address));
    let admin = admin.transpose()?;
    let decisions = setup.decision.listen;
    let decisions = decisions.map(|address| bind("decision.listen", address));
    let decisions = decisions.transpose()?;
    let grpc = setup.decision.grpc;
    let grpc = grpc.map(|address| bind("decision.grpc", address));
    let grpc = grpc.transpose()?;
    let public = bind("server.listen", server.listen)?;
    let address = local(&public, server.listen);
    let admin_address = admin.as_ref().map(|listener| local(listener, address));
    let (admin_trigger, admin_drain) = drain();
    let (trigger, drain) = drain();
    let (gateway, tunnels) = (setup.gateway.clone(), setup.tunnels.clone());
    let current = gateway.current();
    for upstream in &current.upstreams {
        upstream.watch();
    }
    let proxies = current.pipeline.trusted_proxies.clone();
    let listener = Listener {
        name: "public",
        socket: public,
        transport: setup.transport.clone(),
        limits: limits(&server),
        per_address: PerAddress::new(server.max_connections_per_address, proxies),
    };
    let mut others = vec![
        tokio::spawn(warm(current.clerk.clone())),
        tokio::spawn(oversee(gateway.clone())),
    ];
    others.extend(share(&setup));
    let decisions = decisions.map(|socket| {
        let listener = Listener::plain("decision", socket, limits(&server));
        let serving = serve(listener, Decisions::new(gateway.clone()), drain.clone());
        tokio::spawn(once_caught_up(gateway.clone(), serving))
    });
    let grpc = grpc.map(|socket| {
        let listener = Listener::h2c("decision-grpc", socket, limits(&server));
        let service = ExtAuthz::new(gateway.clone(), server.body_idle_timeout);
        let serving = serve(listener, service, drain.clone());
        tokio::spawn(once_caught_up(gateway.clone(), serving))
    });
    let transport = setup.transport.clone();
    let reload = reload(setup, args, &mut others);
    if let Some(listener) = admin {
        let exporter = exporter::install()?;
        if let Transport::Tls(tls) = &transport {
            tls.show_expiries();
        }
        others.push(tokio::spawn(upkeep(exporter.clone())));
        let admin = Admin {
            gateway: gateway.clone(),
            exporter,
            drain: drain.clone(),
            reload,
            token: server.admin_token.clone(),
        };
        others.push(serve_admin(listener, admin, limits(&server), admin_drain));
    }
    Ok(Running {
        address,
        admin: admin_address,
        trigger,
        admin_trigger,
        public: tokio::spawn(once_caught_up(
            gateway.clone(),
            serve(listener, gateway, drain),
        )),
        decisions: decisions.into_iter().chain(grpc).collect(),
        tunnels,
        others,
        drain_timeout: server.drain_timeout,
    })
}

/// Serves once this replica knows what the others have revoked, so that a restart passes nobody who was refused.
async fn once_caught_up(gateway: Gateway, serving: impl Future<Output = Drained>) -> Drained {
    let clerk = gateway.current().clerk.clone();
    clerk.revocations().caught_up(CATCHING_UP).await;
    serving.await
}

/// Begins to share with other replicas, where anything is shared.
#[cfg(feature = "redis")]
fn share(setup: &Setup) -> Option<JoinHandle<()>> {
    let shared = Arc::clone(setup.shared.as_ref()?);
    let clerk = setup.gateway.current().clerk.clone();
    // Before anybody waits for what the others know.
    clerk.revocations().share();
    Some(tokio::spawn(async move {
        shared.run(clerk.revocations(), clerk.clock()).await;
    }))
}

#[cfg(not(feature = "redis"))]
fn share(setup: &Setup) -> Option<JoinHandle<()>> {
    match *setup.shared.as_deref()? {}
}

/// Returns what reloads, after seeing to SIGHUP and to changes of the files.
fn reload(setup: Setup, args: Option<ConfigArgs>, others: &mut Vec<JoinHandle<()>>) -> Reload {
    let Some(args) = args else {
        return Arc::new(|| Err("this configuration is built in".to_owned()));
    };
    let interval = setup.server.watch_interval;
    let reloader = Arc::new(setup.reloader(args));
    others.push(tokio::spawn(on_hang_up(Arc::clone(&reloader))));
    if !interval.is_zero() {
        others.push(tokio::spawn(on_change(Arc::clone(&reloader), interval)));
    }
    Arc::new(move || reloader.reload())
}

async fn on_hang_up(reloader: Arc<Reloader>) {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut hang_up) = signal(SignalKind::hangup()) else {
        return;
    };
    while hang_up.recv().await.is_some() {
        let reloader = Arc::clone(&reloader);
        let _ = spawn_blocking(move || reloader.reload()).await;
    }
}

async fn on_change(reloader: Arc<Reloader>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        let reloader = Arc::clone(&reloader);
        let look = move || reloader.is_due().then(|| reloader.reload());
        let _ = spawn_blocking(look).await;
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
        let drained = self.public.await;
        for listener in self.decisions {
            if let Err(error) = listener.await {
                tracing::error!(%error, "a decision listener ended abnormally");
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        self.tunnels.ended(left).await;
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
        connections: affordable(server.max_connections),
        handshake: server.handshake_timeout,
        header_timeout: server.header_read_timeout,
        header_bytes: server.max_header_bytes,
        headers: server.max_headers,
        idle_timeout: server.idle_timeout,
        rest: ServeLimits::default().rest,
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
