//! Keys: where they come from, how often they are asked for, and what a rotation means.

use std::{sync::Arc, time::Duration};

use clerk_gateway::{Clerk, SessionLayer, sandbox::Outage, verify::VerifyMode};

use crate::support::*;

fn fetches(stage: &Stage) -> usize {
    stage.sandbox.requests("GetJWKS")
}

fn networkless(clerk: Clerk) -> SessionLayer {
    let builder = SessionLayer::builder(clerk).verify(VerifyMode::Networkless);
    builder.build().unwrap()
}

#[tokio::test]
async fn with_a_key_that_is_given_nothing_is_fetched() {
    let stage = Stage::start().await;
    let escaped = stage.sandbox.jwt_key().replace('\n', "\\n");
    for key in [stage.sandbox.jwt_key(), escaped] {
        let layer = networkless(stage.builder().jwt_key(key).build().unwrap());
        assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    }
    assert_eq!(fetches(&stage), 0);
    assert_eq!(stage.lookups(), 0);
}

#[tokio::test]
async fn keys_come_from_a_public_url_without_a_secret_key() {
    let stage = Stage::start().await;
    let clerk = Clerk::builder()
        .issuer(stage.sandbox.issuer())
        .jwks_url(format!("{}/.well-known/jwks.json", stage.sandbox.url()))
        .clock(stage.clock.clone())
        .build()
        .unwrap();
    let layer = SessionLayer::required(clerk);
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    assert_eq!(fetches(&stage), 1);
}

#[tokio::test]
async fn the_first_requests_share_one_fetch() {
    let stage = Stage::start().await;
    let layer = Arc::new(networkless(stage.clerk()));
    let token = stage.token();
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (layer, token) = (Arc::clone(&layer), token.clone());
            tokio::spawn(async move { verdict(&layer, bearer(&token)).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), passed());
    }
    assert_eq!(fetches(&stage), 1);
}

#[tokio::test]
async fn unknown_key_ids_cost_one_fetch_a_cooldown() {
    let stage = Stage::start().await;
    let layer = networkless(stage.clerk());
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    let id = stage.sandbox.session_id();
    for round in 1..=3 {
        for number in 0..10 {
            let kid = format!("ins_unknown{number}");
            let token = stage
                .sandbox
                .mint_with(id, |header, _| header["kid"] = kid.into());
            let verdict = verdict(&layer, bearer(&token)).await;
            assert_eq!(verdict, refused(401, "jwk-kid-mismatch"));
        }
        assert_eq!(fetches(&stage), 1 + round);
        stage.pass(30);
    }
}

#[tokio::test]
async fn after_a_rotation_new_tokens_pass_and_old_proofs_do_not() {
    let stage = Stage::start().await;
    let layer = networkless(stage.clerk());
    let old = stage.token();
    assert_eq!(verdict(&layer, bearer(&old)).await, passed());
    stage.sandbox.rotate_key();
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    assert_eq!(fetches(&stage), 2);
    let verdict = verdict(&layer, bearer(&old)).await;
    assert_eq!(verdict, refused(401, "jwk-kid-mismatch"));
}

#[tokio::test]
async fn while_keys_cannot_be_fetched_a_token_of_a_new_one_is_503_each_time() {
    let stage = Stage::start().await;
    let layer = networkless(stage.clerk());
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    stage.sandbox.rotate_key();
    stage.sandbox.faults().outage(Some(Outage::Unavailable));
    for _ in 0..3 {
        let during = verdict(&layer, bearer(&stage.token())).await;
        assert_eq!(during, refused(503, "clerk-unavailable"));
    }
    stage.sandbox.faults().clear();
    stage.pass(1);
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
}

#[tokio::test]
async fn old_keys_serve_while_they_cannot_be_fetched_again_up_to_a_bound() {
    let stage = Stage::start().await;
    let layer = networkless(stage.clerk());
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    let long = stage.sandbox.session_token().to_owned();
    stage.sandbox.faults().outage(Some(Outage::Unavailable));
    stage.pass(3500);
    assert_eq!(verdict(&layer, bearer(&long)).await, passed());
    stage.pass(100);
    let verdict = verdict(&layer, bearer(&long)).await;
    assert_eq!(verdict, refused(503, "clerk-unavailable"));
}

#[tokio::test]
async fn without_any_key_a_request_is_503_until_there_is_one() {
    let stage = Stage::start().await;
    let layer = networkless(stage.clerk());
    stage.sandbox.faults().outage(Some(Outage::Unavailable));
    let during = verdict(&layer, bearer(&stage.token())).await;
    assert_eq!(during, refused(503, "clerk-unavailable"));
    stage.sandbox.faults().clear();
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
}

#[tokio::test]
async fn keys_are_fetched_again_in_the_background_when_they_are_due() {
    let stage = Stage::start().await;
    let layer = networkless(stage.clerk());
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    stage.pass(301);
    assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while fetches(&stage) < 2 {
        assert!(std::time::Instant::now() < deadline, "never fetched again");
        tokio::task::yield_now().await;
    }
}
