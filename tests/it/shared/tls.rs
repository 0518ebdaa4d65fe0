//! Redis over TLS.

use super::{Fleet, eventually};
use crate::support::{programs::Certificate, redis::Redis};

fn trusting(authority: &Certificate) -> String {
    format!("ca_file = \"{}\"", authority.cert.display())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn replicas_share_by_a_redis_whose_authority_they_are_told() {
    let authority = Certificate::for_name("authority.test");
    let redis = Redis::over_tls("localhost", &authority);
    let mut fleet = Fleet::alone(redis).await;
    for _ in 0..2 {
        fleet.add_with(&trusting(&authority));
    }
    fleet.meets();
    let (session, token) = fleet.new_session();
    fleet.replicas[1].passes(&token);
    fleet.replicas[0].revoke(&session);
    fleet.replicas[1].comes_to_refuse(&token, "session-revoked");
}

/// How a replica that is told these lines complains of a Redis's certificate for a name.
async fn complaint(name: &str, authority: &Certificate, lines: &str, complaint: &str) {
    let mut fleet = Fleet::alone(Redis::over_tls(name, authority)).await;
    fleet.add_with(lines);
    let replica = &fleet.replicas[0];
    eventually(complaint, || replica.process.stderr().contains(complaint));
    assert_eq!(replica.metric("clerk_gateway_shared_up"), Some(0));
    let (_, token) = fleet.new_session();
    replica.passes(&token);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_redis_that_no_known_authority_vouches_for_is_not_used_and_that_is_said() {
    let authority = Certificate::for_name("authority.test");
    let other = Certificate::for_name("other.test");
    for lines in [&trusting(&other), ""] {
        complaint("localhost", &authority, lines, "UnknownIssuer").await;
    }
    let lines = trusting(&authority);
    complaint("other.test", &authority, &lines, "not valid for name").await;
}
