//! Ends a server gently: nothing new, what runs may finish, and a deadline.

use std::time::Duration;

use tokio::{sync::watch, task::JoinSet, time::timeout};

/// Begins the drain of every server that holds its [`Drain`].
#[derive(Debug)]
pub(crate) struct DrainTrigger(watch::Sender<bool>);

/// Tells when to drain; clones hear the same trigger.
#[derive(Clone, Debug)]
pub(crate) struct Drain(watch::Receiver<bool>);

/// How a drain ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Drained {
    /// How many connections were cut at the deadline.
    pub(crate) cut: usize,
}

/// Returns a trigger and what hears it.
pub(crate) fn drain() -> (DrainTrigger, Drain) {
    let (trigger, drain) = watch::channel(false);
    (DrainTrigger(trigger), Drain(drain))
}

impl DrainTrigger {
    /// Begins the drain; again is no more than once.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Drain {
    /// Waits for the trigger; one that is dropped counts as pulled.
    pub(crate) async fn begun(&mut self) {
        let _ = self.0.wait_for(|begun| *begun).await;
    }

    /// Tells whether the drain has begun.
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}

/// Lets connections finish what they are at, and cuts those that have not by the deadline.
pub(super) async fn finish(mut connections: JoinSet<()>, deadline: Duration) -> Drained {
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(deadline, all).await;
    let cut = connections.len();
    connections.shutdown().await;
    if cut > 0 {
        tracing::warn!(server.cut = cut, "connections cut at the drain's deadline");
    }
    Drained { cut }
}
