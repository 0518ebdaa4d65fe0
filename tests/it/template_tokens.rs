//! Template tokens: minted once, refreshed ahead, never for another organization.

use std::{sync::Arc, time::Duration};

use clerk_gateway::{
    Clerk, SessionLayer, SessionLayerBuilder, TemplateToken, Timestamp,
    sandbox::{Outage, SeedOrganization},
};
use serde_json::Value;

use crate::support::*;

fn builder(clerk: Clerk) -> SessionLayerBuilder {
    SessionLayer::builder(clerk).template_token("hasura")
}

fn long_token(stage: &Stage) -> String {
    stage.sandbox.session_token().to_owned()
}

async fn token(layer: &SessionLayer, credential: &str) -> TemplateToken {
    seen(layer, bearer(credential)).await.token.unwrap()
}

fn payload(token: &TemplateToken) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = token.as_str().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_hundred_requests_at_once_mint_once() {
    let stage = Stage::start().await;
    let layer = Arc::new(builder(stage.clerk()).build().unwrap());
    let credential = stage.token();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (layer, credential) = (Arc::clone(&layer), credential.clone());
            tokio::spawn(async move { token(&layer, &credential).await.as_str().to_owned() })
        })
        .collect();
    let mut tokens = Vec::new();
    for call in calls {
        tokens.push(call.await.unwrap());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_eq!(stage.mints(), 1);
}

#[tokio::test]
async fn the_token_is_clerks_and_says_when_it_ends() {
    let stage = Stage::start().await;
    let layer = builder(stage.clerk()).build().unwrap();
    let token = token(&layer, &stage.token()).await;
    let claims = payload(&token);
    let hasura = &claims["https://hasura.io/jwt/claims"];
    assert_eq!(hasura["x-hasura-user-id"], stage.sandbox.user_id());
    let exp = claims["exp"].as_i64().unwrap();
    assert_eq!(token.expires_at(), Timestamp::from_secs(exp));
}

#[tokio::test]
async fn it_is_refreshed_ahead_of_its_end_while_the_old_one_serves() {
    let stage = Stage::start().await;
    let layer = builder(stage.clerk()).any_organization().build().unwrap();
    let credential = long_token(&stage);
    let first = token(&layer, &credential).await;
    stage.pass(40);
    assert_eq!(token(&layer, &credential).await.as_str(), first.as_str());
    assert_eq!(stage.mints(), 1);
    stage.pass(2);
    // The one who finds it due is served the old one, and so are the others meanwhile.
    assert_eq!(token(&layer, &credential).await.as_str(), first.as_str());
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    loop {
        if token(&layer, &credential).await.as_str() != first.as_str() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "never refreshed");
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.mints(), 2);
}

#[tokio::test]
async fn it_is_minted_again_when_it_ends_and_503_where_clerk_is_down() {
    let stage = Stage::start().await;
    let layer = builder(stage.clerk()).any_organization().build().unwrap();
    let credential = long_token(&stage);
    let first = token(&layer, &credential).await;
    stage.pass(56);
    let second = token(&layer, &credential).await;
    assert_ne!(first.as_str(), second.as_str());
    stage.sandbox.faults().outage(Some(Outage::Unavailable));
    stage.pass(56);
    let verdict = verdict(&layer, bearer(&credential)).await;
    assert_eq!(verdict, refused(503, "clerk-unavailable"));
}

#[tokio::test]
async fn another_organization_than_the_sessions_active_one_is_403() {
    let stage = Stage::start().await;
    let credential = stage.token();
    let other = stage.sandbox.create_organization(SeedOrganization {
        name: "Other".to_owned(),
        ..SeedOrganization::default()
    });
    let id = stage.sandbox.session_id();
    stage.sandbox.set_active_organization(id, Some(&other));
    let strict = builder(stage.clerk()).build().unwrap();
    let verdict = verdict(&strict, bearer(&credential)).await;
    assert_eq!(verdict, refused(403, "organization-mismatch"));
    let lax = builder(stage.clerk()).any_organization().build().unwrap();
    token(&lax, &credential).await;
}

#[tokio::test]
async fn a_missing_template_is_a_fault_of_ours() {
    let stage = Stage::start().await;
    let layer = SessionLayer::builder(stage.clerk()).template_token("missing");
    let layer = layer.build().unwrap();
    let verdict = verdict(&layer, bearer(&stage.token())).await;
    assert_eq!(verdict, refused(500, "template-not-found"));
}

#[tokio::test]
async fn the_authorization_header_is_replaced_only_when_asked() {
    let stage = Stage::start().await;
    let credential = stage.token();
    let plain = builder(stage.clerk()).build().unwrap();
    let kept = seen(&plain, bearer(&credential)).await;
    assert_eq!(
        has_authorization(&kept),
        Some(format!("Bearer {credential}"))
    );
    let forwarding = builder(stage.clerk()).forward_template_token();
    let forwarding = forwarding.build().unwrap();
    let given = seen(&forwarding, bearer(&credential)).await;
    let token = given.token.clone().unwrap();
    assert_eq!(
        has_authorization(&given),
        Some(format!("Bearer {}", token.as_str()))
    );
}

#[tokio::test]
async fn signed_out_on_an_optional_layer_nothing_of_the_clients_stands_in_its_place() {
    let stage = Stage::start().await;
    let layer = builder(stage.clerk())
        .forward_template_token()
        .optional()
        .build()
        .unwrap();
    let given = seen(&layer, with("authorization", "Basic YTpi")).await;
    assert_eq!(has_authorization(&given), None);
}

#[tokio::test]
async fn a_revoked_session_gets_no_token() {
    let stage = Stage::start().await;
    let clerk = stage.clerk();
    let layer = builder(clerk.clone()).build().unwrap();
    let credential = stage.token();
    token(&layer, &credential).await;
    let id = stage.sandbox.session_id();
    clerk.sessions().revoke(id).await.unwrap();
    let verdict = verdict(&layer, bearer(&credential)).await;
    assert_eq!(verdict, refused(401, "session-revoked"));
}

#[tokio::test]
async fn half_a_refusal_to_mint_blames_neither_template_nor_session() {
    let stage = Stage::start().await;
    let layer = SessionLayer::builder(stage.clerk()).template_token("missing");
    let layer = layer.build().unwrap();
    let faults = stage.sandbox.faults();
    faults.only(&["CreateSessionTokenFromTemplate"]);
    faults.outage(Some(Outage::BrokenOff));
    let during = verdict(&layer, bearer(&stage.token())).await;
    assert_eq!(during, refused(503, "clerk-unavailable"));
    faults.clear();
    let after = verdict(&layer, bearer(&stage.token())).await;
    assert_eq!(after, refused(500, "template-not-found"));
}
