//! Clerk's rate limit as a budget: never exceeded, those who wait first, and sessions that last longer where it is
//! scarce, within a stated time.

use std::time::{Duration, Instant};

use clerk_gateway::{CacheSettings, Clerk, SessionLayer, verify::OnUnavailable};
use http::StatusCode;

use crate::support::*;

/// A handle with so many calls in 10 seconds.
fn clerk(stage: &Stage, calls: u32) -> Clerk {
    let clerk = stage.builder().jwt_key(stage.sandbox.jwt_key());
    clerk.calls_per_10s(calls).build().unwrap()
}

/// More sessions of the ready user, each with a token; made at no cost of anybody's budget.
async fn sessions(stage: &Stage, count: usize) -> Vec<String> {
    let clerk = clerk(stage, 0);
    let mut tokens = Vec::new();
    for _ in 0..count {
        let session = clerk.sessions().create(stage.sandbox.user_id(), None).await;
        tokens.push(stage.sandbox.mint(&session.unwrap().id));
    }
    tokens
}

/// Uses calls of the handle's budget up.
async fn press(stage: &Stage, clerk: &Clerk, calls: usize) {
    for _ in 0..calls {
        let asked = clerk.sessions().get(stage.sandbox.session_id()).await;
        asked.unwrap();
    }
}

/// A token that outlives every clock that a test moves, minted when the test began.
fn long_token(stage: &Stage) -> String {
    stage.sandbox.session_token().to_owned()
}

/// A token minted now that lives for an hour.
fn lasting(stage: &Stage) -> String {
    let id = stage.sandbox.session_id();
    stage.sandbox.mint_with(id, |_, claims| {
        claims["exp"] = (claims["iat"].as_i64().unwrap() + 3_600).into();
    })
}

#[tokio::test]
async fn a_flood_of_sessions_asks_no_more_than_the_budget_and_the_rest_is_503() {
    let stage = Stage::start().await;
    let layer = SessionLayer::required(clerk(&stage, 5));
    let mut verdicts = Vec::new();
    for token in sessions(&stage, 20).await {
        let response = call(&layer, bearer(&token)).await;
        let wait = response.headers().get("retry-after").cloned();
        verdicts.push((response.status(), wait, code(response).await));
    }
    assert_eq!(stage.lookups(), 5);
    let (passed, refused) = verdicts.split_at(5);
    assert!(passed.iter().all(|(status, ..)| *status == StatusCode::OK));
    for (status, wait, code) in refused {
        assert_eq!(*status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(wait.as_ref().unwrap(), "11");
        assert_eq!(code, "clerk-rate-limited");
    }
}

#[tokio::test]
async fn a_lookup_waits_for_its_turn_where_that_comes_in_time() {
    let stage = Stage::start().await;
    let clerk = clerk(&stage, 3);
    let layer = SessionLayer::required(clerk.clone());
    press(&stage, &clerk, 3).await;
    stage.pass(9);
    let moving = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.pass(2);
    };
    let begun = Instant::now();
    let token = long_token(&stage);
    let (verdict, ()) = tokio::join!(verdict(&layer, bearer(&token)), moving);
    assert_eq!(verdict, passed());
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(stage.lookups(), 4);
}

#[tokio::test]
async fn networkless_on_unavailable_goes_on_where_the_budget_ends() {
    let stage = Stage::start().await;
    let clerk = stage
        .builder()
        .jwt_key(stage.sandbox.jwt_key())
        .calls_per_10s(1)
        .on_unavailable(OnUnavailable::Networkless);
    let layer = SessionLayer::required(clerk.build().unwrap());
    for token in sessions(&stage, 3).await {
        assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    }
    assert_eq!(stage.lookups(), 1);
}

#[tokio::test]
async fn under_pressure_an_active_session_lasts_up_to_its_longest_time() {
    let stage = Stage::start().await;
    let clerk = clerk(&stage, 8);
    let layer = SessionLayer::required(clerk.clone());
    let token = long_token(&stage);
    for (after, pressed, asked) in [
        // Nothing else is asked: the usual time.
        (16, 0, 1),
        (16, 4, 1),
        // Three quarters of the budget are used up.
        (16, 6, 0),
        (59, 6, 0),
        (61, 6, 1),
    ] {
        stage.pass(600);
        assert_eq!(verdict(&layer, bearer(&token)).await, passed());
        stage.pass(after);
        press(&stage, &clerk, pressed).await;
        let before = stage.lookups();
        assert_eq!(verdict(&layer, bearer(&token)).await, passed());
        assert_eq!(
            stage.lookups() - before,
            asked,
            "{after} s, {pressed} calls"
        );
    }
}

#[tokio::test]
async fn under_pressure_a_token_says_that_its_session_was_active_when_it_was_minted() {
    let stage = Stage::start().await;
    let clerk = clerk(&stage, 8);
    let layer = SessionLayer::required(clerk.clone());
    assert_eq!(verdict(&layer, bearer(&long_token(&stage))).await, passed());
    stage.pass(50);
    let newer = lasting(&stage);
    // Clocks may differ by 5 s, so the newer token counts as minted 55 s ago.
    stage.pass(54);
    press(&stage, &clerk, 6).await;
    let older = long_token(&stage);
    for (token, asked) in [(newer, 0), (older, 1)] {
        let before = stage.lookups();
        assert_eq!(verdict(&layer, bearer(&token)).await, passed());
        assert_eq!(stage.lookups() - before, asked);
    }
}

#[tokio::test]
async fn no_pressure_stretches_over_a_revocation_that_is_known() {
    let stage = Stage::start().await;
    let clerk = clerk(&stage, 8);
    let layer = SessionLayer::required(clerk.clone());
    let token = long_token(&stage);
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    stage.pass(16);
    press(&stage, &clerk, 6).await;
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    let id = stage.sandbox.session_id();
    clerk.sessions().revoke(id).await.unwrap();
    let verdict = verdict(&layer, bearer(&token)).await;
    assert_eq!(verdict, refused(401, "session-revoked"));
}

#[tokio::test]
async fn an_unheard_of_revocation_is_seen_within_the_longest_time() {
    let stage = Stage::start().await;
    let gated = clerk(&stage, 8);
    let layer = SessionLayer::required(gated.clone());
    let token = long_token(&stage);
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    let id = stage.sandbox.session_id();
    clerk(&stage, 0).sessions().revoke(id).await.unwrap();
    stage.pass(59);
    press(&stage, &gated, 6).await;
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    stage.pass(1);
    let verdict = verdict(&layer, bearer(&token)).await;
    assert_eq!(verdict, refused(401, "session-revoked"));
}

#[tokio::test]
async fn neither_a_no_nor_a_bare_id_is_stretched() {
    let stage = Stage::start().await;
    let gated = clerk(&stage, 8);
    let bare = SessionLayer::builder(gated.clone())
        .session_id_header("x-session-id")
        .session_id_callers(["127.0.0.1/32"])
        .peer(|_| "127.0.0.1".parse().ok())
        .build()
        .unwrap();
    let ended = sessions(&stage, 1).await.remove(0);
    let ended_id = clerk(&stage, 0).sessions();
    let query = clerk_gateway::clerk::SessionQuery::new().user_id(stage.sandbox.user_id());
    let newest = ended_id.list(&query).await.unwrap().data.remove(0).id;
    ended_id.revoke(&newest).await.unwrap();
    let id = stage.sandbox.session_id().to_owned();
    for after in [0, 16] {
        stage.pass(after);
        press(&stage, &gated, if after == 0 { 0 } else { 6 }).await;
        let before = stage.lookups();
        assert_eq!(verdict(&bare, with("x-session-id", &id)).await, passed());
        let no = verdict(&bare, bearer(&ended)).await;
        assert_eq!(no, refused(401, "session-revoked"));
        assert_eq!(stage.lookups() - before, 2, "after {after} s");
    }
}

#[tokio::test]
async fn a_template_token_is_not_refreshed_ahead_where_the_budget_is_scarce() {
    let stage = Stage::start().await;
    let clerk = clerk(&stage, 8);
    let settings = CacheSettings {
        session_ttl: Duration::from_secs(600),
        ..CacheSettings::default()
    };
    let layer = SessionLayer::builder(clerk.clone())
        .cache(settings)
        .template_token("hasura")
        .any_organization();
    let layer = layer.build().unwrap();
    let credential = long_token(&stage);
    let first = seen(&layer, bearer(&credential)).await.token.unwrap();
    stage.pass(42);
    press(&stage, &clerk, 6).await;
    let second = seen(&layer, bearer(&credential)).await.token.unwrap();
    assert_eq!(first.as_str(), second.as_str());
    // A refresh would have been on its way before these.
    press(&stage, &clerk, 2).await;
    assert_eq!(stage.mints(), 1);
    // At its end somebody waits for it, and the rest of the budget is for those.
    stage.pass(14);
    press(&stage, &clerk, 6).await;
    let third = seen(&layer, bearer(&credential)).await.token.unwrap();
    let later = third.expires_at().since(first.expires_at());
    assert_eq!(later, Duration::from_secs(56), "it was minted before");
    assert_eq!(stage.mints(), 2);
}

#[tokio::test]
async fn a_429_halves_what_is_asked_from_then_on() {
    let stage = Stage::start().await;
    let clerk = clerk(&stage, 8);
    stage
        .sandbox
        .faults()
        .rate_limited(Some(Duration::from_secs(20)));
    let id = stage.sandbox.session_id();
    assert!(clerk.sessions().get(id).await.is_err());
    stage.sandbox.faults().clear();
    stage.pass(20);
    let before = stage.lookups();
    let mut made = 0;
    while clerk.sessions().get(id).await.is_ok() {
        made += 1;
    }
    // A half of 8, and a part that has come back.
    assert!((4..8).contains(&made), "{made}");
    assert_eq!(stage.lookups() - before, made);
}
