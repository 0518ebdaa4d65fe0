//! Rows in which the Redis fails that three gateways share. What is revoked on one of them meanwhile is refused there
//! at once, and on the others as soon as Redis is back.

use std::time::Duration;

use super::{
    kind::{CALM, Kind, TOLD_ALL, TOLD_SOME},
    place::{FLEET, Place},
    row::Row,
};

const MORE: &[Kind] = &[Kind::Ended, Kind::Own, Kind::Others];
/// Slow, and not yet given up on.
const SLOW: Duration = Duration::from_millis(1_700);
/// So late that it counts as gone.
const VERY_SLOW: Duration = Duration::from_secs(2);
/// Redis is asked first about whom nobody knows, and has 50 ms, not its 3 s; the rest is for a busy machine.
const WAITED: Duration = Duration::from_millis(1_200);
/// So long, at least, nobody finds that Redis is gone that does not say so.
const UNNOTICED: u64 = 500;
/// The longest wait before the next try, and the connecting.
const FOUND_AGAIN: u64 = 7_500;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn redis_killed_and_back() {
    without_redis(
        "redis killed (-9)",
        Place::kill_redis,
        Place::start_redis_again,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn redis_slow() {
    let slow = |place: &Place| place.wire().slow(SLOW);
    without_redis("redis slow by 1.7 s", slow, |place| place.wire().heal()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn redis_very_slow() {
    let slow = |place: &Place| place.wire().slow(VERY_SLOW);
    without_redis("redis slow by 2 s", slow, |place| place.wire().heal()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn redis_on_the_other_side_of_a_partition() {
    let cut = |place: &Place| place.wire().cut();
    without_redis("redis partitioned", cut, |place| place.wire().heal()).await;
}

async fn without_redis(name: &'static str, fail: fn(&Place), mend: fn(&Place)) {
    let mut row = Row::asking(name, FLEET, MORE).await;
    row.turn(CALM, UNNOTICED, async |place| fail(place)).await;
    row.turn(TOLD_SOME, 0, async |place| place.revoke_on_each())
        .await;
    row.last(4_000).await;
    row.turn(TOLD_ALL, FOUND_AGAIN, async |place| mend(place))
        .await;
    row.last(500).await;
    for replica in &row.place.replicas {
        replica.finds_redis(true).await;
    }
    row.end_with_newcomers_within(WAITED).await;
}
