//! Verification through the Sessions API: asked once for all, believed for a stated time, and calm
//! while Clerk is down.

use std::{sync::Arc, time::Duration};

use clerk_gateway::{
    Clerk, ClerkBuilder, SessionLayer, SessionStatus, Timestamp,
    sandbox::Outage,
    verify::{OnUnavailable, Operation, VerifyMode},
};
use http::StatusCode;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::support::*;

fn layer(clerk: Clerk) -> SessionLayer {
    SessionLayer::required(clerk)
}

/// A token that outlives every clock that a test moves.
fn long_token(stage: &Stage) -> String {
    stage.sandbox.session_token().to_owned()
}

#[tokio::test]
async fn a_hundred_requests_at_once_ask_clerk_once() {
    let stage = Stage::start().await;
    let layer = Arc::new(layer(stage.clerk()));
    let token = stage.token();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (layer, token) = (Arc::clone(&layer), token.clone());
            tokio::spawn(async move { verdict(&layer, bearer(&token)).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), passed());
    }
    assert_eq!(stage.lookups(), 1);
    assert_eq!(stage.sandbox.requests("GetJWKS"), 1);
}

#[tokio::test]
async fn a_lookup_outlives_the_request_that_began_it() {
    let stage = Stage::start().await;
    let layer = Arc::new(layer(stage.clerk()));
    let token = stage.token();
    stage.sandbox.faults().latency(Duration::from_millis(50));
    let first = {
        let (layer, token) = (Arc::clone(&layer), token.clone());
        tokio::spawn(async move { verdict(&layer, bearer(&token)).await })
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while stage.lookups() == 0 && std::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    assert_eq!(stage.lookups(), 1);
}

#[tokio::test]
async fn a_revocation_nobody_told_us_about_is_seen_within_the_ttl() {
    let stage = Stage::start().await;
    let layer = layer(stage.builder().cache(cache(15, 300)).build().unwrap());
    let token = long_token(&stage);
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    stage.sandbox.revoke(stage.sandbox.session_id());
    stage.pass(14);
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    stage.pass(1);
    let after = verdict(&layer, bearer(&token)).await;
    assert_eq!(after, refused(401, "session-revoked"));
    assert_eq!(stage.lookups(), 2);
}

#[tokio::test]
async fn a_revocation_through_the_handle_is_seen_at_once_in_both_modes() {
    for mode in [VerifyMode::SessionsApi, VerifyMode::Networkless] {
        let stage = Stage::start().await;
        let clerk = stage.clerk();
        let builder = SessionLayer::builder(clerk.clone());
        let layer = builder.verify(mode).build().unwrap();
        let token = stage.token();
        assert_eq!(verdict(&layer, bearer(&token)).await, passed());
        let id = stage.sandbox.session_id();
        clerk.sessions().revoke(id).await.unwrap();
        let after = verdict(&layer, bearer(&token)).await;
        assert_eq!(after, refused(401, "session-revoked"), "{mode:?}");
    }
}

#[tokio::test]
async fn a_lookup_begun_before_a_revocation_does_not_pass_after_it() {
    let stage = Stage::start().await;
    let clerk = stage.clerk();
    let layer = Arc::new(layer(clerk.clone()));
    let token = stage.token();
    // The lookup is answered late; the revocation comes in between.
    let faults = stage.sandbox.faults();
    faults.only(&["GetSession"]);
    faults.latency(Duration::from_millis(300));
    let waiting = {
        let (layer, token) = (Arc::clone(&layer), token.clone());
        tokio::spawn(async move { verdict(&layer, bearer(&token)).await })
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while stage.lookups() == 0 && std::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    let id = stage.sandbox.session_id();
    clerk.sessions().revoke(id).await.unwrap();
    assert_eq!(waiting.await.unwrap().0, StatusCode::UNAUTHORIZED);
    assert_eq!(
        verdict(&layer, bearer(&token)).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn every_status_but_active_is_401_with_its_slug() {
    for (status, slug) in [
        (SessionStatus::Abandoned, "session-abandoned"),
        (SessionStatus::Ended, "session-ended"),
        (SessionStatus::Expired, "session-expired"),
        (SessionStatus::Pending, "session-pending"),
        (SessionStatus::Removed, "session-removed"),
        (SessionStatus::Replaced, "session-replaced"),
        (SessionStatus::Revoked, "session-revoked"),
    ] {
        let stage = Stage::start().await;
        let token = long_token(&stage);
        let id = stage.sandbox.session_id();
        stage.sandbox.set_status(id, status);
        let layer = layer(stage.clerk());
        assert_eq!(verdict(&layer, bearer(&token)).await, refused(401, slug));
        // A definite no is kept, for a shorter time.
        assert_eq!(verdict(&layer, bearer(&token)).await, refused(401, slug));
        assert_eq!(stage.lookups(), 1, "{slug}");
        stage.pass(5);
        assert_eq!(verdict(&layer, bearer(&token)).await, refused(401, slug));
        assert_eq!(stage.lookups(), 2, "{slug}");
    }
}

#[tokio::test]
async fn a_session_clerk_does_not_know_is_401() {
    let stage = Stage::start().await;
    let id = stage.sandbox.session_id();
    let token = stage
        .sandbox
        .mint_with(id, |_, claims| claims["sid"] = "sess_unknown".into());
    let verdict = verdict(&layer(stage.clerk()), bearer(&token)).await;
    assert_eq!(verdict, refused(401, "session-not-found"));
}

#[tokio::test]
async fn a_session_of_another_user_than_the_tokens_is_401() {
    let stage = Stage::start().await;
    let id = stage.sandbox.session_id();
    let token = stage
        .sandbox
        .mint_with(id, |_, claims| claims["sub"] = "user_other".into());
    let verdict = verdict(&layer(stage.clerk()), bearer(&token)).await;
    assert_eq!(verdict, refused(401, "session-user-mismatch"));
}

#[tokio::test]
async fn a_sessions_own_end_is_judged_on_every_read() {
    let stage = Stage::start().await;
    let id = stage.sandbox.session_id();
    let end = Timestamp::from_millis(stage.sandbox.session(id).unwrap().created_at)
        .plus(Duration::from_secs(10));
    let edit = |session: &mut clerk_gateway::clerk::model::SessionObject| {
        session.expire_at = end.as_millis();
    };
    stage.sandbox.edit_session(id, edit);
    let layer = layer(stage.builder().cache(cache(600, 300)).build().unwrap());
    let token = long_token(&stage);
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    stage.pass(10);
    let after = verdict(&layer, bearer(&token)).await;
    assert_eq!(after, refused(401, "session-expired"));
    assert_eq!(stage.lookups(), 1);
}

#[tokio::test]
async fn while_clerk_is_down_known_sessions_are_served_to_a_stated_end() {
    let stage = Stage::start().await;
    let layer = layer(stage.builder().cache(cache(15, 300)).build().unwrap());
    let token = long_token(&stage);
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    stage.sandbox.faults().outage(Some(Outage::Unavailable));
    stage.pass(100);
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    stage.pass(214);
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    stage.pass(1);
    let after = verdict(&layer, bearer(&token)).await;
    assert_eq!(after, refused(503, "clerk-unavailable"));
}

#[tokio::test]
async fn while_clerk_is_down_an_unknown_session_is_503_and_never_401() {
    for outage in [Outage::Unavailable, Outage::Dropped] {
        let stage = Stage::start().await;
        let clerk = stage.builder().jwt_key(stage.sandbox.jwt_key());
        let layer = layer(clerk.build().unwrap());
        stage.sandbox.faults().outage(Some(outage));
        let response = call(&layer, bearer(&stage.token())).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(code(response).await, "clerk-unavailable");
        stage.sandbox.faults().clear();
        assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    }
}

#[tokio::test]
async fn networkless_on_unavailable_serves_valid_tokens_and_those_alone() {
    let stage = Stage::start().await;
    let clerk = stage
        .builder()
        .jwt_key(stage.sandbox.jwt_key())
        .on_unavailable(OnUnavailable::Networkless);
    let layer = layer(clerk.build().unwrap());
    stage.sandbox.faults().outage(Some(Outage::Unavailable));
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    let verdict = verdict(&layer, bearer("garbage")).await;
    assert_eq!(verdict, refused(401, "token-invalid"));
}

#[tokio::test]
async fn our_own_key_being_refused_is_503_in_every_mode_and_nothing_is_kept() {
    for on_unavailable in [OnUnavailable::Deny, OnUnavailable::Networkless] {
        let stage = Stage::start().await;
        let clerk = stage
            .builder()
            .secret_key("sk_test_wrong")
            .jwt_key(stage.sandbox.jwt_key())
            .on_unavailable(on_unavailable);
        let layer = layer(clerk.build().unwrap());
        for _ in 0..2 {
            let verdict = verdict(&layer, bearer(&stage.token())).await;
            assert_eq!(verdict, refused(503, "secret-key-invalid"));
        }
    }
}

#[tokio::test]
async fn a_429_is_503_with_clerks_own_wait_and_starts_no_staleness() {
    let stage = Stage::start().await;
    let layer = layer(stage.builder().cache(cache(15, 300)).build().unwrap());
    let token = long_token(&stage);
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    let wait = Duration::from_secs(30);
    stage.sandbox.faults().rate_limited(Some(wait));
    stage.pass(15);
    let response = call(&layer, bearer(&token)).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "30");
    assert_eq!(code(response).await, "clerk-rate-limited");
}

#[tokio::test]
async fn the_withdrawn_verify_operation_falls_back_to_get() {
    let stage = Stage::start().await;
    let clerk = stage.builder().operation(Operation::Verify);
    let layer = layer(clerk.build().unwrap());
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    assert_eq!(stage.sandbox.requests("VerifySession"), 1);
    assert_eq!(stage.lookups(), 0);
    stage.sandbox.faults().verify_is_gone(true);
    stage.pass(20);
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    stage.pass(20);
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    assert_eq!(stage.sandbox.requests("VerifySession"), 2);
    assert_eq!(stage.lookups(), 2);
}

#[tokio::test]
async fn a_bare_session_id_is_never_served_stale_and_its_lookups_have_a_budget() {
    let stage = Stage::start().await;
    let layer = SessionLayer::builder(stage.builder().cache(cache(15, 300)).build().unwrap())
        .session_id_header("x-session-id")
        .session_id_callers(["127.0.0.1/32"])
        .peer(|_| "127.0.0.1".parse().ok())
        .build()
        .unwrap();
    let id = stage.sandbox.session_id().to_owned();
    let request = || with("x-session-id", &id);
    assert_eq!(verdict(&layer, request()).await, passed());
    stage.sandbox.faults().outage(Some(Outage::Unavailable));
    stage.pass(15);
    let during = verdict(&layer, request()).await;
    assert_eq!(during, refused(503, "clerk-unavailable"));
    stage.sandbox.faults().clear();
    stage.pass(1);
    let mut limited = 0;
    for guess in 0..20 {
        let request = with("x-session-id", &format!("sess_guess{guess}"));
        limited += usize::from(verdict(&layer, request).await.1 == "clerk-rate-limited");
    }
    assert_eq!(limited, 15);
}

#[tokio::test]
async fn those_who_wait_for_one_lookup_of_a_bare_session_id_spend_one_of_the_budget() {
    let stage = Stage::start().await;
    let layer = SessionLayer::builder(stage.clerk())
        .session_id_header("x-session-id")
        .session_id_callers(["127.0.0.1/32"])
        .peer(|_| "127.0.0.1".parse().ok())
        .build()
        .unwrap();
    let layer = Arc::new(layer);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (layer, id) = (Arc::clone(&layer), stage.sandbox.session_id().to_owned());
            tokio::spawn(async move { verdict(&layer, with("x-session-id", &id)).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), passed());
    }
    assert_eq!(stage.lookups(), 1);
}

/// A Clerk that is not: something in its place that answers everything alike.
async fn in_clerks_place(stage: &Stage, answer: ResponseTemplate) -> (MockServer, ClerkBuilder) {
    let server = MockServer::start().await;
    let all = Mock::given(matchers::any()).respond_with(answer);
    all.mount(&server).await;
    let clerk = Clerk::builder()
        .issuer(stage.sandbox.issuer())
        .secret_key(stage.sandbox.secret_key())
        .jwt_key(stage.sandbox.jwt_key())
        .api_url(server.uri())
        .clock(stage.clock.clone());
    (server, clerk)
}

#[tokio::test]
async fn what_a_proxy_in_clerks_place_says_of_a_session_is_no_verdict() {
    let stage = Stage::start().await;
    let html = "<html>Not here</html>";
    for answer in [
        ResponseTemplate::new(200).set_body_string(html),
        ResponseTemplate::new(302).insert_header("location", "/login"),
        ResponseTemplate::new(400).set_body_string(html),
        ResponseTemplate::new(404).set_body_string(html),
        ResponseTemplate::new(404).set_body_string("{\"errors\":[]}"),
        ResponseTemplate::new(410),
    ] {
        for operation in [Operation::Get, Operation::Verify] {
            let (_server, clerk) = in_clerks_place(&stage, answer.clone()).await;
            let clerk = clerk.operation(operation).build().unwrap();
            let verdict = verdict(&layer(clerk), bearer(&stage.token())).await;
            assert_eq!(verdict, refused(503, "clerk-unavailable"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn half_an_answer_is_no_verdict() {
    let stage = Stage::start().await;
    let layer = layer(stage.clerk());
    let id = stage.sandbox.session_id();
    let stranger = stage
        .sandbox
        .mint_with(id, |_, claims| claims["sid"] = "sess_unknown".into());
    let tokens = [stage.token(), stranger];
    let faults = stage.sandbox.faults();
    faults.only(&["GetSession"]);
    faults.outage(Some(Outage::BrokenOff));
    for token in &tokens {
        let during = verdict(&layer, bearer(token)).await;
        assert_eq!(during, refused(503, "clerk-unavailable"));
    }
    faults.clear();
    let [known, stranger] = tokens.each_ref().map(|token| bearer(token));
    assert_eq!(verdict(&layer, known).await, passed());
    let after = verdict(&layer, stranger).await;
    assert_eq!(after, refused(401, "session-not-found"));
}
