//! One fetch for all who want the same key, living on when the first of them goes away.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use equivalent::Equivalent;
use tokio::sync::watch;

use super::{Excuse, FetchError};

/// Why a flight brought nothing.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    /// The fetch failed; all who waited get the same error.
    Failed(Arc<E>),
    /// The fetch ended without a result: its task panicked, or the runtime is going down.
    Lost,
}

type Landed<R, E> = Option<Result<R, Failure<E>>>;

/// A fetch under way.
pub(crate) struct Flight<R, E>(watch::Receiver<Landed<R, E>>);

/// The fetches under way, by key.
pub(crate) struct Flights<K, R, E>(Arc<Mutex<Board<K, R, E>>>);

struct Board<K, R, E> {
    flights: HashMap<K, Departure<R, E>>,
    departures: u64,
}

struct Departure<R, E> {
    number: u64,
    landed: watch::Receiver<Landed<R, E>>,
}

/// Takes its flight off the board when the task ends, however it ends.
struct Landing<K: Clone + Eq + Hash, R, E> {
    board: Arc<Mutex<Board<K, R, E>>>,
    key: K,
    number: u64,
}

impl<K, R, E> Flights<K, R, E>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    R: Clone + Send + Sync + 'static,
    E: FetchError,
{
    /// Joins the flight for `key`, or starts it; `land` runs before the flight leaves the board, so
    /// that nobody finds neither, and does not run once the flight is abandoned.
    pub(crate) fn join<F, S>(&self, key: K, fetch: F, land: S) -> Flight<R, E>
    where
        F: Future<Output = Result<R, E>> + Send + 'static,
        S: FnOnce(K, Result<R, &E>) + Send + 'static,
    {
        let mut board = lock(&self.0);
        if let Some(departure) = board.flights.get(&key) {
            return Flight(departure.landed.clone());
        }
        let (sender, receiver) = watch::channel(None);
        board.departures += 1;
        let number = board.departures;
        let departure = Departure {
            number,
            landed: receiver.clone(),
        };
        board.flights.insert(key.clone(), departure);
        drop(board);

        let landing = Landing {
            board: Arc::clone(&self.0),
            key,
            number,
        };
        tokio::spawn(async move {
            let result = fetch.await.map_err(Arc::new);
            let landed = match &result {
                Ok(value) => Ok(value.clone()),
                Err(error) => Err(Failure::Failed(Arc::clone(error))),
            };
            landing.land(result, land);
            // Nobody may be waiting any more: a refresh in the background, or all have gone.
            let _ = sender.send(Some(landed));
        });
        Flight(receiver)
    }

    /// Tells whether a flight for `key` is under way.
    pub(crate) fn is_under_way(&self, key: &K) -> bool {
        lock(&self.0).flights.contains_key(key)
    }

    /// Takes `key`'s flight off the board: whoever waits still gets its result, nobody stores it.
    pub(crate) fn abandon<Q>(&self, key: &Q)
    where
        Q: Equivalent<K> + Hash + ?Sized,
    {
        lock(&self.0)
            .flights
            .retain(|candidate, _| !key.equivalent(candidate));
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

impl<K: Clone + Eq + Hash, R, E> Landing<K, R, E> {
    fn land<S>(&self, result: Result<R, Arc<E>>, land: S)
    where
        S: FnOnce(K, Result<R, &E>),
    {
        // Under the lock, so that `abandon` comes wholly before or wholly after.
        let board = lock(&self.board);
        if board.holds(&self.key, self.number) {
            match result {
                Ok(value) => land(self.key.clone(), Ok(value)),
                Err(error) => land(self.key.clone(), Err(&error)),
            }
        }
    }
}

impl<K: Clone + Eq + Hash, R, E> Drop for Landing<K, R, E> {
    fn drop(&mut self) {
        let mut board = lock(&self.board);
        if board.holds(&self.key, self.number) {
            board.flights.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash, R, E> Board<K, R, E> {
    fn holds(&self, key: &K, number: u64) -> bool {
        self.flights
            .get(key)
            .is_some_and(|departure| departure.number == number)
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
        Self(Arc::new(Mutex::new(Board {
            flights: HashMap::new(),
            departures: 0,
        })))
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
