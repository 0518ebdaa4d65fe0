//! The connections to one origin that are kept between requests.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use super::body::OutgoingBody;

/// An HTTP/1.1 connection: one exchange at a time.
pub(super) type Http1 = http1::SendRequest<OutgoingBody>;
/// An HTTP/2 connection: each clone may carry exchanges beside the others'.
pub(super) type Http2 = http2::SendRequest<OutgoingBody>;

/// The connections to one origin that are kept between requests.
///
/// None is kept for longer than `keep_alive` after its last request began or, with HTTP/1.1, ended. Their number has
/// no bound of its own: there are as many as there were requests at once.
#[derive(Debug)]
pub(super) struct Pool {
    keep_alive: Duration,
    kept: Mutex<Kept>,
    /// Whether the origin was last found to speak HTTP/2: one connection then serves all.
    pub(super) is_shared: AtomicBool,
    /// Held by whoever opens the connection that all are to share.
    pub(super) opening: tokio::sync::Mutex<()>,
    /// How often that has failed.
    pub(super) failures: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// The last used at the end and the first to be used again, so that no more are kept than are needed.
    idle: VecDeque<(Http1, Instant)>,
    shared: Option<(Http2, Instant)>,
    is_swept: bool,
}

/// A kept connection.
pub(super) enum Connection {
    Http1(Http1),
    Http2(Http2),
}

impl Pool {
    pub(super) fn new(keep_alive: Duration) -> Self {
        Self {
            keep_alive,
            kept: Mutex::default(),
            is_shared: AtomicBool::new(false),
            opening: tokio::sync::Mutex::default(),
            failures: AtomicU64::new(0),
        }
    }

    /// Takes an HTTP/1.1 connection out, or a share in the HTTP/2 one.
    pub(super) fn take(&self, now: Instant) -> Option<Connection> {
        let mut kept = self.kept();
        if let Some((shared, since)) = &mut kept.shared
            && !shared.is_closed()
            && self.is_fresh(*since, now)
        {
            *since = now;
            return Some(Connection::Http2(shared.clone()));
        }
        kept.shared = None;
        while let Some((idle, since)) = kept.idle.pop_back() {
            if idle.is_ready() && self.is_fresh(since, now) {
                return Some(Connection::Http1(idle));
            }
        }
        None
    }

    /// Keeps an HTTP/1.1 connection for the next request, as soon as nothing of its last one is under way.
    pub(super) fn keep(self: &Arc<Self>, mut connection: Http1) {
        if connection.is_ready() {
            return self.keep_ready(connection);
        }
        if connection.is_closed() {
            return;
        }
        let pool = Arc::clone(self);
        spawn(async move {
            if connection.ready().await.is_ok() {
                pool.keep_ready(connection);
            }
        });
    }

    fn keep_ready(self: &Arc<Self>, connection: Http1) {
        let mut kept = self.kept();
        kept.idle.push_back((connection, Instant::now()));
        self.sweep_on(&mut kept);
    }

    /// Keeps an HTTP/2 connection, in place of the one that was kept.
    pub(super) fn share(self: &Arc<Self>, connection: Http2) {
        let mut kept = self.kept();
        kept.shared = Some((connection, Instant::now()));
        self.sweep_on(&mut kept);
    }

    fn sweep_on(self: &Arc<Self>, kept: &mut Kept) {
        if !kept.is_swept {
            kept.is_swept = spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Ends what has been kept for too long; returns when the next will have been.
    fn sweep(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut kept = self.kept();
        while let Some((_, since)) = kept.idle.front()
            && !self.is_fresh(*since, now)
        {
            kept.idle.pop_front();
        }
        kept.shared
            .take_if(|(_, since)| !self.is_fresh(*since, now));
        let idle = kept.idle.front().map(|(_, since)| *since);
        let shared = kept.shared.as_ref().map(|(_, since)| *since);
        let oldest = idle.into_iter().chain(shared).min();
        kept.is_swept = oldest.is_some();
        oldest.map(|since| since + self.keep_alive)
    }

    fn is_fresh(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) < self.keep_alive
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sweeps a pool until nothing is kept in it.
async fn sweep(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.sweep()) {
        sleep_until(next).await;
    }
}

/// Runs beside the request; `false` where the runtime has ended, and then nothing is to be kept anyway.
fn spawn(future: impl Future<Output = ()> + Send + 'static) -> bool {
    let runtime = Handle::try_current();
    runtime.map(|runtime| runtime.spawn(future)).is_ok()
}
