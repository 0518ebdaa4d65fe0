//! How many requests an upstream gets at once, and how many wait for their turn.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::ProxyError;

/// Admits requests up to a number; some more may wait.
#[derive(Debug)]
pub(super) struct Gate {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    patience: Duration,
}

impl Gate {
    pub(super) fn new(at_once: usize, most_waiting: usize, patience: Duration) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            most_waiting,
            patience,
        }
    }

    /// Returns a request's turn, which lasts until it is dropped.
    ///
    /// # Errors
    ///
    /// [`ProxyError::Overloaded`] where too many wait already, or this one has waited too long.
    pub(super) async fn enter(&self) -> Result<OwnedSemaphorePermit, ProxyError> {
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(turn);
        }
        let _waiting = self.wait()?;
        let turn = Arc::clone(&self.turns).acquire_owned();
        match timeout(self.patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(ProxyError::Overloaded),
        }
    }

    fn wait(&self) -> Result<Waiting<'_>, ProxyError> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        match before < self.most_waiting {
            true => Ok(waiting),
            false => Err(ProxyError::Overloaded),
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn what_waits_gets_the_next_turn() {
        let gate = Gate::new(1, 1, PATIENCE);
        let first = gate.enter().await.unwrap();
        let (second, ()) = tokio::join!(gate.enter(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        });
        assert!(second.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_or_too_many_are_turned_away() {
        let gate = Gate::new(1, 1, PATIENCE);
        let _first = gate.enter().await.unwrap();
        let (second, third) = tokio::join!(biased; gate.enter(), async {
            let began = tokio::time::Instant::now();
            let refused = gate.enter().await;
            assert_eq!(began.elapsed(), Duration::ZERO);
            refused
        });
        assert!(matches!(second, Err(ProxyError::Overloaded)));
        assert!(matches!(third, Err(ProxyError::Overloaded)));
        assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
    }
}
