//! How the replicas of a fleet count their calls of Clerk together: the part of it that needs no Redis.
//!
//! They keep one [`Ledger`] in a shared place. A replica that wants calls writes down a [`Draft`], the ledger with
//! these calls in it, and has it put in the place of the one that it has seen, if that is still there; else it looks
//! at the new one and tries again. So no call is made that the others do not know of, and nobody holds a lock.
//!
//! It is alone where that place cannot be used or is not to be trusted. Then it keeps to its part of what is left,
//! and tells the others of its calls when it can. It reckons with the whole again a while later, when they have told
//! of theirs too.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

use super::{
    books::{Books, State},
    ledger::Ledger,
};
use crate::time::Timestamp;

/// Whoever asks for a call waits so long for the answer: more than twice what the shared place may take for one.
const PATIENCE: Duration = Duration::from_millis(250);
/// After a moment without the shared place the other replicas, which look every second, have told of their calls by then.
const SETTLING: Duration = Duration::from_secs(2);
/// The shared clock may run so far from where it is expected.
const STEADY: u64 = 500;

/// Whether there is room for a call, and else when there may be.
pub(super) type Verdict = Result<(), Duration>;

/// What a replica knows of its fleet.
#[derive(Default)]
pub(super) struct Fleet {
    is_together: bool,
    /// For how long it stays alone after it has next agreed with the others.
    settling: Duration,
    /// Until when it stays alone, in the shared clock's time.
    alone_until: Option<Timestamp>,
    asks: Vec<Ask>,
    clock: SharedClock,
}

/// How far the shared clock is ahead of ours, in milliseconds.
#[derive(Default)]
struct SharedClock {
    ahead: Option<i64>,
    /// What was seen last, if it was something else: seen twice, it is believed.
    strange: Option<i64>,
}

/// One who asks for a call.
pub(crate) struct Ask {
    /// As long as fewer calls than these count.
    most: u64,
    answer: oneshot::Sender<Verdict>,
}

/// What a replica wants to be in the shared place.
pub(crate) struct Draft {
    pub(crate) ledger: Ledger,
    told: Ledger,
    verdicts: Vec<Verdict>,
}

/// What is in the shared place cannot be reckoned with for now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Doubt {
    /// Its clock has jumped.
    Clock,
    /// It lacks calls that were in it.
    Lost,
}

impl Books {
    /// Begins the books of a replica that has others.
    pub(crate) fn shared() -> Self {
        let books = Self::default();
        books.open().fleet = Some(Fleet::default());
        books
    }

    /// Waits until somebody asks for a call, or the others are to be told of a 429.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    pub(super) fn tell(&self) {
        self.news.notify_one();
    }

    /// Returns who asks for a call.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        let mut state = self.open();
        let fleet = state.fleet.as_mut();
        fleet
            .map(|fleet| std::mem::take(&mut fleet.asks))
            .unwrap_or_default()
    }

    /// Writes down what is known here, and the calls that are asked for, as far as they fit.
    pub(crate) fn draft(&self, asks: &[Ask], now: Timestamp) -> Draft {
        let state = self.open();
        let now = state.fleet_time(now);
        let mut ledger = state.known.clone();
        ledger.add(&state.untold, now);
        let verdicts = asks.iter().map(|ask| ask.judge(&mut ledger, now)).collect();
        Draft {
            ledger,
            told: state.untold.clone(),
            verdicts,
        }
    }

    /// Tells whether the shared place lacks what the draft says.
    pub(crate) fn is_news(&self, draft: &Draft, held: &Ledger, now: Timestamp) -> bool {
        held.lacks(&draft.ledger, self.open().fleet_time(now))
    }

    /// Takes over what is in the shared place.
    ///
    /// # Errors
    ///
    /// [`Doubt::Lost`] where that lacks calls that were in it: nobody knows what else is missing.
    pub(crate) fn learn(&self, held: &Ledger, now: Timestamp) -> Result<(), Doubt> {
        let mut state = self.open();
        let now = state.fleet_time(now);
        let has_lost = held.lacks_calls_of(&state.known, now);
        state.known.merge(held, now);
        match has_lost {
            true => Err(Doubt::Lost),
            false => Ok(()),
        }
    }

    /// Notes that the draft is in the shared place, and answers those who asked.
    pub(crate) fn agree(&self, draft: Draft, asks: Vec<Ask>, now: Timestamp) {
        let mut state = self.open();
        let now = state.fleet_time(now);
        state.known.merge(&draft.ledger, now);
        state.untold.subtract(&draft.told);
        let granted = draft.verdicts.iter().filter(|verdict| verdict.is_ok());
        state.own.count(granted.count() as u64, now);
        if let Some(fleet) = &mut state.fleet {
            fleet.agreed(now);
        }
        drop(state);
        for (ask, verdict) in asks.into_iter().zip(draft.verdicts) {
            // Whoever has gone meanwhile leaves a call unmade.
            let _ = ask.answer.send(verdict);
        }
    }

    /// Notes that the shared place cannot be used just now: whoever asks is answered from this replica's part.
    pub(crate) fn go_alone(&self) {
        self.be_alone(SETTLING);
    }

    /// Notes that what is in the shared place may be incomplete until no call counts that was made by now.
    pub(crate) fn start_over(&self) {
        self.be_alone(Ledger::CALLS_COUNT_FOR);
    }

    fn be_alone(&self, settling: Duration) {
        let mut state = self.open();
        let Some(fleet) = &mut state.fleet else {
            return;
        };
        fleet.asks.clear();
        fleet.settling = fleet.settling.max(settling);
        if std::mem::take(&mut fleet.is_together) {
            tracing::info!("this replica keeps to its part of the budget of clerk's calls");
        }
    }

    /// Takes over the shared clock.
    ///
    /// # Errors
    ///
    /// [`Doubt::Clock`] where it is not where it is expected: a clock that stands would hold all calls back. One that
    /// was set goes on from there, and is believed next time.
    pub(crate) fn set_clock(&self, shared: Timestamp, now: Timestamp) -> Result<(), Doubt> {
        let mut state = self.open();
        let Some(fleet) = &mut state.fleet else {
            return Ok(());
        };
        let is_new = fleet
            .clock
            .set(shared.as_millis().saturating_sub(now.as_millis()))?;
        if is_new {
            let now = state.fleet_time(now);
            state.own.gather(now);
            state.untold.gather(now);
        }
        Ok(())
    }

    /// Waits for the answer to an ask; `None`: there is none, and this replica is alone.
    pub(super) async fn answer(&self, answer: oneshot::Receiver<Verdict>) -> Option<Verdict> {
        match timeout(PATIENCE, answer).await {
            Ok(Ok(verdict)) => Some(verdict),
            _ => {
                self.go_alone();
                None
            }
        }
    }

    /// Asks for a call as long as fewer calls than `most` count.
    pub(super) fn ask(&self, state: &mut State, most: u64) -> Option<oneshot::Receiver<Verdict>> {
        let (answer, receiver) = oneshot::channel();
        state.fleet.as_mut()?.asks.push(Ask { most, answer });
        self.tell();
        Some(receiver)
    }
}

impl Fleet {
    fn agreed(&mut self, now: Timestamp) {
        let settling = std::mem::take(&mut self.settling);
        if !settling.is_zero() {
            self.alone_until = self.alone_until.max(Some(now.plus(settling)));
        }
        let was_together = self.is_together;
        self.is_together = self.alone_until.is_none_or(|end| end <= now);
        if self.is_together && !was_together {
            tracing::info!("all replicas share one budget of clerk's calls");
        }
    }
}

impl Ask {
    fn judge(&self, ledger: &mut Ledger, now: Timestamp) -> Verdict {
        let closed = ledger.closed_for(now);
        if !closed.is_zero() {
            return Err(closed);
        }
        if ledger.used(now) >= self.most {
            return Err(ledger.until_less(now).unwrap_or_default());
        }
        ledger.count(1, now);
        Ok(())
    }
}

impl State {
    /// Returns the time of the clock by which calls are counted.
    pub(super) fn fleet_time(&self, now: Timestamp) -> Timestamp {
        let clock = self.fleet.as_ref().map(|fleet| &fleet.clock);
        let ahead = clock.and_then(|clock| clock.ahead).unwrap_or_default();
        Timestamp::from_millis(now.as_millis().saturating_add(ahead))
    }

    /// Tells whether all replicas count together now.
    pub(super) fn is_together(&self) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| fleet.is_together)
    }

    /// Tells whether all replicas count together now; `None`: there are no others.
    pub(super) fn is_shared(&self) -> Option<bool> {
        self.fleet.as_ref().map(|fleet| fleet.is_together)
    }
}

impl SharedClock {
    /// Takes over how far it is ahead, and tells whether that is not what it was.
    fn set(&mut self, ahead: i64) -> Result<bool, Doubt> {
        let is_near = |known: i64| known.abs_diff(ahead) <= STEADY;
        let is_steady = self.ahead.is_some_and(is_near);
        if !is_steady && self.ahead.is_some() && !self.strange.is_some_and(is_near) {
            self.strange = Some(ahead);
            return Err(Doubt::Clock);
        }
        self.ahead = Some(ahead);
        self.strange = None;
        Ok(!is_steady)
    }
}
