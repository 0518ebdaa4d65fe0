//! Rows in which the gateway, its upstream or its clients fail.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    kind::{CALM, GATEWAY_GONE, Kind, SLOW, UPSTREAM_GONE, WORKER_GONE},
    place::{SETTING, Setting},
    row::Row,
};
use crate::support::process::get;

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_gone_and_back() {
    let mut row = Row::start("upstream gone, by halves", SETTING).await;
    let [one, other] = row.place.workers.addresses;
    row.may_replay();
    row.turn(WORKER_GONE, 0, async |place| place.workers.go(one))
        .await;
    row.last(1_000).await;
    row.turn(UPSTREAM_GONE, 300, async |place| place.workers.go(other))
        .await;
    row.last(1_000).await;
    row.turn(CALM, 1_000, async |place| {
        place.workers.come(one).await;
        place.workers.come(other).await;
    })
    .await;
    row.last(1_000).await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_while_minting_and_started_again() {
    let mut row = Row::start("gateway killed (-9) while minting", SETTING).await;
    row.turn(SLOW, 0, async |place| {
        let faults = place.sandbox.faults();
        faults.only(&["CreateSessionTokenFromTemplate"]);
        faults.latency(Duration::from_millis(400));
    })
    .await;
    row.last(700).await;
    row.turn(GATEWAY_GONE, 0, async |place| place.replicas[0].kill())
        .await;
    row.last(500).await;
    row.turn(CALM, 1_500, async |place| {
        place.sandbox.faults().clear();
        place.replicas[0].start_again();
    })
    .await;
    row.last(1_000).await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_away() {
    let setting = Setting {
        session_ttl: "30s",
        ..SETTING
    };
    let mut row = Row::asking("clients gone", setting, &[Kind::Leaver; 5]).await;
    let place = Arc::clone(&row.place);
    row.last(1_000).await;
    // And here Clerk's answer comes when nobody waits for it any more.
    row.turn(SLOW, 0, async |place| {
        let faults = place.sandbox.faults();
        faults.only(&["GetSession"]);
        faults.latency(Duration::from_millis(1_200));
    })
    .await;
    row.last(1_500).await;
    row.turn(CALM, 1_500, async |place| place.sandbox.faults().clear())
        .await;
    row.last(500).await;
    row.end().await;
    let (held, abandoned) = place.workers.held();
    assert!(held > 0 && abandoned == held, "{abandoned} of {held} ended");
    // Each session was asked for once, and once more where a token was minted.
    let mints = place.sandbox.requests("CreateSessionTokenFromTemplate");
    let lookups = place.sandbox.requests("GetSession");
    assert!(lookups <= place.sessions() + mints, "{lookups} lookups");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_configurations() {
    let row = Row::start("bad reloads", SETTING).await;
    let good = std::fs::read_to_string(&row.place.replicas[0].file).unwrap();
    for bad in [
        "",
        "no toml",
        "[clerk]\nunknown = 1\n",
        "[[route]]\npath = 7\n",
    ] {
        reload(&row, bad).await;
    }
    assert_eq!(reloads(&row, "bad"), Some(4));
    reload(&row, &good).await;
    assert_eq!(reloads(&row, "ok"), Some(1));
    row.last(300).await;
    row.end().await;
}

async fn reload(row: &Row, text: &str) {
    std::fs::write(&row.place.replicas[0].file, text).unwrap();
    let counts = || (reloads(row, "bad"), reloads(row, "ok"));
    let before = counts();
    row.place.replicas[0].hang_up();
    let deadline = Instant::now() + Duration::from_secs(10);
    while counts() == before {
        assert!(Instant::now() < deadline, "not reloaded: {before:?}");
        row.last(50).await;
    }
}

fn reloads(row: &Row, outcome: &str) -> Option<u32> {
    let metrics = get(row.place.replicas[0].admin, "/metrics", &[]);
    let name = format!("clerk_gateway_config_reloads_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map(|count| count.parse().unwrap())
}
