//! Exchanges that run on after their request was decided: each ends when its session does.
//!
//! An exchange is watched from the moment at which it proves to take its time; a body that comes at once costs
//! nothing. Whoever oversees the streams ([`Streams::judge`], [`Streams::due`]) ends those whose session is over.
//! None is missed in between: a [`Ticket`] remembers the round of judgements before it, and where another has
//! passed by the time it is watched, the next one is asked for at once.

mod body;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};

use crate::{
    session::{Proof, Session},
    telemetry::streams,
    time::Timestamp,
};
pub(crate) use body::{Ending, Watched};

/// The reason slug of a stream whose session nobody asks Clerk about, and which has lived for long enough.
pub(crate) const TOO_OLD: &str = "stream-too-old";

/// All running streams of the process; clones speak of the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    running: Mutex<Running>,
    /// How many rounds of judgements were begun.
    round: AtomicU64,
    /// Wakes who judges, out of turn.
    missed: Notify,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    streams: HashMap<u64, Stream>,
}

#[derive(Debug)]
struct Stream {
    session: Session,
    /// When whoever oversees them has seen it first.
    since: Option<Timestamp>,
    /// When its session was last found good.
    checked: Option<Timestamp>,
    end: watch::Sender<Option<&'static str>>,
}

/// How long streams live at most, and how often their sessions are asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct StreamLimits {
    /// Of a stream whose session's token alone was verified.
    pub(crate) max_age: Duration,
    /// Between two looks at the session of any other stream; twice that while Clerk's budget is scarce.
    pub(crate) check: Duration,
}

/// A session that is to be asked about, because of its streams.
#[derive(Clone, Debug)]
pub(crate) struct DueCheck {
    pub(crate) session: Session,
    /// It has been left out for another interval: now it is as urgent as a request.
    pub(crate) overdue: bool,
}

/// A session's right to stream, which costs next to nothing until it is made use of.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    streams: Streams,
    session: Session,
    round: u64,
}

/// A stream that is watched until this is dropped.
#[derive(Debug)]
struct Watch {
    streams: Streams,
    id: u64,
    end: watch::Receiver<Option<&'static str>>,
}

impl Streams {
    /// Returns the ticket of a session that was found good just now; it is to be judged once more after this.
    pub(crate) fn ticket(&self, session: Session) -> Ticket {
        Ticket {
            round: self.0.round.load(Ordering::SeqCst),
            streams: self.clone(),
            session,
        }
    }

    /// Ends the streams that the judgement gives a reason for, and returns how many.
    pub(crate) fn judge(&self, judgement: impl Fn(&Session) -> Option<&'static str>) -> usize {
        self.0.round.fetch_add(1, Ordering::SeqCst);
        // Judging takes longer than anybody should wait who begins a stream.
        let running: Vec<_> = self
            .running()
            .streams
            .iter()
            .map(|(id, stream)| (*id, stream.session.clone()))
            .collect();
        let judged = running.iter().map(|(id, session)| (id, judgement(session)));
        let mut ended = 0;
        for (id, reason) in judged {
            if let (Some(reason), Some(stream)) = (reason, self.running().streams.get(id)) {
                ended += usize::from(stream.end(reason));
            }
        }
        ended
    }

    /// Waits until a stream has begun that the last judgement may have missed.
    pub(crate) async fn missed(&self) {
        self.0.missed.notified().await;
    }

    /// Ends what is too old, and returns each session that is to be asked about, once.
    ///
    /// With `asks` unset nothing can be asked, and age bounds them all.
    pub(crate) fn due(&self, now: Timestamp, limits: StreamLimits, asks: bool) -> Vec<DueCheck> {
        let mut due: BTreeMap<String, DueCheck> = BTreeMap::new();
        for stream in self.running().streams.values_mut() {
            let since = *stream.since.get_or_insert(now);
            if !asks || stream.session.proof() == Proof::Networkless {
                if since.plus(limits.max_age) <= now {
                    stream.end(TOO_OLD);
                }
                continue;
            }
            let unchecked = now.since(stream.checked.unwrap_or(since));
            if unchecked < limits.check {
                continue;
            }
            let id = stream.session.id().to_owned();
            let check = due.entry(id).or_insert_with(|| DueCheck {
                session: stream.session.clone(),
                overdue: false,
            });
            check.overdue |= unchecked >= 2 * limits.check;
        }
        due.into_values().collect()
    }

    /// Notes what was said of a session at `now`: good, or over for a reason.
    pub(crate) fn checked(&self, session_id: &str, now: Timestamp, over: Option<&'static str>) {
        let mut running = self.running();
        let streams = running.streams.values_mut();
        for stream in streams.filter(|stream| stream.session.id() == session_id) {
            match over {
                None => stream.checked = Some(now),
                Some(_) if stream.session.proof() == Proof::Networkless => {}
                Some(reason) => drop(stream.end(reason)),
            }
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        let running = &self.0.running;
        running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// Tells whether it had not been ended before.
    fn end(&self, reason: &'static str) -> bool {
        let is_first = self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert(reason);
            is_first
        });
        if is_first {
            streams::ended(reason);
        }
        is_first
    }
}

impl Ticket {
    /// Returns the session.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Waits until the session is over, watching it for as long as the future lives.
    pub(crate) fn ended(self) -> impl Future<Output = &'static str> + Send + 'static {
        let mut watch = self.watch();
        async move { watch.ended().await }
    }

    fn watch(&self) -> Watch {
        let (sender, end) = watch::channel(None);
        let stream = Stream {
            session: self.session.clone(),
            since: None,
            checked: None,
            end: sender,
        };
        let shared = &self.streams.0;
        let id = {
            let mut running = self.streams.running();
            let id = running.next;
            running.next += 1;
            running.streams.insert(id, stream);
            id
        };
        streams::began();
        if shared.round.load(Ordering::SeqCst) != self.round {
            shared.missed.notify_one();
        }
        Watch {
            streams: self.streams.clone(),
            id,
            end,
        }
    }
}

impl Watch {
    async fn ended(&mut self) -> &'static str {
        match self.end.wait_for(Option::is_some).await.map(|end| *end) {
            Ok(Some(reason)) => reason,
            // The sender lives in the table, which this keeps.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.streams.running().streams.remove(&self.id);
        streams::left();
    }
}

#[cfg(test)]
mod tests;
