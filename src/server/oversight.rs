//! What follows from a session's end beside its refusal: its streams end, and what is cached of it goes.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::{
        Receiver,
        error::{RecvError, TryRecvError},
    },
    task::{JoinSet, spawn_blocking},
    time::{interval, sleep},
};

use super::gateway::{Current, Gateway};
use crate::{
    clerk::{budget::Priority, outage::Outage},
    revocation::Revocation,
    stream::DueCheck,
    verify::VerifyError,
};

/// Two rounds of judgements are this far apart: each looks at every stream.
const ROUND: Duration = Duration::from_millis(50);
/// What is cached of revoked sessions is dropped this often at most.
const FORGETTING: Duration = Duration::from_secs(1);
/// How often streams are looked at whose time may have come.
const TICK: Duration = Duration::from_secs(1);
/// So many sessions are asked about at a time: requests need Clerk's answers more than streams do.
const ASKED_AT_A_TIME: usize = 4;

/// Oversees the streams and the caches of the process; ends with it.
pub(crate) async fn oversee(gateway: Gateway) {
    tokio::join!(judge(&gateway), ask(&gateway), forget(&gateway));
}

/// Judges all streams whenever something is revoked, or one may have been missed.
async fn judge(gateway: &Gateway) {
    let current = gateway.current();
    let streams = current.streams.clone();
    let mut news = current.clerk.revocations().subscribe();
    loop {
        tokio::select! {
            known = hear(&mut news) => if known.is_none() { return },
            () = streams.missed() => {}
        }
        let clerk = gateway.current().clerk.clone();
        let ended = streams.judge(|session| clerk.judge(session).err().map(|error| error.slug()));
        if ended > 0 {
            tracing::info!(streams = ended, "streams ended: their sessions are revoked");
        }
        sleep(ROUND).await;
    }
}

/// Waits for a revocation, and for all that is known by then: one round is enough for them. `None`: none will come.
async fn hear(news: &mut Receiver<Revocation>) -> Option<()> {
    if let Err(RecvError::Closed) = news.recv().await {
        return None;
    }
    while let Ok(_) | Err(TryRecvError::Lagged(_)) = news.try_recv() {}
    Some(())
}

/// Drops what is cached of what was revoked: it is refused already, but it holds memory and secrets.
async fn forget(gateway: &Gateway) {
    let mut news = gateway.current().clerk.revocations().subscribe();
    while hear(&mut news).await.is_some() {
        let clerk = gateway.current().clerk.clone();
        let _ = spawn_blocking(move || clerk.drop_revoked()).await;
        sleep(FORGETTING).await;
    }
}

/// Asks about the sessions of streams, each as often as the configuration says.
async fn ask(gateway: &Gateway) {
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
        let current = gateway.current();
        let (now, limits) = (current.clerk.clock().now(), current.stream_limits);
        let due = current.streams.due(now, limits, current.clerk.can_ask());
        let mut asking = JoinSet::new();
        for check in due {
            if asking.len() == ASKED_AT_A_TIME {
                asking.join_next().await;
            }
            asking.spawn(ask_about(Arc::clone(&current), check));
        }
        while asking.join_next().await.is_some() {}
    }
}

async fn ask_about(current: Arc<Current>, check: DueCheck) {
    let DueCheck { session, overdue } = check;
    let priority = match overdue {
        true => Priority::Request,
        false => Priority::Stream,
    };
    let checked = current.clerk.check(&session, priority).await;
    if let Err(VerifyError::Outage(Outage::RateLimited(_))) = checked
        && !overdue
    {
        // Its turn comes while it is due, or else when it is overdue.
        return;
    }
    let over = checked.err().map(|error| error.slug());
    if let Some(reason) = over {
        tracing::info!(
            clerk.reason = reason,
            "streams ended: their session is over"
        );
    }
    let now = current.clerk.clock().now();
    current.streams.checked(session.id(), now, over);
}
