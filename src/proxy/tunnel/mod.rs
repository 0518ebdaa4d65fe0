//! Connections that were upgraded: both sides joined byte for byte, until one ends or they are told to.

#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod pump;
mod websocket;

use std::{future::pending, pin::Pin, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};
use hyper::{
    body::Incoming,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::{sync::watch, time::timeout};

use super::hop_by_hop::tokens;
use crate::{limit::activity::Activity, telemetry::upstreams::OpenUpgrade};
use pump::{Direction, pump};

/// How long the sides of a connection that is told to end may take for it.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a connection is told to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// The process stops.
    GoingAway,
    /// Whoever it was opened for may use it no more.
    NotAllowed,
}

impl End {
    /// The status of a WebSocket's close frame (RFC 6455 §7.4.1).
    fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::NotAllowed => 1008,
        }
    }
}

/// All upgraded connections of the process; clones speak of the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Tunnels {
    end: watch::Sender<Option<End>>,
    open: watch::Sender<usize>,
}

/// Counts one connection until it is dropped.
struct Open(watch::Sender<usize>);

/// Ends when a connection may be used no more.
pub(crate) type Allowance = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request's wish to leave HTTP/1.1, and the client's side of the connection.
pub(super) struct Asked {
    protocol: HeaderValue,
    client: OnUpgrade,
}

impl Tunnels {
    pub(crate) fn new() -> Self {
        Self {
            end: watch::Sender::new(None),
            open: watch::Sender::new(0),
        }
    }

    /// Tells all to end, those that open later included.
    pub(crate) fn end(&self, end: End) {
        self.end.send_replace(Some(end));
    }

    /// Waits until none is left, at most for `limit`.
    pub(crate) async fn ended(&self, limit: Duration) {
        let mut open = self.open.subscribe();
        let _ = timeout(limit, open.wait_for(|open| *open == 0)).await;
    }

    /// Joins both sides, once both have left HTTP, for as long as the allowance lasts.
    pub(super) fn open<L: Send + 'static>(
        &self,
        asked: Asked,
        upstream: OnUpgrade,
        (idle, allowance): (Duration, Option<Allowance>),
        lease: L,
    ) {
        self.open.send_modify(|open| *open += 1);
        let counted = Open(self.open.clone());
        let end = self.told_to_end(allowance);
        let is_websocket = asked.protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
        let held = (counted, lease, OpenUpgrade::new());
        tokio::spawn(async move {
            let _held = held;
            let Ok((client, upstream)) = tokio::try_join!(asked.client, upstream) else {
                return;
            };
            join(client, upstream, Joint { is_websocket, idle }, end).await;
        });
    }

    /// Waits until all are told to end, or what one was allowed by.
    fn told_to_end(
        &self,
        allowance: Option<Allowance>,
    ) -> impl Future<Output = End> + Send + 'static {
        let mut all = self.end.subscribe();
        async move {
            let all = async {
                match all.wait_for(Option::is_some).await.map(|end| *end) {
                    Ok(Some(end)) => end,
                    // Nobody is left who could tell.
                    Ok(None) | Err(_) => pending().await,
                }
            };
            let one = async {
                match allowance {
                    Some(allowance) => allowance.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                end = all => end,
                () = one => End::NotAllowed,
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Asked {
    /// Takes the wish out of a request that has one: HTTP/1.1, no body, one protocol, and not another HTTP.
    pub(super) fn take(parts: &mut Parts) -> Option<Self> {
        let headers = &parts.headers;
        let mut protocols = headers.get_all(UPGRADE).iter();
        let protocol = protocols.next().filter(|_| protocols.next().is_none())?;
        if parts.version != Version::HTTP_11 || has_body(headers) {
            return None;
        }
        // Another HTTP would be a tunnel around every decision.
        let name = protocol.to_str().ok()?.to_ascii_lowercase();
        let is_http = ["h2c", "http", "tls"]
            .iter()
            .any(|known| name.starts_with(known));
        let named = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
        if is_http || !named || name.contains(',') || name.trim().is_empty() {
            return None;
        }
        let protocol = protocol.clone();
        let client = parts.extensions.remove::<OnUpgrade>()?;
        Some(Self { protocol, client })
    }

    /// Puts the wish into a request that goes to an upstream.
    pub(super) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
    }

    /// Tells whether the upstream has agreed to what was asked; `response` has status 101.
    pub(super) fn is_granted(&self, response: &Response<Incoming>) -> bool {
        let granted = response.headers().get(UPGRADE);
        granted.is_some_and(|granted| {
            granted
                .as_bytes()
                .eq_ignore_ascii_case(self.protocol.as_bytes())
        })
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING)
        || length.is_some_and(|length| length.as_bytes() != b"0")
}

/// How two sides are joined.
struct Joint {
    is_websocket: bool,
    idle: Duration,
}

async fn join(
    client: Upgraded,
    upstream: Upgraded,
    joint: Joint,
    told_to_end: impl Future<Output = End>,
) {
    let (client_read, client_write) = tokio::io::split(TokioIo::new(client));
    let (upstream_read, upstream_write) = tokio::io::split(TokioIo::new(upstream));
    let activity = Arc::new(Activity::new(joint.idle));
    let (end, ends) = watch::channel(None);
    let direction = |close: fn(u16) -> Vec<u8>| Direction {
        close: joint.is_websocket.then_some(close),
        end: ends.clone(),
        activity: Arc::clone(&activity),
    };
    let up = direction(|code| websocket::close_to_server(code).to_vec());
    let down = direction(|code| websocket::close_to_client(code).to_vec());
    let both = async {
        tokio::join!(
            pump(client_read, upstream_write, up),
            pump(upstream_read, client_write, down),
        )
    };
    tokio::select! {
        _ = both => {}
        () = async {
            end.send_replace(Some(told_to_end.await));
            tokio::time::sleep(GOODBYE).await;
        } => {}
        () = activity.idled() => {}
    }
}
