//! What is held by ID: read on every request, written now and then.

use std::{collections::HashMap, hash::BuildHasher};

use foldhash::quality::RandomState;

use crate::sync::{
    PoisonError, RwLock,
    atomic::{AtomicUsize, Ordering},
};

/// So many that readers on different cores seldom meet at one lock.
const SHARDS: usize = 16;

/// A map in shards; reading an empty one costs a load.
#[derive(Debug)]
pub(super) struct Table<V> {
    len: AtomicUsize,
    hasher: RandomState,
    shards: [Shard<V>; SHARDS],
}

type Shard<V> = RwLock<HashMap<Box<str>, V, RandomState>>;

impl<V: Default> Table<V> {
    /// Reads what is held of `id`.
    pub(super) fn read<R>(&self, id: &str, read: impl FnOnce(&V) -> R) -> Option<R> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let held = self.shard(id).read();
        let held = held.unwrap_or_else(PoisonError::into_inner);
        held.get(id).map(read)
    }

    /// Changes what is held of `id`, beginning with the default; writers take turns by themselves.
    pub(super) fn update<R>(&self, id: &str, update: impl FnOnce(&mut V) -> R) -> R {
        let held = self.shard(id).write();
        let mut held = held.unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.get_mut(id) {
            return update(value);
        }
        let mut value = V::default();
        let updated = update(&mut value);
        held.insert(id.into(), value);
        self.len.fetch_add(1, Ordering::AcqRel);
        updated
    }

    /// Shows all that is held, one shard after another.
    #[cfg(feature = "redis")]
    pub(super) fn each(&self, mut show: impl FnMut(&str, &V)) {
        for shard in &self.shards {
            let held = shard.read().unwrap_or_else(PoisonError::into_inner);
            held.iter().for_each(|(id, value)| show(id, value));
        }
    }

    /// Drops what `keep` does not keep.
    pub(super) fn retain(&self, mut keep: impl FnMut(&mut V) -> bool) {
        for shard in &self.shards {
            let mut held = shard.write().unwrap_or_else(PoisonError::into_inner);
            let before = held.len();
            held.retain(|_, value| keep(value));
            self.len.fetch_sub(before - held.len(), Ordering::AcqRel);
            let spacious = held.capacity() > 4 * held.len();
            if spacious {
                held.shrink_to_fit();
            }
        }
    }

    /// Returns how many IDs something is held of.
    #[cfg(feature = "gateway")]
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    fn shard(&self, id: &str) -> &Shard<V> {
        // The highest bits: the maps themselves take the others.
        let hash = self.hasher.hash_one(id) >> 60;
        &self.shards[usize::try_from(hash).unwrap_or_default() % SHARDS]
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            len: AtomicUsize::new(0),
            hasher: RandomState::default(),
            shards: std::array::from_fn(|_| RwLock::default()),
        }
    }
}
