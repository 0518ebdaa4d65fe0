//! What a thread looked up last, in front of a cache that all threads share.
//!
//! A look-up here takes no lock, hashes nothing and touches nothing that another core writes. What is kept counts only
//! for its whole key, and while the cache behind is [marked](Mark) as it was, so that nothing is told that was replaced
//! or dropped there. Only what that cache lost for want of space may still be at hand.

use std::cell::RefCell;

use crate::sync::atomic::{AtomicU64, Ordering};

/// As many entries at most as a thread keeps of one kind.
const SPOTS: usize = 128;

/// After so many uses an entry is looked up behind once more, lest a cache that drops what is little used takes it
/// for such.
const USES: u32 = 64;

/// A number for each state of each cache: no two states have the same, whichever cache's they are.
#[derive(Debug)]
pub(crate) struct Mark(AtomicU64);

/// The entries of a thread.
pub(crate) struct Recent<T>(RefCell<Vec<Spot<T>>>);

struct Spot<T> {
    /// Who was asked for last and not found: what is asked for twice running takes the spot.
    asked: u64,
    kept: Option<Kept<T>>,
}

struct Kept<T> {
    key: Box<[u8]>,
    mark: u64,
    uses: u32,
    value: T,
}

impl Mark {
    /// Marks the state of a new cache.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(next()))
    }

    /// Returns the number of the present state; to be read before what is kept with it.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Marks another state; to be called after the change.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn change(&self) {
        // Not a plain store: who sees one change is to see all before it, whoever made them.
        self.0.swap(next(), Ordering::AcqRel);
    }
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<T: Clone> Recent<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// Returns what is kept of `key` since the state `mark`, or looks it up.
    ///
    /// `is_meant` tells whether what is kept of the key is what is asked for.
    pub(crate) fn get(
        &self,
        key: &[u8],
        mark: u64,
        is_meant: impl Fn(&T) -> bool,
        look_up: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let tag = tag(key);
        // Whoever looks up while it is looked up here is not kept from it.
        let Ok(mut spots) = self.0.try_borrow_mut() else {
            return look_up();
        };
        if spots.is_empty() {
            spots.resize_with(SPOTS, Spot::empty);
        }
        let Some(spot) = spots.get_mut(place(tag)) else {
            return look_up();
        };
        if let Some(value) = spot.recall(key, mark, is_meant) {
            return Some(value);
        }
        let found = look_up();
        spot.offer(key, mark, found.as_ref());
        found
    }
}

impl<T: Clone> Spot<T> {
    fn empty() -> Self {
        Self {
            asked: 0,
            kept: None,
        }
    }

    fn recall(&mut self, key: &[u8], mark: u64, is_meant: impl Fn(&T) -> bool) -> Option<T> {
        let kept = self.kept.as_mut()?;
        if kept.mark != mark || kept.uses == USES || *kept.key != *key || !is_meant(&kept.value) {
            return None;
        }
        kept.uses += 1;
        Some(kept.value.clone())
    }

    /// Keeps what was looked up, if it was the last time too.
    fn offer(&mut self, key: &[u8], mark: u64, found: Option<&T>) {
        let tag = tag(key);
        if std::mem::replace(&mut self.asked, tag) != tag {
            return;
        }
        self.kept = found.map(|value| Kept {
            key: key.into(),
            mark,
            uses: 0,
            value: value.clone(),
        });
    }
}

/// A key's end, which for tokens (their signature) and Clerk's IDs is as good as random.
fn tag(key: &[u8]) -> u64 {
    key.last_chunk().copied().map_or(0, u64::from_le_bytes)
}

fn place(tag: u64) -> usize {
    const { assert!(SPOTS == 1 << 7) };
    // The golden ratio: spreads tags over the upper bits.
    let spread = tag.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - 7);
    usize::try_from(spread).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"token-signature";

    /// Looks `key` up as often as is asked, and says how often the cache behind was asked.
    fn asked_behind(recent: &Recent<String>, key: &str, mark: u64, times: usize) -> usize {
        let mut asked = 0;
        for _ in 0..times {
            let found = recent.get(
                key.as_bytes(),
                mark,
                |_| true,
                || {
                    asked += 1;
                    Some(key.to_owned())
                },
            );
            assert_eq!(found.as_deref(), Some(key));
        }
        asked
    }

    #[test]
    fn what_is_looked_up_twice_running_is_kept() {
        assert_eq!(asked_behind(&Recent::new(), "sess_12345678", 1, 10), 2);
    }

    #[test]
    fn nothing_is_kept_over_a_change_of_the_cache_behind() {
        let recent = Recent::new();
        let mark = Mark::new();
        assert_eq!(asked_behind(&recent, "sess_12345678", mark.get(), 3), 2);
        mark.change();
        assert_eq!(asked_behind(&recent, "sess_12345678", mark.get(), 1), 1);
    }

    #[test]
    fn keys_with_the_same_end_are_told_apart() {
        let recent = Recent::new();
        assert_eq!(asked_behind(&recent, "a.12345678", 1, 3), 2);
        assert_eq!(asked_behind(&recent, "b.12345678", 1, 1), 1);
    }

    #[test]
    fn the_cache_behind_is_told_of_what_is_used_much() {
        let recent = Recent::new();
        let uses = usize::try_from(USES).unwrap();
        assert_eq!(asked_behind(&recent, "sess_12345678", 1, 2 + uses), 2);
        assert_eq!(asked_behind(&recent, "sess_12345678", 1, 1 + uses), 1);
    }

    #[test]
    fn what_the_cache_behind_lost_is_not_kept() {
        let recent = Recent::new();
        assert_eq!(asked_behind(&recent, "sess_12345678", 1, 3), 2);
        for _ in 0..2 {
            let lost = recent.get(b"sess_12345678", 2, |_| true, || None);
            assert_eq!(lost, None);
        }
    }

    #[test]
    fn keys_in_turn_cost_the_kept_one_nothing() {
        let recent = Recent::new();
        assert_eq!(asked_behind(&recent, "sess_12345678", 1, 3), 2);
        for other in 0..10_000 {
            asked_behind(&recent, &format!("sess_{other:08}"), 1, 1);
        }
        assert_eq!(asked_behind(&recent, "sess_12345678", 1, 1), 0);
    }

    #[test]
    fn no_two_states_of_any_cache_have_the_same_mark() {
        let (one, other) = (Mark::new(), Mark::new());
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            assert!(seen.insert(one.get()) && seen.insert(other.get()));
            one.change();
            other.change();
        }
    }

    #[test]
    fn keys_of_any_length_have_a_place() {
        for length in 0..KEY.len() {
            assert!(place(tag(&KEY[..length])) < SPOTS);
        }
    }
}
