//! What is fetched once for a whole fleet: a place where replicas leave what they fetched, and claim what they fetch.
//!
//! It may be slow, gone, or lie about what is there and what is not: whoever takes something from it judges it, and
//! nobody waits for long. A claim runs out by itself, so that one who claims and dies holds nobody up.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

/// How often those who wait for another replica's fetch look.
const POLL: Duration = Duration::from_millis(20);

/// Something to be awaited on a trait object.
pub(crate) type Awaited<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The place that replicas share.
pub(crate) trait Commons: fmt::Debug + Send + Sync {
    /// Returns where something of a kind is kept, by what tells it from all others of the kind.
    fn spot(&self, kind: &'static str, parts: &[&str]) -> Spot;

    /// Returns what is there; where nothing is, claims the fetch of it.
    fn look<'a>(&'a self, spot: &'a Spot, owner: &'a Owner) -> Awaited<'a, Look>;

    /// Claims a fetch although something is there; tells whether that was possible.
    fn claim<'a>(&'a self, spot: &'a Spot, owner: &'a Owner) -> Awaited<'a, bool>;

    /// Leaves something for `ttl`, and gives up the owner's claim; nobody waits for it.
    fn put(&self, spot: &Spot, owner: &Owner, value: Vec<u8>, ttl: Duration);

    /// Gives up the owner's claim; nobody waits for it.
    fn release(&self, spot: &Spot, owner: &Owner);
}

/// A name in the shared place, and what kind of thing is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Spot {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
}

/// Who has claimed a fetch: a number that nobody else has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Owner(pub(crate) [u8; 16]);

/// What a look has shown.
#[cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "without it nothing is common")
)]
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    There(Vec<u8>),
    /// Nothing is there, and the fetch is claimed now.
    Claimed,
    /// Nothing is there, and another replica fetches it.
    Taken,
    /// The place cannot be used just now.
    Away,
}

/// What is to be done for something.
#[derive(Debug)]
pub(crate) enum Found<T> {
    There(T),
    /// It is not there: fetch it, and leave it there.
    Fetch(Claim),
}

/// A fetch under way, and where its result is to be left; claimed or not, it may be carried out.
///
/// Dropped without a result, it is free for the next.
#[derive(Debug)]
pub(crate) struct Claim(Option<Place>);

#[derive(Debug)]
struct Place {
    commons: Arc<dyn Commons>,
    spot: Spot,
    owner: Owner,
}

/// Looks for something that `take` takes, while another replica fetches it for `patience` at most.
pub(crate) async fn find<T>(
    commons: Option<&Arc<dyn Commons>>,
    spot: impl FnOnce(&dyn Commons) -> Spot,
    patience: Duration,
    take: impl Fn(&[u8]) -> Option<T>,
) -> Found<T> {
    let Some(commons) = commons else {
        return Found::Fetch(Claim(None));
    };
    let place = Place {
        spot: spot(&**commons),
        owner: Owner::new(),
        commons: Arc::clone(commons),
    };
    let found = timeout(patience, place.look_on(take)).await;
    match found.ok().flatten() {
        Some(value) => Found::There(value),
        None => Found::Fetch(Claim(Some(place))),
    }
}

impl Place {
    /// Looks until something is there or the fetch is this replica's.
    async fn look_on<T>(&self, take: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        loop {
            match self.commons.look(&self.spot, &self.owner).await {
                Look::There(value) => match take(&value) {
                    Some(taken) => return Some(taken),
                    None if self.commons.claim(&self.spot, &self.owner).await => return None,
                    None => {}
                },
                Look::Claimed | Look::Away => return None,
                Look::Taken => {}
            }
            sleep(POLL).await;
        }
    }
}

impl Claim {
    /// Leaves the result for the other replicas, for so long.
    pub(crate) fn put(mut self, value: Vec<u8>, ttl: Duration) {
        if let Some(place) = self.0.take() {
            place.commons.put(&place.spot, &place.owner, value, ttl);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            place.commons.release(&place.spot, &place.owner);
        }
    }
}

impl Owner {
    fn new() -> Self {
        let mut bytes = [0; 16];
        // Without randomness claims may be mixed up, and something is fetched twice.
        let _ = aws_lc_rs::rand::fill(&mut bytes);
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    /// Shows what it was told to show, one look after another, and then the last for ever.
    #[derive(Debug)]
    struct Scripted {
        looks: Mutex<Vec<Look>>,
        claimable: bool,
        left: Mutex<Vec<String>>,
    }

    impl Scripted {
        fn new(mut looks: Vec<Look>, claimable: bool) -> Arc<Self> {
            looks.reverse();
            Arc::new(Self {
                looks: Mutex::new(looks),
                claimable,
                left: Mutex::default(),
            })
        }
    }

    impl Commons for Scripted {
        fn spot(&self, kind: &'static str, parts: &[&str]) -> Spot {
            let name = parts.join(" ");
            Spot { kind, name }
        }

        fn look<'a>(&'a self, _: &'a Spot, _: &'a Owner) -> Awaited<'a, Look> {
            let mut looks = self.looks.lock().unwrap();
            let look = match looks.len() {
                1 => looks[0].clone(),
                _ => looks.pop().unwrap(),
            };
            Box::pin(async { look })
        }

        fn claim<'a>(&'a self, _: &'a Spot, _: &'a Owner) -> Awaited<'a, bool> {
            Box::pin(async { self.claimable })
        }

        fn put(&self, _: &Spot, _: &Owner, value: Vec<u8>, _: Duration) {
            self.left
                .lock()
                .unwrap()
                .push(String::from_utf8(value).unwrap());
        }

        fn release(&self, _: &Spot, _: &Owner) {
            self.left.lock().unwrap().push("released".to_owned());
        }
    }

    async fn found(scripted: &Arc<Scripted>) -> Option<Vec<u8>> {
        let commons: Arc<dyn Commons> = Arc::clone(scripted) as _;
        let good = |value: &[u8]| (value != b"bad").then(|| value.to_vec());
        let spot = |commons: &dyn Commons| commons.spot("kind", &["a", "b"]);
        match find(Some(&commons), spot, PATIENCE, good).await {
            Found::There(value) => Some(value),
            Found::Fetch(claim) => {
                claim.put(b"fetched".to_vec(), PATIENCE);
                None
            }
        }
    }

    fn there(value: &str) -> Look {
        Look::There(value.into())
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_replica_fetches_is_waited_for() {
        let scripted = Scripted::new(vec![Look::Taken, Look::Taken, there("good")], false);
        assert_eq!(found(&scripted).await.as_deref(), Some(b"good".as_slice()));
        assert!(scripted.left.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_the_patience() {
        for looks in [vec![Look::Taken], vec![there("bad")]] {
            let scripted = Scripted::new(looks, false);
            let begun = Instant::now();
            assert_eq!(found(&scripted).await, None);
            assert_eq!(begun.elapsed(), PATIENCE);
            assert_eq!(*scripted.left.lock().unwrap(), ["fetched"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_is_fetched_by_whoever_can_claim_it() {
        let scripted = Scripted::new(vec![there("bad")], true);
        let begun = Instant::now();
        assert_eq!(found(&scripted).await, None);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_away_is_not_waited_for() {
        let scripted = Scripted::new(vec![Look::Away], false);
        let begun = Instant::now();
        assert_eq!(found(&scripted).await, None);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_claim_without_a_result_is_given_up() {
        let scripted = Scripted::new(vec![Look::Claimed], false);
        let commons: Arc<dyn Commons> = Arc::clone(&scripted) as _;
        let spot = |commons: &dyn Commons| commons.spot("kind", &[]);
        drop(find(Some(&commons), spot, PATIENCE, |_| Some(())).await);
        assert_eq!(*scripted.left.lock().unwrap(), ["released"]);
    }
}
