//! Ends the streams whose sessions are over: at once where a revocation says so, else as Clerk is asked.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::error::{RecvError, TryRecvError},
    task::JoinSet,
    time::{interval, sleep},
};

use super::gateway::{Current, Gateway};
use crate::{
    clerk::{budget::Priority, outage::Outage},
    stream::DueCheck,
    verify::VerifyError,
};

/// Two rounds of judgements are this far apart: each looks at every stream.
const ROUND: Duration = Duration::from_millis(50);
/// How often streams are looked at whose time may have come.
const TICK: Duration = Duration::from_secs(1);
/// So many sessions are asked about at a time: requests need Clerk's answers more than streams do.
const ASKED_AT_A_TIME: usize = 4;

/// Oversees the streams of the process; ends with it.
pub(crate) async fn oversee(gateway: Gateway) {
    tokio::join!(judge(&gateway), ask(&gateway));
}

/// Judges all streams whenever something is revoked, or one may have been missed.
async fn judge(gateway: &Gateway) {
    let current = gateway.current();
    let streams = current.streams.clone();
    let mut news = current.clerk.revocations().subscribe();
    loop {
        tokio::select! {
            heard = news.recv() => if let Err(RecvError::Closed) = heard { return },
            () = streams.missed() => {}
        }
        // All that is known by now is judged in one round.
        while let Ok(_) | Err(TryRecvError::Lagged(_)) = news.try_recv() {}
        let clerk = gateway.current().clerk.clone();
        let ended = streams.judge(|session| clerk.judge(session).err().map(|error| error.slug()));
        if ended > 0 {
            tracing::info!(streams = ended, "streams ended: their sessions are revoked");
        }
        sleep(ROUND).await;
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
