//! Rows in which Clerk fails.

use std::time::Duration;

use clerk_gateway::sandbox::{Outage, Sandbox};

use super::{
    kind::{
        CALM, DOWN, KEY_REFUSED, KEY_REFUSED_LONG, Kind, PAST_STALE, RATE_LIMITED, ROTATED,
        ROTATED_UNSEEN, SLOW, TEMPLATE_MISSING,
    },
    place::{SETTING, Setting, add_template},
    row::Row,
};
use crate::support::process::{get, status_of};

const LATE: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread")]
async fn clerk_slow() {
    let mut row = Row::start("clerk slow", SETTING).await;
    row.turn(SLOW, 0, async |place| place.sandbox.faults().latency(LATE))
        .await;
    row.last(2_500).await;
    row.turn(CALM, 2_000, async |place| place.sandbox.faults().clear())
        .await;
    row.last(500).await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clerk_erring() {
    let mut row = Row::start("clerk erring", SETTING).await;
    row.turn(DOWN, 500, async |place| {
        place.sandbox.faults().errors(1.0, 500)
    })
    .await;
    row.last(2_000).await;
    row.turn(CALM, 2_500, async |place| place.sandbox.faults().clear())
        .await;
    row.last(500).await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clerk_breaking_off() {
    let mut row = Row::start("clerk breaking off in mid-body", SETTING).await;
    row.turn(DOWN, 500, async |place| {
        place.sandbox.faults().outage(Some(Outage::BrokenOff));
    })
    .await;
    row.last(2_000).await;
    row.turn(CALM, 2_500, async |place| place.sandbox.faults().clear())
        .await;
    row.last(500).await;
    row.end().await;
}
#[tokio::test(flavor = "multi_thread")]
async fn clerk_down_for_longer_than_anything_may_be_served() {
    let setting = Setting {
        stale_if_error: "4s",
        ..SETTING
    };
    let mut row = Row::start("clerk down, then past stale_if_error", setting).await;
    row.turn(DOWN, 300, async |place| {
        place.sandbox.faults().outage(Some(Outage::Dropped));
    })
    .await;
    row.last(1_000).await;
    // The last session that was asked for has another second, and its template token 50.
    row.turn(PAST_STALE, 4_500, async |_| ()).await;
    row.last(700).await;
    row.turn(CALM, 1_500, async |place| place.sandbox.faults().clear())
        .await;
    row.last(500).await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clerk_wanting_to_be_left_alone() {
    let setting = Setting {
        session_ttl: "30s",
        ..SETTING
    };
    let mut row = Row::start("clerk answering 429, Retry-After 6", setting).await;
    // Longer than any call waits, so that it is refused at once.
    let wait = Duration::from_secs(6);
    row.turn(RATE_LIMITED, 1_000, async |place| {
        place.sandbox.faults().rate_limited(Some(wait));
    })
    .await;
    let asked = row.place.sandbox.requests("GetSession");
    row.last(1_500).await;
    row.place.sandbox.faults().clear();
    row.last(2_000).await;
    // But for what was on its way, nobody has asked meanwhile, for any session, though Clerk would have answered.
    let since = row.place.sandbox.requests("GetSession") - asked;
    assert!(since < 10, "{since} calls while the gate was closed");
    row.turn(CALM, 2_500, async |_| ()).await;
    row.last(500).await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clerk_wanting_a_moment() {
    let setting = Setting {
        session_ttl: "30s",
        ..SETTING
    };
    let mut row = Row::start("clerk answering 429, Retry-After 1", setting).await;
    let wait = Duration::from_secs(1);
    row.turn(RATE_LIMITED, 0, async |place| {
        place.sandbox.faults().rate_limited(Some(wait));
    })
    .await;
    row.last(500).await;
    row.turn(CALM, 2_500, async |place| place.sandbox.faults().clear())
        .await;
    row.last(500).await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clerk_refusing_our_own_key() {
    let mut row = Row::start("clerk refusing the secret key", SETTING).await;
    let admin = row.place.replicas[0].admin;
    row.turn(KEY_REFUSED, 300, async |place| {
        place.sandbox.faults().errors(1.0, 401);
    })
    .await;
    row.turn(KEY_REFUSED_LONG, 1_500, async |_| ()).await;
    row.last(1_000).await;
    assert_eq!(status_of(&get(admin, "/readyz", &[])), 503);
    row.turn(CALM, 1_500, async |place| place.sandbox.faults().clear())
        .await;
    assert_eq!(status_of(&get(admin, "/readyz", &[])), 200);
    row.last(500).await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_gone_and_back() {
    let mut row = Row::start("template missing", SETTING).await;
    row.turn(TEMPLATE_MISSING, 300, async |place| {
        remove_template(&place.sandbox).await;
    })
    .await;
    row.last(1_500).await;
    row.turn(CALM, 500, async |place| add_template(&place.sandbox))
        .await;
    row.last(500).await;
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_nobody_has_heard_of() {
    let row = Row::asking("unknown key IDs", SETTING, &[Kind::UnknownKid; 10]).await;
    row.last(2_000).await;
    // One when it began, one for all the unknown.
    assert_eq!(row.place.sandbox.requests("GetJWKS"), 2);
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotated() {
    let mut row = Row::start("key rotated", SETTING).await;
    // Until somebody comes with a token of the new key, nobody knows of it.
    row.turn(ROTATED, 1_500, async |place| place.sandbox.rotate_key())
        .await;
    row.last(700).await;
    assert_eq!(row.place.sandbox.requests("GetJWKS"), 2);
    row.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotated_while_they_cannot_be_fetched() {
    let mut row = Row::start("key rotated, JWKS down", SETTING).await;
    row.turn(ROTATED_UNSEEN, 0, async |place| {
        let faults = place.sandbox.faults();
        faults.only(&["GetJWKS"]);
        faults.errors(1.0, 503);
        place.sandbox.rotate_key();
    })
    .await;
    row.last(2_000).await;
    row.turn(ROTATED, 2_000, async |place| place.sandbox.faults().clear())
        .await;
    row.last(500).await;
    row.end().await;
}

/// Removes what only newcomers need, as an administrator does.
async fn remove_template(sandbox: &Sandbox) {
    let client = reqwest::Client::new();
    let url = format!("{}/v1/jwt_templates", sandbox.url());
    let key = sandbox.secret_key();
    let all = client.get(&url).bearer_auth(key).send().await.unwrap();
    let all: Vec<serde_json::Value> = all.json().await.unwrap();
    let wanted = all.iter().find(|template| template["name"] == "wanted");
    let id = wanted.unwrap()["id"].as_str().unwrap();
    let gone = client.delete(format!("{url}/{id}")).bearer_auth(key).send();
    assert_eq!(gone.await.unwrap().status(), 200);
}
