//! Which deliveries have had their effect.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::signature::TOLERANCE;
use crate::time::Timestamp;

/// No copy of a delivery has a good signature for longer: from the one end of the tolerance to the other. A retry is
/// signed anew and may come later; its event has no more effect than it has had.
const MEMORY: Duration = TOLERANCE.saturating_mul(2);

/// The IDs of the deliveries that have had their effect lately.
#[derive(Debug, Default)]
pub(crate) struct Delivered(Mutex<Ids>);

#[derive(Debug, Default)]
struct Ids {
    known: HashSet<Arc<str>>,
    oldest_first: VecDeque<(Timestamp, Arc<str>)>,
}

impl Delivered {
    /// Tells whether a delivery has had its effect.
    pub(crate) fn contains(&self, id: &str, now: Timestamp) -> bool {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.forget_old(now);
        ids.known.contains(id)
    }

    /// Notes that a delivery has had its effect.
    pub(crate) fn insert(&self, id: &str, now: Timestamp) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id: Arc<str> = id.into();
        if ids.known.insert(Arc::clone(&id)) {
            ids.oldest_first.push_back((now, id));
        }
    }
}

impl Ids {
    fn forget_old(&mut self, now: Timestamp) {
        while let Some((at, id)) = self.oldest_first.front()
            && at.plus(MEMORY) < now
        {
            self.known.remove(id);
            self.oldest_first.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_as_long_as_its_signature_is_good() {
        let delivered = Delivered::default();
        let at = Timestamp::from_secs;
        delivered.insert("msg_1", at(0));
        delivered.insert("msg_2", at(1));
        assert!(delivered.contains("msg_1", at(600)));
        assert!(!delivered.contains("msg_1", at(601)));
        assert!(delivered.contains("msg_2", at(601)));
        assert!(!delivered.contains("msg_2", at(602)));
        let ids = delivered.0.lock().unwrap();
        assert_eq!((ids.known.len(), ids.oldest_first.len()), (0, 0));
    }
}
