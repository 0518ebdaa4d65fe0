//! The accept loop, and what a listener's connections may take.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use super::{
    connection::{Connections, Transport},
    drain::{Drain, Drained, finish},
};
use crate::{
    limit::{
        connections::PerAddress,
        places::{Place, Places, Taken},
    },
    request::TrustedProxies,
    telemetry::traffic::{self, OpenConnection},
};

/// How long the loop rests where the process is out of file descriptors or memory; doubled up to the second.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How long those who were asked to make room have for it before others are.
const MAKING_ROOM: Duration = Duration::from_millis(100);

/// What a listener's connections may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServeLimits {
    /// Open connections; for further ones those without a request make room, or they wait in the kernel.
    pub(crate) connections: usize,
    /// How long TLS, or telling HTTP/1 from HTTP/2, may take.
    pub(crate) handshake: Duration,
    /// How long a request's head may take, from its first byte on.
    pub(crate) header_timeout: Duration,
    /// A request's head with its start line, in bytes, at least 8,192; also the bound of its trailers.
    pub(crate) header_bytes: usize,
    /// How many header lines a request may have.
    pub(crate) headers: usize,
    /// How long an HTTP/1 connection may idle between requests.
    pub(crate) idle_timeout: Duration,
    /// How long an HTTP/1 connection has nothing to do before its buffers are given up.
    pub(crate) rest: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub(crate) streams: u32,
    /// How long a client may take no byte of an answer.
    pub(crate) write_timeout: Duration,
    /// How long a drain waits for what runs.
    pub(crate) drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            handshake: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            header_bytes: 64 * 1024,
            headers: 100,
            // Above the 60 s for which common load balancers keep connections, so that they close first.
            idle_timeout: Duration::from_secs(75),
            // To take them up again takes some microseconds.
            rest: Duration::from_millis(500),
            streams: 100,
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}

/// A bound socket, and what its connections speak and may take.
pub(crate) struct Listener {
    /// What its connections are counted as.
    pub(crate) name: &'static str,
    pub(crate) socket: TcpListener,
    pub(crate) transport: Transport,
    pub(crate) limits: ServeLimits,
    pub(crate) per_address: PerAddress,
}

impl Listener {
    /// Takes a socket whose connections speak plain HTTP/1.1 and are not counted by address.
    pub(crate) fn plain(name: &'static str, socket: TcpListener, limits: ServeLimits) -> Self {
        Self {
            name,
            socket,
            transport: Transport::Plain,
            limits,
            per_address: PerAddress::new(0, TrustedProxies::default()),
        }
    }

    /// Takes a socket whose connections speak HTTP/2 at once and are not counted by address.
    pub(crate) fn h2c(name: &'static str, socket: TcpListener, limits: ServeLimits) -> Self {
        Self {
            transport: Transport::H2c,
            ..Self::plain(name, socket, limits)
        }
    }
}

/// Serves a listener's connections until `drain` begins, then lets them finish within the limit.
pub(crate) async fn serve<S, B>(listener: Listener, service: S, mut drain: Drain) -> Drained
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Listener {
        name,
        socket,
        transport,
        limits,
        per_address,
    } = listener;
    let served = Arc::new(Connections::new(service, transport, limits, drain.clone()));
    let room = Room {
        permits: Arc::new(Semaphore::new(limits.connections)),
        places: Places::default(),
    };
    let mut connections = JoinSet::new();
    let mut rest = FIRST_REST;
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.begun() => break,
            Some(ended) = connections.join_next() => {
                log_panic(ended);
                continue;
            }
            accepted = accept(&socket) => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                rest = recover(&error, rest, &room.places).await;
                continue;
            }
        };
        rest = FIRST_REST;
        let Ok(counted) = per_address.admit(peer.ip()) else {
            traffic::closed("address-limit");
            continue;
        };
        // Nobody else is accepted meanwhile: who cannot be served yet stays in the kernel's queue.
        let entered = tokio::select! {
            biased;
            () = drain.begun() => break,
            entered = room.enter() => entered,
        };
        let served = Arc::clone(&served);
        connections.spawn(async move {
            let _open = OpenConnection::new(name);
            served.serve(stream, peer, entered.place.clone()).await;
            drop((entered, counted));
        });
    }
    drop(socket);
    finish(connections, limits.drain).await
}

async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

/// What a listener's connections share.
struct Room {
    permits: Arc<Semaphore>,
    places: Places,
}

/// A connection that is served until this is dropped.
struct Entered {
    place: Place,
    _taken: Taken,
    /// `None`: the semaphore was closed, which nobody does.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Waits until there is a place, for which others are asked to leave.
    async fn enter(&self) -> Entered {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => self.wait().await,
        };
        let (place, taken) = self.places.take();
        Entered {
            place,
            _taken: taken,
            _permit: permit,
        }
    }

    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        traffic::limit_reached("connections");
        loop {
            self.places.make_room();
            let permit = Arc::clone(&self.permits).acquire_owned();
            if let Ok(permit) = timeout(MAKING_ROOM, permit).await {
                return permit.ok();
            }
        }
    }
}

/// Rests where the process lacks something, and goes on at once where only one connection failed.
async fn recover(error: &io::Error, rest: Duration, places: &Places) -> Duration {
    let of_one_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    );
    if of_one_connection {
        tracing::debug!(error = %error, "a connection failed before it was accepted");
        return FIRST_REST;
    }
    traffic::closed("accept-failed");
    places.make_room();
    tracing::warn!(error = %error, "connections cannot be accepted");
    sleep(rest).await;
    (rest * 2).min(LONGEST_REST)
}

fn log_panic(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection's task panicked");
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod hostile_tests;
