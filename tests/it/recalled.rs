//! What is asked for over and over, which each thread keeps at hand: everything that ends it ends it there too.

use clerk_gateway::{Clerk, SessionLayer, verify::VerifyMode};

use crate::support::*;

/// So many requests that the last ones are answered from what is at hand.
const OFTEN: usize = 6;

const MODES: [VerifyMode; 2] = [VerifyMode::SessionsApi, VerifyMode::Networkless];

fn layer(clerk: Clerk, mode: VerifyMode) -> SessionLayer {
    let builder = SessionLayer::builder(clerk).verify(mode);
    builder.build().unwrap()
}

async fn passes_often(layer: &SessionLayer, token: &str) {
    for _ in 0..OFTEN {
        assert_eq!(verdict(layer, bearer(token)).await, passed());
    }
}

#[tokio::test]
async fn a_revoked_session_is_refused_at_once() {
    for mode in MODES {
        let stage = Stage::start().await;
        let clerk = stage.clerk();
        let layer = layer(clerk.clone(), mode);
        let token = stage.token();
        passes_often(&layer, &token).await;
        let id = stage.sandbox.session_id();
        clerk.sessions().revoke(id).await.unwrap();
        let after = verdict(&layer, bearer(&token)).await;
        assert_eq!(after, refused(401, "session-revoked"), "{mode:?}");
    }
}

#[tokio::test]
async fn a_token_past_its_end_is_refused() {
    let stage = Stage::start().await;
    let layer = layer(stage.clerk(), VerifyMode::Networkless);
    let token = stage.token();
    passes_often(&layer, &token).await;
    stage.pass(120);
    let after = verdict(&layer, bearer(&token)).await;
    assert_eq!(after, refused(401, "token-expired"));
}

#[tokio::test]
async fn keys_that_are_no_longer_clerks_prove_nothing() {
    let stage = Stage::start().await;
    let layer = layer(stage.clerk(), VerifyMode::Networkless);
    let old = stage.token();
    passes_often(&layer, &old).await;
    stage.sandbox.rotate_key();
    passes_often(&layer, &stage.token()).await;
    let after = verdict(&layer, bearer(&old)).await;
    assert_eq!(after, refused(401, "jwk-kid-mismatch"));
}

#[tokio::test]
async fn a_newer_answer_of_clerks_is_the_one_that_counts() {
    let stage = Stage::start().await;
    let clerk = stage.builder().cache(cache(15, 300)).build().unwrap();
    let layer = layer(clerk, VerifyMode::SessionsApi);
    let token = stage.sandbox.session_token().to_owned();
    passes_often(&layer, &token).await;
    stage.pass(15);
    passes_often(&layer, &token).await;
    assert_eq!(stage.lookups(), 2);
    stage.sandbox.revoke(stage.sandbox.session_id());
    stage.pass(15);
    let after = verdict(&layer, bearer(&token)).await;
    assert_eq!(after, refused(401, "session-revoked"));
}

#[tokio::test]
async fn what_one_profile_lets_pass_another_judges_for_itself() {
    let stage = Stage::start().await;
    let id = stage.sandbox.session_id();
    let token = stage
        .sandbox
        .mint_with(id, |_, claims| claims["azp"] = "https://app.test".into());
    let clerk = stage.clerk();
    let builder = || SessionLayer::builder(clerk.clone()).verify(VerifyMode::Networkless);
    let its = builder().authorized_parties(["https://app.test"]);
    let others = builder().authorized_parties(["https://admin.test"]);
    passes_often(&its.build().unwrap(), &token).await;
    let other = verdict(&others.build().unwrap(), bearer(&token)).await;
    assert_eq!(other, refused(401, "token-invalid-authorized-parties"));
}

#[tokio::test]
async fn what_one_instance_proved_is_nothing_to_another() {
    let (stage, other) = (Stage::start().await, Stage::start().await);
    let token = stage.token();
    passes_often(&layer(stage.clerk(), VerifyMode::Networkless), &token).await;
    let foreign = layer(other.clerk(), VerifyMode::Networkless);
    let after = verdict(&foreign, bearer(&token)).await;
    assert_ne!(after, passed());
}

#[tokio::test]
async fn what_one_instance_said_of_a_session_is_nothing_to_another() {
    let (stage, other) = (Stage::start().await, Stage::start().await);
    let clerk = stage.builder().jwt_key(stage.sandbox.jwt_key());
    let token = stage.token();
    passes_often(
        &layer(clerk.build().unwrap(), VerifyMode::SessionsApi),
        &token,
    )
    .await;
    // It knows a session of the same ID and takes the token, so that all hangs on what its own Sessions API says.
    other.sandbox.revoke(stage.sandbox.session_id());
    let mislead = other.builder().jwt_key(stage.sandbox.jwt_key());
    let mislead = mislead.publishable_key(stage.sandbox.publishable_key());
    let foreign = layer(mislead.build().unwrap(), VerifyMode::SessionsApi);
    let after = verdict(&foreign, bearer(&token)).await;
    assert_eq!(after, refused(401, "session-revoked"));
}

#[tokio::test]
async fn a_token_of_the_same_end_is_another_token() {
    let stage = Stage::start().await;
    let layer = layer(stage.clerk(), VerifyMode::Networkless);
    let token = stage.token();
    passes_often(&layer, &token).await;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let flip = |text: &str| text.replacen('e', "f", 1);
    for forged in [
        format!("{}.{claims}.{signature}", flip(header)),
        format!("{header}.{}.{signature}", flip(claims)),
        format!("{signed}.A{}", &signature[1..]),
        format!("{signed}.{}", &signature[1..]),
    ] {
        if forged != token {
            assert_ne!(verdict(&layer, bearer(&forged)).await, passed(), "{forged}");
        }
    }
}

#[tokio::test]
async fn an_outage_ends_it_when_it_would_end_anyone() {
    let stage = Stage::start().await;
    let clerk = stage.builder().cache(cache(15, 300)).build().unwrap();
    let layer = layer(clerk, VerifyMode::SessionsApi);
    let token = stage.sandbox.session_token().to_owned();
    passes_often(&layer, &token).await;
    let outage = clerk_gateway::sandbox::Outage::Unavailable;
    stage.sandbox.faults().outage(Some(outage));
    stage.pass(314);
    passes_often(&layer, &token).await;
    stage.pass(1);
    let after = verdict(&layer, bearer(&token)).await;
    assert_eq!(after, refused(503, "clerk-unavailable"));
}
