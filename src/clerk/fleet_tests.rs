//! Replicas that count together, without a Redis between them.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;

use super::{
    books::Books,
    budget::{Budget, Priority},
    fleet::Doubt,
    ledger::Ledger,
};
use crate::time::Timestamp;

const REQUEST: Priority = Priority::Request;
/// Far from ours, as Redis's clock may be.
const AHEAD: i64 = 7_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

struct Replica {
    books: Arc<Books>,
    budget: Budget,
    /// Its clock is off by so many milliseconds.
    skew: i64,
    /// It sees the shared clock so many milliseconds late.
    lag: i64,
    seen: Option<Ledger>,
}

impl Replica {
    /// One of three.
    fn new(limit: u32) -> Self {
        let books = Arc::new(Books::shared());
        let budget = Budget::new(limit).among(3);
        Self {
            budget: budget.counted_in(Arc::clone(&books)),
            books,
            skew: 0,
            lag: 0,
            seen: None,
        }
    }

    fn clock(&self, millis: i64) -> Timestamp {
        at(millis + self.skew)
    }

    /// What is done with Redis, with a ledger in its place.
    fn agree(&mut self, place: &mut Ledger, millis: i64) -> Result<(), Doubt> {
        let now = self.clock(millis);
        let asks = self.books.asks();
        self.books.set_clock(at(millis + AHEAD - self.lag), now)?;
        while self.seen.as_ref() != Some(place) {
            self.seen = Some(place.clone());
            self.books.learn(place, now)?;
        }
        let draft = self.books.draft(&asks, now);
        if self.books.is_news(&draft, place, now) {
            *place = draft.ledger.clone();
            self.seen = Some(place.clone());
        }
        self.books.agree(draft, asks, now);
        Ok(())
    }

    fn meets(&mut self, place: &mut Ledger, millis: i64) {
        if self.agree(place, millis) == Err(Doubt::Lost) {
            self.books.start_over();
        }
    }

    /// Asks for a call, by way of the place where that can be used.
    async fn call(&mut self, place: Option<&mut Ledger>, priority: Priority, millis: i64) -> bool {
        let (budget, now) = (self.budget.clone(), self.clock(millis));
        let mut asked = pin!(budget.obtain(priority, now));
        if let Some(answer) = asked.as_mut().now_or_never() {
            return answer.is_ok();
        }
        match place {
            Some(place) => self.meets(place, millis),
            None => self.books.go_alone(),
        }
        asked.await.is_ok()
    }

    async fn calls(
        &mut self,
        mut place: Option<&mut Ledger>,
        priority: Priority,
        millis: i64,
    ) -> usize {
        let mut made = 0;
        while made < 1_000 && self.call(place.as_deref_mut(), priority, millis).await {
            made += 1;
        }
        made
    }

    fn is_together(&self, millis: i64) -> bool {
        self.budget.pace(self.clock(millis)).is_shared == Some(true)
    }
}

/// Three replicas that have met.
fn fleet(limit: u32) -> ([Replica; 3], Ledger) {
    let mut place = Ledger::default();
    let mut fleet = [(); 3].map(|()| Replica::new(limit));
    for (index, replica) in fleet.iter_mut().enumerate() {
        replica.skew = index as i64 * 3_300;
        replica.meets(&mut place, 0);
    }
    (fleet, place)
}

fn most_in_10_s(made: &[i64]) -> usize {
    let within = |from: i64| {
        made.iter()
            .filter(move |time| (from..from + 10_000).contains(*time))
    };
    made.iter()
        .map(|from| within(*from).count())
        .max()
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn no_ten_seconds_hold_more_than_the_limit_whoever_calls_and_whatever_their_clocks_say() {
    let (mut fleet, mut place) = fleet(90);
    let mut made = Vec::new();
    for step in 0..400_i64 {
        let millis = step * 137 + step / 50 * 1_500;
        for turn in 0..step % 7 {
            let replica = &mut fleet[((step / 20 + turn) % 3) as usize];
            if replica.call(Some(&mut place), REQUEST, millis).await {
                made.push(millis);
            }
        }
    }
    assert!(made.len() > 300, "{}", made.len());
    assert!(most_in_10_s(&made) <= 90);
}

#[tokio::test(start_paused = true)]
async fn the_idle_leave_their_parts_to_the_busy() {
    let ([mut one, mut other, _], mut place) = fleet(90);
    assert_eq!(one.calls(Some(&mut place), REQUEST, 0).await, 90);
    assert_eq!(other.calls(Some(&mut place), REQUEST, 0).await, 0);
}

#[tokio::test(start_paused = true)]
async fn background_calls_of_one_leave_room_for_those_that_somebody_waits_for_at_another() {
    let ([mut one, mut other, _], mut place) = fleet(100);
    assert_eq!(one.calls(Some(&mut place), Priority::Stream, 0).await, 50);
    assert_eq!(other.calls(Some(&mut place), Priority::Stream, 0).await, 0);
    assert_eq!(
        other.calls(Some(&mut place), Priority::Refresh, 0).await,
        25
    );
    assert_eq!(one.calls(Some(&mut place), REQUEST, 0).await, 25);
}

#[tokio::test(start_paused = true)]
async fn a_429_at_one_holds_all_back_and_halves_the_budget_of_all() {
    let ([mut one, mut other, _], mut place) = fleet(90);
    one.budget.close(Duration::from_secs(20), one.clock(0));
    one.meets(&mut place, 0);
    other.meets(&mut place, 0);
    assert_eq!(
        other.budget.closed_for(other.clock(0)),
        Duration::from_secs(20)
    );
    let pace = other.budget.pace(other.clock(0));
    assert_eq!(pace.left, Some(45));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_asked_for_meanwhile_hears_of_the_429_first() {
    let ([mut one, mut other, _], mut place) = fleet(90);
    one.budget.close(Duration::from_secs(20), one.clock(0));
    one.meets(&mut place, 0);
    assert!(!other.call(Some(&mut place), REQUEST, 0).await);
}

#[tokio::test(start_paused = true)]
async fn alone_each_takes_its_part_of_what_all_had_left() {
    let (mut fleet, mut place) = fleet(90);
    for _ in 0..15 {
        assert!(fleet[0].call(Some(&mut place), REQUEST, 0).await);
    }
    for (replica, left) in fleet.iter_mut().zip([15, 25, 25]) {
        replica.meets(&mut place, 0);
        assert_eq!(replica.calls(None, REQUEST, 1_100).await, left);
        assert!(!replica.is_together(1_100));
        // The 15 count no more.
        assert_eq!(replica.calls(None, REQUEST, 11_000).await, 30 - left);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_called_alone_counts_for_all_when_they_meet_again() {
    let ([mut one, mut other, _], mut place) = fleet(90);
    assert_eq!(one.calls(None, REQUEST, 0).await, 30);
    one.meets(&mut place, 1_000);
    assert!(!one.is_together(1_000), "others may have more to tell");
    one.meets(&mut place, 3_000);
    assert!(one.is_together(3_000));
    assert_eq!(other.calls(Some(&mut place), REQUEST, 3_000).await, 60);
    // Once.
    assert_eq!(one.calls(Some(&mut place), REQUEST, 3_000).await, 0);
    assert_eq!(one.calls(Some(&mut place), REQUEST, 12_000).await, 30);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_lacks_what_was_in_it_leaves_each_its_part_until_that_counts_no_more() {
    let ([mut one, mut other, _], mut place) = fleet(90);
    let older = place.clone();
    assert_eq!(one.calls(Some(&mut place), REQUEST, 0).await, 90);
    other.meets(&mut place, 0);
    // As by whoever writes to Redis, or a Redis that has lost its data.
    place = older;
    for replica in [&mut one, &mut other] {
        assert_eq!(replica.calls(Some(&mut place), REQUEST, 100).await, 0);
        replica.meets(&mut place, 100);
        assert!(!replica.is_together(100));
    }
    for replica in [&mut one, &mut other] {
        replica.meets(&mut place, 1_000);
        assert_eq!(replica.calls(Some(&mut place), REQUEST, 11_000).await, 30);
    }
    for replica in [&mut one, &mut other] {
        replica.meets(&mut place, 11_900);
        assert!(!replica.is_together(11_900));
        replica.meets(&mut place, 12_000);
        assert!(replica.is_together(12_000));
    }
}

#[tokio::test(start_paused = true)]
async fn alone_nobody_exceeds_its_part_by_telling_of_its_calls() {
    let ([mut one, ..], mut place) = fleet(90);
    let mut made = 0;
    for millis in [100, 200, 300] {
        made += one.calls(None, REQUEST, millis).await;
        one.meets(&mut place, millis);
    }
    assert_eq!(made, 30);
}

#[tokio::test(start_paused = true)]
async fn calls_that_count_no_more_for_one_are_not_missed_by_another() {
    let ([mut one, mut other, mut third], mut place) = fleet(90);
    assert!(one.call(Some(&mut place), REQUEST, 0).await);
    other.lag = 50;
    assert_eq!(other.agree(&mut place, 1_000), Ok(()));
    assert!(third.call(Some(&mut place), REQUEST, 11_000).await);
    assert_eq!(other.agree(&mut place, 11_000), Ok(()));
    assert!(other.is_together(11_000));
}

#[test]
fn a_clock_that_stands_is_not_believed_and_one_that_was_set_is_after_a_while() {
    let books = Books::shared();
    assert_eq!(books.set_clock(at(0), at(0)), Ok(()));
    for second in 1..20 {
        let stands = books.set_clock(at(0), at(second * 1_000));
        assert_eq!(stands, Err(Doubt::Clock), "{second}");
    }
    let set = |second: i64| books.set_clock(at(second * 1_000 - 50_000), at(second * 1_000));
    assert_eq!(set(20), Err(Doubt::Clock));
    assert_eq!(set(21), Ok(()));
    assert_eq!(set(22), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_is_not_kept_waiting_by_a_place_that_does_not_answer() {
    let ([one, ..], _) = fleet(90);
    let begun = tokio::time::Instant::now();
    assert!(one.budget.obtain(REQUEST, one.clock(0)).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::from_millis(250));
    // The next does not even try.
    assert!(one.budget.obtain(REQUEST, one.clock(0)).await.is_ok());
    assert_eq!(begun.elapsed(), Duration::from_millis(250));
}
