use std::collections::BTreeSet;

use super::{Fleet, eventually};

const MINTED: &str = "/token/x";

fn mints(fleet: &Fleet) -> usize {
    fleet.sandbox.requests("CreateSessionTokenFromTemplate")
}

fn token_key(fleet: &Fleet) -> Option<String> {
    let mut keys = fleet.redis.keys().into_iter();
    keys.find(|key| key.contains(":template-token:") && !key.ends_with(":claimed"))
}

/// The token that the upstream was given last.
fn given(fleet: &Fleet) -> String {
    fleet.upstream.header("authorization").concat()
}

fn bearer_in(request: &str) -> String {
    let mut lines = request.lines();
    let line = lines.find_map(|line| line.strip_prefix("authorization: "));
    line.unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_template_token_is_minted_once_for_all_replicas() {
    let fleet = Fleet::start(3).await;
    let minted = fleet.fetched_by_all(MINTED, "template-token", mints);
    assert_eq!(minted, 1);
    let given: BTreeSet<_> = fleet
        .upstream
        .all()
        .iter()
        .map(|request| bearer_in(request))
        .collect();
    // A token a session, whichever replica it went through.
    let sessions = fleet.sandbox.requests("GetSession");
    assert!(given.len() <= sessions, "{given:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_token_that_is_garbled_or_of_another_session_is_minted_anew() {
    let fleet = Fleet::start(2).await;
    let (_, token) = fleet.new_session();
    assert_eq!(fleet.replicas[0].verdict(MINTED, &token).0, 200);
    let first = given(&fleet);
    eventually("it is shared", || token_key(&fleet).is_some());
    fleet
        .redis
        .cli(&["RENAME", &token_key(&fleet).unwrap(), "first"]);
    let (_, other) = fleet.new_session();
    assert_eq!(fleet.replicas[0].verdict(MINTED, &other).0, 200);
    eventually("it is shared", || token_key(&fleet).is_some());
    let key = token_key(&fleet).unwrap();
    fleet.redis.cli(&["DEL", &key]);
    fleet.redis.cli(&["COPY", "first", &key]);
    assert_eq!(fleet.replicas[1].verdict(MINTED, &other).0, 200);
    assert_eq!(mints(&fleet), 3);
    assert_ne!(given(&fleet), first);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_token_minted_before_a_revocation_is_given_to_nobody_after_it() {
    let fleet = Fleet::start(2).await;
    let (session, token) = fleet.new_session();
    assert_eq!(fleet.replicas[0].verdict(MINTED, &token).0, 200);
    let before = given(&fleet);
    eventually("it is shared", || token_key(&fleet).is_some());
    fleet.ban_by_webhook();
    eventually("banned", || {
        fleet.replicas[1].verdict(MINTED, &token).0 == 401
    });
    // A session token of after the ban, as when that was lifted again.
    let later = fleet.later_token(&session);
    assert_eq!(fleet.replicas[1].verdict(MINTED, &later).0, 200);
    assert_ne!(given(&fleet), before);
    assert_eq!(mints(&fleet), 2);
}
