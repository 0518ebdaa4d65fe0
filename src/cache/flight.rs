//! One fetch for all who want the same key, living on when the first of them goes away.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::Excuse;
use super::FetchError;

/// Why a flight brought nothing.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    /// The fetch failed; all who waited get the same error.
    Failed(Arc<E>),
    /// The fetch ended without a result: its task panicked, or the runtime is going down.
    Lost,
}

type Landed<R, E> = Option<Result<R, Failure<E>>>;
type Board<K, R, E> = HashMap<K, watch::Receiver<Landed<R, E>>>;

/// A fetch under way.
pub(crate) struct Flight<R, E>(watch::Receiver<Landed<R, E>>);

/// The fetches under way, by key.
pub(crate) struct Flights<K, R, E>(Arc<Mutex<Board<K, R, E>>>);

/// Takes its flight off the board when the task ends, however it ends.
struct Landing<K: Eq + Hash, R, E> {
    board: Arc<Mutex<Board<K, R, E>>>,
    key: K,
}

impl<K, R, E> Flights<K, R, E>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    R: Clone + Send + Sync + 'static,
    E: FetchError,
{
    /// Joins the flight for `key`, or starts it; `land` runs before the flight leaves the board, so
    /// that nobody finds neither.
    pub(crate) fn join<F, S>(&self, key: K, fetch: F, land: S) -> Flight<R, E>
    where
        F: Future<Output = Result<R, E>> + Send + 'static,
        S: FnOnce(K, Result<R, &E>) + Send + 'static,
    {
        let mut board = lock(&self.0);
        if let Some(landed) = board.get(&key) {
            return Flight(landed.clone());
        }
        let (sender, receiver) = watch::channel(None);
        board.insert(key.clone(), receiver.clone());
        drop(board);

        let landing = Landing {
            board: Arc::clone(&self.0),
            key,
        };
        tokio::spawn(async move {
            let result = fetch.await.map_err(Arc::new);
            match &result {
                Ok(value) => land(landing.key.clone(), Ok(value.clone())),
                Err(error) => land(landing.key.clone(), Err(error)),
            }
            // Before anyone is told: who asks after that must not be given what was asked before.
            drop(landing);
            // Nobody may be waiting any more: a refresh in the background, or all have gone.
            let _ = sender.send(Some(result.map_err(Failure::Failed)));
        });
        Flight(receiver)
    }

    /// Tells whether a flight for `key` is under way.
    pub(crate) fn is_under_way(&self, key: &K) -> bool {
        lock(&self.0).contains_key(key)
    }
}

impl<R: Clone, E> Flight<R, E> {
    /// Waits for the result.
    pub(crate) async fn landed(mut self) -> Result<R, Failure<E>> {
        match self.0.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or(Err(Failure::Lost)),
            Err(_closed) => Err(Failure::Lost),
        }
    }
}

impl<K: Eq + Hash, R, E> Drop for Landing<K, R, E> {
    fn drop(&mut self) {
        lock(&self.board).remove(&self.key);
    }
}

impl<E: FetchError> Failure<E> {
    /// Tells what the failure means for a stale entry.
    pub(crate) fn excuse(&self) -> Excuse {
        match self {
            Self::Failed(error) => error.excuse(),
            Self::Lost => Excuse::Starts,
        }
    }
}

impl<E> Clone for Failure<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Lost => Self::Lost,
        }
    }
}

impl<K, R, E> Default for Flights<K, R, E> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, R, E> fmt::Debug for Flights<K, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

// The board is consistent after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
