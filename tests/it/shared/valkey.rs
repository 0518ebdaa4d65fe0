//! Valkey in Redis's place.

use super::{Fleet, everywhere::Lags};
use crate::support::redis::Redis;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs valkey-server; tests/run installs it"]
async fn replicas_share_by_valkey_as_by_redis() {
    let mut fleet = Fleet::alone(Redis::valkey()).await;
    for _ in 0..3 {
        fleet.add();
    }
    fleet.meets();
    let mut lags = Lags::default();
    for round in 0..9 {
        lags.measure(&fleet, round % 3);
    }
    lags.judge("valkey");
    let lookups = |fleet: &Fleet| fleet.sandbox.requests("GetSession");
    assert_eq!(fleet.fetched_by_all("/asked/x", "session", lookups), 1);
    let (session, token) = fleet.new_session();
    fleet.redis.kill();
    fleet.replicas[0].revoke(&session);
    fleet.redis.start_again();
    for replica in &fleet.replicas {
        replica.comes_to_refuse(&token, "session-revoked");
    }
}
