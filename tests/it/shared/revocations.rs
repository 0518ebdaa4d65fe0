use std::{io::Read, time::Instant};

use super::{Fleet, ban, eventually};
use crate::support::process::{get, status_of};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_session_revoked_on_one_replica_is_over_on_all() {
    let fleet = Fleet::start(3).await;
    let (session, token) = fleet.new_session();
    let (_, other) = fleet.new_session();
    let streams: Vec<_> = fleet.replicas.iter().map(|r| r.websocket(&token)).collect();
    fleet.replicas[0].revoke(&session);
    for replica in &fleet.replicas {
        replica.comes_to_refuse(&token, "session-revoked");
        replica.passes(&other);
    }
    for mut stream in streams {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"\x88\x02\x03\xf0");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn what_a_webhook_revokes_on_one_replica_is_revoked_on_all_and_told_once() {
    let fleet = Fleet::start(3).await;
    let (_, token) = fleet.new_session();
    assert_eq!(
        fleet.replicas[1].deliver(&ban(fleet.sandbox.user_id())),
        204
    );
    for replica in &fleet.replicas {
        replica.comes_to_refuse(&token, "user-banned");
    }
    for (index, news) in [(0, 1), (1, 0), (2, 1)] {
        let replica = &fleet.replicas[index];
        eventually("its own words come back", || {
            replica.messages("news") + replica.messages("known") == 1
        });
        assert_eq!(replica.messages("news"), news);
        assert_eq!(replica.messages("said"), 1 - news);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_replica_that_starts_later_knows_what_was_revoked_before() {
    let mut fleet = Fleet::start(1).await;
    let (session, token) = fleet.new_session();
    fleet.replicas[0].revoke(&session);
    eventually("it is told", || fleet.replicas[0].messages("said") == 1);
    drop(fleet.replicas.pop());
    fleet.redis.signal("STOP");
    fleet.add();
    // Nobody is answered before it knows.
    let replica = &fleet.replicas[0];
    std::thread::scope(|scope| {
        let first = scope.spawn(|| replica.verdict("/plain/x", &token));
        let since = Instant::now();
        while !first.is_finished() && since.elapsed().as_millis() < 300 {
            std::thread::yield_now();
        }
        fleet.redis.signal("CONT");
        let verdict = first.join().unwrap();
        assert_eq!(verdict, (401, "session-revoked".to_owned()));
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_replica_starts_without_redis_too() {
    for signal in ["KILL", "STOP"] {
        let mut fleet = Fleet::start(0).await;
        fleet.redis.signal(signal);
        fleet.add();
        let (_, token) = fleet.new_session();
        fleet.replicas[0].passes(&token);
        assert!(!fleet.replicas[0].is_up());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn replicas_go_on_without_redis_and_tell_each_other_when_it_is_back() {
    let mut fleet = Fleet::start(2).await;
    let (early, early_token) = fleet.new_session();
    let (late, late_token) = fleet.new_session();
    fleet.replicas[0].revoke(&early);
    fleet.replicas[1].comes_to_refuse(&early_token, "session-revoked");
    fleet.redis.kill();
    for replica in &fleet.replicas {
        eventually("redis is missed", || !replica.is_up());
        assert_eq!(status_of(&get(replica.admin, "/readyz", &[])), 200);
    }
    fleet.replicas[0].revoke(&late);
    fleet.replicas[0].comes_to_refuse(&late_token, "session-revoked");
    fleet.replicas[1].passes(&late_token);
    // Nothing is left in it: what was said before is said again, for those who start now.
    fleet.redis.start_again();
    fleet.replicas[1].comes_to_refuse(&late_token, "session-revoked");
    fleet.add();
    fleet.replicas[2].comes_to_refuse(&late_token, "session-revoked");
    fleet.replicas[2].comes_to_refuse(&early_token, "session-revoked");
    let warned = fleet.replicas[1].process.stderr();
    assert_eq!(warned.matches("this replica goes on alone").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_redis_that_hangs_is_missed_and_found_again() {
    let fleet = Fleet::start(2).await;
    let (session, token) = fleet.new_session();
    fleet.redis.signal("STOP");
    eventually("redis is missed", || !fleet.replicas[0].is_up());
    fleet.replicas[0].revoke(&session);
    fleet.redis.signal("CONT");
    fleet.replicas[1].comes_to_refuse(&token, "session-revoked");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_webhook_is_to_be_sent_again_until_the_other_replicas_have_heard_of_it() {
    let mut fleet = Fleet::start(2).await;
    let (_, token) = fleet.new_session();
    let delivery = ban(fleet.sandbox.user_id());
    fleet.redis.kill();
    eventually("redis is missed", || !fleet.replicas[0].is_up());
    assert_eq!(fleet.replicas[0].deliver(&delivery), 503);
    // It holds where it came, all the same.
    let verdict = fleet.replicas[0].verdict("/plain/x", &token);
    assert_eq!(verdict, (401, "user-banned".to_owned()));
    fleet.replicas[1].passes(&token);
    fleet.redis.start_again();
    fleet.meets();
    assert_eq!(fleet.replicas[0].deliver(&delivery), 204);
    fleet.replicas[1].comes_to_refuse(&token, "user-banned");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn what_no_replica_wrote_is_ignored_and_counted() {
    let fleet = Fleet::start(2).await;
    let (session, token) = fleet.new_session();
    let forged = format!(
        "{{\"at\":1,\"revoked\":{{\"session\":{{\"id\":\"{session}\",\"end\":\"revoked\"}}}}}}"
    );
    fleet.replicas[0].deliver(&ban("user_other"));
    let mut keys = fleet.redis.keys().into_iter();
    let stream = keys.find(|key| key.ends_with(":revocations")).unwrap();
    for field in ["m", "other"] {
        fleet.redis.cli(&["XADD", &stream, "*", field, &forged]);
    }
    // A genuine message once more, byte for byte.
    let again = "local m = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][2]; \
                 redis.call('XADD', KEYS[1], '*', m[1], m[2])";
    fleet.redis.cli(&["EVAL", again, "1", &stream]);
    let (last, last_token) = fleet.new_session();
    fleet.replicas[0].revoke(&last);
    for (replica, known) in fleet.replicas.iter().zip([3, 1]) {
        replica.comes_to_refuse(&last_token, "session-revoked");
        replica.passes(&token);
        eventually("all is read", || replica.messages("known") == known);
        assert_eq!(replica.messages("forged"), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn whoever_reads_redis_learns_no_token_and_no_id() {
    let fleet = Fleet::start(2).await;
    let (session, token) = fleet.new_session();
    for target in ["/plain/x", "/token/x"] {
        assert_eq!(fleet.replicas[0].verdict(target, &token).0, 200);
    }
    fleet.replicas[0].deliver(&ban(fleet.sandbox.user_id()));
    fleet.replicas[0].revoke(&session);
    fleet.replicas[1].comes_to_refuse(&token, "session-revoked");
    let keys = fleet.redis.keys();
    assert!(keys.len() > 1, "{keys:?}");
    let mut all = keys.join("\n");
    for key in &keys {
        all.push_str(&fleet.redis.cli(&["--no-raw", "DUMP", key]));
    }
    let user = fleet.sandbox.user_id();
    for secret in ["sess_", "user_", "eyJ", &session, user, &token] {
        assert!(!all.contains(secret), "{secret}");
    }
}
