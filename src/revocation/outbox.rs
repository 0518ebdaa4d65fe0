//! What was revoked here and the other replicas are yet to be told.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{Revocation, Revocations};
use crate::time::Timestamp;

/// The revocations that wait to be told, in their order; it is bounded by their retention alone.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    added: Notify,
    state: watch::Sender<State>,
}

/// A revocation, and when it became known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) revocation: Revocation,
    pub(crate) at: Timestamp,
}

/// The other replicas cannot be told just now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the other replicas cannot be told just now")]
pub(crate) struct NotTold;

#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<Recorded>,
    /// How many have left the queue's front.
    left: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// `None`: that has not been tried yet.
    connected: Option<bool>,
    left: u64,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            added: Notify::new(),
            state: watch::Sender::default(),
        }
    }

    /// Adds revocations to be told.
    pub(crate) fn push(&self, recorded: impl IntoIterator<Item = Recorded>) {
        self.waiting().queue.extend(recorded);
        self.added.notify_one();
    }

    /// Forgets what need not be told any more: what became known before `time`.
    pub(super) fn drop_older(&self, time: Timestamp) {
        let mut waiting = self.waiting();
        while waiting.queue.front().is_some_and(|first| first.at < time) {
            waiting.queue.pop_front();
            waiting.left += 1;
        }
    }

    /// Returns the oldest that wait, `most` at a time, as soon as there are any; they wait on until
    /// [`Outbox::told`].
    pub(crate) async fn next(&self, most: usize) -> Batch {
        loop {
            let added = self.added.notified();
            let batch = self.waiting().first(most);
            if !batch.recorded.is_empty() {
                return batch;
            }
            added.await;
        }
    }

    /// Notes that these have been told.
    pub(crate) fn told(&self, batch: &Batch) {
        let mut waiting = self.waiting();
        while waiting.left < batch.end() && waiting.queue.pop_front().is_some() {
            waiting.left += 1;
        }
        let left = waiting.left;
        drop(waiting);
        self.state.send_modify(|state| state.left = left);
    }

    /// Notes whether the others can be told just now.
    pub(crate) fn set_connected(&self, connected: bool) {
        self.state
            .send_modify(|state| state.connected = Some(connected));
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state.borrow().connected == Some(true)
    }

    /// Waits until all that waits now has been told.
    async fn settled(&self, bound: Duration) -> Result<(), NotTold> {
        let end = {
            let waiting = self.waiting();
            waiting.left + waiting.queue.len() as u64
        };
        let mut state = self.state.subscribe();
        let over = state.wait_for(|state| state.left >= end || state.connected != Some(true));
        match timeout(bound, over).await {
            Ok(Ok(state)) if state.left >= end => Ok(()),
            _ => Err(NotTold),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Revocations {
    /// Waits until the other replicas have been told of all that was recorded so far.
    ///
    /// # Errors
    ///
    /// [`NotTold`] where that takes longer than `bound`, and at once where they cannot be told; they will be later.
    pub(crate) async fn settled(&self, bound: Duration) -> Result<(), NotTold> {
        match self.outbox.get() {
            Some(outbox) => outbox.settled(bound).await,
            None => Ok(()),
        }
    }

    /// Waits until this replica knows what the others have recorded, or has found that it cannot come to know it now.
    pub(crate) async fn caught_up(&self, bound: Duration) {
        if let Some(outbox) = self.outbox.get() {
            let mut state = outbox.state.subscribe();
            let _ = timeout(bound, state.wait_for(|state| state.connected.is_some())).await;
        }
    }

    /// Tells whether the other replicas can be told; `None` where there are none.
    pub(crate) fn is_connected(&self) -> Option<bool> {
        self.outbox.get().map(|outbox| outbox.is_connected())
    }
}

/// Some of those that wait.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) recorded: Vec<Recorded>,
    begin: u64,
}

impl Batch {
    fn end(&self) -> u64 {
        self.begin + self.recorded.len() as u64
    }
}

impl Waiting {
    fn first(&self, most: usize) -> Batch {
        Batch {
            recorded: self.queue.iter().take(most).cloned().collect(),
            begin: self.left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::SessionEnd;

    const BOUND: Duration = Duration::from_secs(1);

    fn recorded(id: &str, secs: i64) -> Recorded {
        Recorded {
            revocation: Revocation::Session {
                id: id.to_owned(),
                end: SessionEnd::Revoked,
            },
            at: Timestamp::from_secs(secs),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_told_waits_on() {
        let outbox = Outbox::new();
        outbox.set_connected(true);
        outbox.push([recorded("a", 1), recorded("b", 2), recorded("c", 3)]);
        let batch = outbox.next(2).await;
        assert_eq!(batch.recorded, [recorded("a", 1), recorded("b", 2)]);
        assert_eq!(outbox.next(1).await.recorded, [recorded("a", 1)]);
        outbox.told(&batch);
        assert_eq!(outbox.settled(BOUND).await, Err(NotTold));
        outbox.told(&outbox.next(9).await);
        assert_eq!(outbox.settled(BOUND).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_hears_at_once_that_nobody_can_be_told() {
        let outbox = Outbox::new();
        assert_eq!(outbox.settled(BOUND).await, Ok(()));
        outbox.push([recorded("a", 1)]);
        let begun = tokio::time::Instant::now();
        assert_eq!(outbox.settled(BOUND).await, Err(NotTold));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_is_past_its_time_while_it_is_being_told_takes_nothing_else_along() {
        let outbox = Outbox::new();
        outbox.push([recorded("a", 1), recorded("b", 2)]);
        let batch = outbox.next(1).await;
        outbox.drop_older(Timestamp::from_secs(2));
        outbox.told(&batch);
        assert_eq!(outbox.next(9).await.recorded, [recorded("b", 2)]);
    }
}
