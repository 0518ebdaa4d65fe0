//! A row in which everything that three gateways stand between is killed in turn, and they themselves.

use std::time::Duration;

use super::{
    kind::{CALM, DOWN, Kind, TOLD_ALL},
    place::{FLEET, Setting},
    row::Row,
};

/// Longer than it takes to tell the others.
const TOLD: u64 = 1_000;
/// So late are Redis's answers while a replica starts: without them it has nothing to answer by.
const LATE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn clerk_replicas_and_redis_killed_in_turn() {
    let setting = Setting {
        is_apart: true,
        ..FLEET
    };
    let more = [Kind::Ended, Kind::Own, Kind::Others];
    let mut row = Row::asking("clerk, replicas, redis killed (-9)", setting, &more).await;
    row.turn(DOWN, 300, async |place| place.clerk().kill())
        .await;
    row.last(1_000).await;
    row.turn(CALM, 2_500, async |place| place.clerk().start_again())
        .await;
    row.last(300).await;
    kill_last(&mut row).await;
    for replica in 0..row.place.replicas.len() - 1 {
        row.turn(TOLD_ALL.without(replica), 0, async |place| {
            place.replicas[replica].kill();
        })
        .await;
        row.last(300).await;
        row.place.replicas[replica].start_again();
        row.turn(TOLD_ALL, 500, async |_| ()).await;
    }
    row.place.kill_redis();
    row.last(700).await;
    row.place.start_redis_again();
    row.last(1_000).await;
    row.end().await;
}

/// Kills a replica, which refuses from its first answer on what was revoked while it was gone.
async fn kill_last(row: &mut Row) {
    let last = row.place.replicas.len() - 1;
    row.turn(CALM.without(last), 0, async |place| {
        place.replicas[last].kill();
    })
    .await;
    row.last(300).await;
    let told = TOLD_ALL.without(last);
    row.turn(told, TOLD, async |place| place.revoke_all_on(0))
        .await;
    row.place.wire().slow(LATE);
    row.place.replicas[last].start_again();
    row.last(1_200).await;
    row.place.wire().heal();
    row.turn(TOLD_ALL, 300, async |_| ()).await;
    row.last(300).await;
}
