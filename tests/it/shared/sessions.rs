use std::time::Instant;

use super::{Fleet, Replica, eventually};

/// Where the session is asked about.
const ASKED: &str = "/asked/x";

fn lookups(fleet: &Fleet) -> usize {
    fleet.sandbox.requests("GetSession")
}

/// Clerk is asked, and what it said is in Redis.
fn asked(fleet: &Fleet, replica: &Replica, token: &str) {
    assert_eq!(replica.verdict(ASKED, token).0, 200);
    eventually("it is shared", || session_key(fleet).is_some());
}

fn session_key(fleet: &Fleet) -> Option<String> {
    let mut keys = fleet.redis.keys().into_iter();
    keys.find(|key| key.contains(":session:") && !key.ends_with(":claimed"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn clerk_is_asked_about_a_session_once_for_all_replicas() {
    let fleet = Fleet::start(3).await;
    assert_eq!(fleet.fetched_by_all(ASKED, "session", lookups), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_session_is_believed_for_its_ttl_and_no_longer_whoever_asked() {
    let fleet = Fleet::start(2).await;
    let (session, token) = fleet.new_session();
    asked(&fleet, &fleet.replicas[0], &token);
    let since = Instant::now();
    fleet.sandbox.revoke(&session);
    assert_eq!(fleet.replicas[1].verdict(ASKED, &token).0, 200);
    for replica in &fleet.replicas {
        eventually("it is over", || replica.verdict(ASKED, &token).0 == 401);
    }
    // The configured 3 s, and some time for the test itself.
    assert!(since.elapsed().as_millis() < 4_500);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn what_was_shared_before_a_revocation_passes_nobody_after_it() {
    let fleet = Fleet::start(2).await;
    let (session, token) = fleet.new_session();
    asked(&fleet, &fleet.replicas[0], &token);
    let key = session_key(&fleet).unwrap();
    fleet.ban_by_webhook();
    for replica in &fleet.replicas {
        eventually("banned", || {
            replica.verdict(ASKED, &token) == (401, "user-banned".to_owned())
        });
    }
    // The old answer is still there, and nobody's new one.
    assert_eq!(fleet.redis.cli(&["EXISTS", &key]), "1");
    // A session token of after the ban, as when that was lifted again: Clerk is asked anew.
    let before = lookups(&fleet);
    let later = fleet.later_token(&session);
    assert_eq!(fleet.replicas[1].verdict(ASKED, &later).0, 200);
    assert_eq!(lookups(&fleet), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_value_that_is_garbled_or_of_another_session_makes_nobody_pass() {
    let fleet = Fleet::start(2).await;
    let (ended, ended_token) = fleet.new_session();
    asked(&fleet, &fleet.replicas[0], &ended_token);
    let of_ended = session_key(&fleet).unwrap();
    fleet.redis.cli(&["RENAME", &of_ended, "active"]);
    fleet.sandbox.revoke(&ended);
    let (_, other_token) = fleet.new_session();
    asked(&fleet, &fleet.replicas[0], &other_token);
    let of_other = session_key(&fleet).unwrap();
    fleet.redis.cli(&["DEL", &of_other]);
    // What was said of one session, put where the other's is looked for.
    fleet.redis.cli(&["COPY", "active", &of_other]);
    let before = lookups(&fleet);
    assert_eq!(fleet.replicas[1].verdict(ASKED, &other_token).0, 200);
    assert_eq!(lookups(&fleet), before + 1);
    fleet.redis.cli(&["SET", &of_ended, "garbled"]);
    let verdict = fleet.replicas[1].verdict(ASKED, &ended_token);
    assert_eq!(verdict, (401, "session-revoked".to_owned()));
    let forged = "clerk_gateway_shared_lookups_total{kind=\"session\",result=\"forged\"}";
    assert_eq!(fleet.replicas[1].metric(forged), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_replica_that_dies_while_it_asks_holds_nobody_up() {
    let fleet = Fleet::start(1).await;
    let (_, token) = fleet.new_session();
    asked(&fleet, &fleet.replicas[0], &token);
    // As a replica leaves it that has claimed the fetch and was killed.
    let key = session_key(&fleet).unwrap();
    eventually("it is past its time", || session_key(&fleet).is_none());
    fleet
        .redis
        .cli(&["SET", &format!("{key}:claimed"), "a dead one", "PX", "3000"]);
    let since = Instant::now();
    assert_eq!(fleet.replicas[0].verdict(ASKED, &token).0, 200);
    assert!(since.elapsed().as_millis() < 1_500);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_redis_that_hangs_costs_a_request_a_moment_and_no_verdict() {
    let fleet = Fleet::start(1).await;
    let (_, token) = fleet.new_session();
    fleet.redis.signal("STOP");
    let since = Instant::now();
    assert_eq!(fleet.replicas[0].verdict(ASKED, &token).0, 200);
    assert!(since.elapsed().as_millis() < 1_000);
    fleet.redis.signal("CONT");
}
