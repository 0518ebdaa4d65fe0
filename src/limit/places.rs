//! Who makes room where a listener has all the connections that it may: those without a request, the longest first.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

/// Of so many connections one is asked at once, so that a flood of new ones does not have all looked through for each.
const SHARE: usize = 64;

/// A listener's open connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    open: Arc<Mutex<HashMap<u64, Place>>>,
    turns: Arc<AtomicU64>,
}

/// One open connection; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Place(Arc<State>);

#[derive(Debug)]
struct State {
    busy: AtomicU32,
    /// The turn in which it last became free.
    free_since: AtomicU64,
    /// One for each connection that becomes free, in order.
    turns: Arc<AtomicU64>,
    asked: Notify,
}

/// A connection is open until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    number: u64,
    open: Arc<Mutex<HashMap<u64, Place>>>,
}

/// A connection is not asked to leave as long as this lives.
#[derive(Debug)]
pub(crate) struct Busy(Place);

impl Places {
    /// Adds a connection, free until it says otherwise.
    pub(crate) fn take(&self) -> (Place, Taken) {
        let number = self.turns.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::new(State {
            busy: AtomicU32::new(0),
            free_since: AtomicU64::new(number),
            turns: Arc::clone(&self.turns),
            asked: Notify::new(),
        }));
        lock(&self.open).insert(number, place.clone());
        let open = Arc::clone(&self.open);
        (place, Taken { number, open })
    }

    /// Asks some of those that have been free the longest to leave, one at least where there is one.
    pub(crate) fn make_room(&self) {
        let open = lock(&self.open);
        let free = open
            .values()
            .filter_map(|place| Some((place.free_since()?, place)));
        let mut free: Vec<_> = free.collect();
        let count = open.len().div_ceil(SHARE).min(free.len());
        if count < free.len() {
            free.select_nth_unstable_by_key(count, |(since, _)| *since);
        }
        for (_, place) in &free[..count] {
            place.0.asked.notify_one();
        }
    }
}

impl Place {
    /// Notes that the connection is in use until what this returns is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Tells whether the connection is not in use.
    pub(crate) fn is_free(&self) -> bool {
        self.free_since().is_some()
    }

    /// Waits until room is needed while the connection is free.
    pub(crate) async fn asked(&self) {
        loop {
            self.0.asked.notified().await;
            if self.is_free() {
                return;
            }
        }
    }

    fn free_since(&self) -> Option<u64> {
        let is_free = self.0.busy.load(Ordering::Relaxed) == 0;
        is_free.then(|| self.0.free_since.load(Ordering::Relaxed))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let state = &self.0.0;
        let turn = state.turns.fetch_add(1, Ordering::Relaxed);
        state.free_since.store(turn, Ordering::Relaxed);
        state.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.number);
    }
}

fn lock(open: &Mutex<HashMap<u64, Place>>) -> MutexGuard<'_, HashMap<u64, Place>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn is_asked(place: &Place) -> bool {
        timeout(Duration::from_millis(1), place.asked())
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_been_free_the_longest_makes_room() {
        let places = Places::default();
        let (first, _first) = places.take();
        let (second, _second) = places.take();
        drop(first.busy());
        places.make_room();
        assert!(!is_asked(&first).await);
        assert!(is_asked(&second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_busy_stays() {
        let places = Places::default();
        let (first, _first) = places.take();
        let (second, second_taken) = places.take();
        let busy = (first.busy(), first.busy(), second.busy());
        places.make_room();
        assert!(!is_asked(&first).await && !is_asked(&second).await);
        drop((busy.0, busy.2, second_taken));
        places.make_room();
        assert!(!is_asked(&first).await && !is_asked(&second).await);
        drop(busy.1);
        places.make_room();
        assert!(is_asked(&first).await && !is_asked(&second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_became_busy_after_it_was_asked_stays() {
        let places = Places::default();
        let (place, _taken) = places.take();
        places.make_room();
        let _busy = place.busy();
        assert!(!is_asked(&place).await);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_some_make_room_at_once() {
        let places = Places::default();
        let held: Vec<_> = (0..640).map(|_| places.take()).collect();
        places.make_room();
        let mut asked = 0;
        for (place, _) in &held {
            asked += u32::from(is_asked(place).await);
        }
        assert_eq!(asked, 10);
    }
}
