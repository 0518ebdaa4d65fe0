//! The layer: who passes, who is refused and how, and what the service behind it is given.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use clerk_gateway::{
    Clerk, Proof, Rejection, Session, SessionLayer, SessionStatus, layer::CredentialSource,
    sandbox::Sandbox, verify::VerifyMode,
};
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use tower::{Layer, Service, ServiceExt};

use crate::support::*;

#[tokio::test]
async fn bad_credentials_are_401_with_their_reason() {
    let stage = Stage::start().await;
    let other = Sandbox::builder().start().await.unwrap();
    let session = stage.sandbox.session_id();
    let kid = kid_of(&stage.token());
    let foreign = other.mint_with(other.session_id(), |header, _| header["kid"] = kid.into());
    let template = stage.sandbox.template_token(session, "hasura");
    let stale = stage.token();
    stage.pass(66);
    let good = stage.token();
    let layer = SessionLayer::required(stage.clerk());
    for (name, request, code) in [
        ("nothing", plain(), "session-token-missing"),
        ("garbage", bearer("garbage"), "token-invalid"),
        ("expired", bearer(&stale), "token-expired"),
        ("same kid", bearer(&foreign), "token-invalid-signature"),
        ("template", bearer(&template), "token-type-mismatch"),
        ("id", with("x-session-id", session), "session-token-missing"),
        ("id as bearer", bearer(session), "token-invalid"),
        ("garbage cookie", cookie("__session=%zz"), "token-invalid"),
        (
            "two cookies",
            cookie(&format!("__session={good}; __session={stale}")),
            "credentials-conflict",
        ),
        (
            "signed out browser",
            cookie(&format!("__session={good}; __client_uat=0")),
            "session-token-but-no-client-uat",
        ),
    ] {
        let verdict = verdict(&layer, request).await;
        assert_eq!(verdict, refused(401, code), "{name}");
    }
}

#[tokio::test]
async fn a_good_token_passes_from_header_cookie_and_suffixed_cookie() {
    let stage = Stage::start().await;
    let clerk = stage.clerk();
    let suffix = clerk.instance().cookie_suffix().unwrap().to_owned();
    let token = stage.token();
    let layer = SessionLayer::required(clerk);
    for request in [
        bearer(&token),
        with("authorization", &format!("bearer {token}")),
        cookie(&format!("a=b; __session={token}")),
        cookie(&format!("__session_{suffix}={token}; __session=garbage")),
        cookie(&format!("__session={token}; __client_uat=1")),
    ] {
        assert_eq!(verdict(&layer, request).await, passed());
    }
}

#[tokio::test]
async fn a_bad_header_does_not_fall_through_to_a_good_cookie() {
    let stage = Stage::start().await;
    let layer = SessionLayer::required(stage.clerk());
    let mut request = cookie(&format!("__session={}", stage.token()));
    let bad = "Bearer garbage".parse().unwrap();
    request.headers_mut().insert("authorization", bad);
    let verdict = verdict(&layer, request).await;
    assert_eq!(verdict, refused(401, "token-invalid"));
}

#[tokio::test]
async fn an_optional_layer_passes_absence_and_cookies_past_their_time_alone() {
    let stage = Stage::start().await;
    let stale = stage.token();
    stage.pass(66);
    let layer = SessionLayer::optional(stage.clerk());
    for (request, expected) in [
        (plain(), passed()),
        (with("authorization", "Basic YTpi"), passed()),
        (cookie(&format!("__session={stale}")), passed()),
        (bearer(&stale), refused(401, "token-expired")),
        (cookie("__session=garbage"), refused(401, "token-invalid")),
    ] {
        assert_eq!(verdict(&layer, request).await, expected);
    }
    assert!(seen(&layer, plain()).await.session.is_none());
    assert!(seen(&layer, bearer(&stage.token())).await.session.is_some());
}

#[tokio::test]
async fn the_session_tells_what_was_proven() {
    let stage = Stage::start().await;
    let layer = SessionLayer::required(stage.clerk());
    let id = stage.sandbox.session_id();
    for token in [stage.sandbox.mint(id), stage.sandbox.mint_v1(id)] {
        let session = seen(&layer, bearer(&token)).await.session.unwrap();
        assert_eq!(session.id(), id);
        assert_eq!(session.user_id(), stage.sandbox.user_id());
        assert_eq!(session.status(), &SessionStatus::Active);
        assert_eq!(session.proof(), Proof::SessionsApi);
        assert!(session.client_id().unwrap().starts_with("client_"));
        let organization = session.organization().unwrap();
        assert_eq!(organization.role.as_deref(), Some("org:admin"));
        assert!(organization.permissions.len() > 1);
    }
}

#[tokio::test]
async fn custom_claims_are_read_from_the_verified_token() {
    #[derive(Deserialize)]
    struct Custom {
        tenant: String,
    }
    let stage = Stage::start().await;
    let layer = SessionLayer::required(stage.clerk());
    let id = stage.sandbox.session_id();
    let token = stage
        .sandbox
        .mint_with(id, |_, claims| claims["tenant"] = "acme".into());
    let session = seen(&layer, bearer(&token)).await.session.unwrap();
    assert_eq!(session.claims::<Custom>().unwrap().tenant, "acme");
    let plain = seen(&layer, bearer(&stage.token())).await.session.unwrap();
    assert!(plain.claims::<Custom>().is_err());
}

#[tokio::test]
async fn a_session_that_someone_else_put_there_does_not_survive() {
    let stage = Stage::start().await;
    let layer = SessionLayer::optional(stage.clerk());
    let forged = seen(&layer, bearer(&stage.token())).await.session.unwrap();
    let mut request = plain();
    request.extensions_mut().insert(forged);
    assert!(seen(&layer, request).await.session.is_none());
}

#[tokio::test]
async fn the_requests_headers_are_left_alone() {
    let stage = Stage::start().await;
    let layer = SessionLayer::required(stage.clerk());
    let mut request = bearer(&stage.token());
    let forged = "user_admin".parse().unwrap();
    request.headers_mut().insert("x-clerk-user-id", forged);
    let before = request.headers().clone();
    assert_eq!(seen(&layer, request).await.headers, before);
}

#[tokio::test]
async fn a_refusal_is_a_problem_with_a_challenge_that_nobody_stores() {
    let stage = Stage::start().await;
    let layer = SessionLayer::required(stage.clerk());
    let response = call(&layer, bearer("garbage")).await;
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(
        headers["www-authenticate"],
        r#"Bearer error="invalid_token", error_description="token-invalid""#
    );
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason(), "token-invalid");
    let missing = call(&layer, plain()).await;
    assert_eq!(missing.headers()["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_hook_may_answer_refusals_in_its_own_way() {
    let stage = Stage::start().await;
    let layer = SessionLayer::builder(stage.clerk())
        .on_rejection(|rejection, refused| {
            let text = format!("{} {}", refused.method, rejection.reason());
            let mut response = Response::new(text.into());
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            response
        })
        .build()
        .unwrap();
    let response = call(&layer, plain()).await;
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert!(response.extensions().get::<Rejection>().is_some());
}

#[tokio::test]
async fn another_authorized_party_is_refused_and_profiles_do_not_share_proofs() {
    let stage = Stage::start().await;
    let clerk = stage.clerk();
    let origin = "https://app.example.com";
    let token = stage
        .sandbox
        .mint_for_origin(stage.sandbox.session_id(), origin);
    let layer = |party: &str| {
        let builder = SessionLayer::builder(clerk.clone());
        builder.authorized_parties([party]).build().unwrap()
    };
    let ours = layer(origin);
    let other = layer("https://other.example.com");
    assert_eq!(verdict(&ours, bearer(&token)).await, passed());
    let verdict = verdict(&other, bearer(&token)).await;
    assert_eq!(verdict, refused(401, "token-invalid-authorized-parties"));
}

#[tokio::test]
async fn a_bare_session_id_counts_from_trusted_callers_alone_and_has_no_claims() {
    let stage = Stage::start().await;
    let layer = |peer: &'static str| {
        SessionLayer::builder(stage.clerk())
            .session_id_header("x-session-id")
            .session_id_callers(["127.0.0.0/8"])
            .peer(move |_| peer.parse().ok())
            .build()
            .unwrap()
    };
    let id = stage.sandbox.session_id();
    let request = || with("x-session-id", id);
    let session = seen(&layer("127.0.0.1"), request()).await.session.unwrap();
    assert_eq!(session.proof(), Proof::SessionId);
    assert!(session.claims::<serde_json::Value>().is_err());
    for peer in ["10.0.0.1", "not an address"] {
        let verdict = verdict(&layer(peer), request()).await;
        assert_eq!(verdict, refused(401, "session-id-not-allowed"), "{peer}");
    }
    let before = stage.lookups();
    let forged = with("x-session-id", "sess_../../users");
    let verdict = verdict(&layer("127.0.0.1"), forged).await;
    assert_eq!(verdict, refused(401, "session-id-invalid"));
    assert_eq!(stage.lookups(), before);
}

#[tokio::test]
async fn what_cannot_work_is_refused_when_the_layer_is_built() {
    let stage = Stage::start().await;
    let keyed = || {
        let key = stage.sandbox.jwt_key();
        let builder = Clerk::builder().publishable_key(stage.sandbox.publishable_key());
        builder.jwt_key(key).build().unwrap()
    };
    let builder = || SessionLayer::builder(stage.clerk());
    let id = |builder: clerk_gateway::SessionLayerBuilder| builder.session_id_header("x-id");
    for (name, builder, message) in [
        ("no callers", id(builder()), "session_id_callers"),
        (
            "networkless",
            id(builder())
                .session_id_callers(["127.0.0.1/32"])
                .verify(VerifyMode::Networkless),
            "Sessions API",
        ),
        ("no sources", builder().sources([]), "at least one"),
        (
            "no parties",
            builder().authorized_parties(Vec::<String>::new()),
            "authorized parties",
        ),
        ("template", builder().template_token("../x"), "../x"),
        (
            "header",
            builder().sources([CredentialSource::SessionIdHeader("a b".into())]),
            "header name",
        ),
        (
            "no key",
            SessionLayer::builder(keyed()).verify(VerifyMode::SessionsApi),
            "CLERK_SECRET_KEY",
        ),
        (
            "no key to mint",
            SessionLayer::builder(keyed()).template_token("hasura"),
            "CLERK_SECRET_KEY",
        ),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(message), "{name}: {error}");
    }
}

/// Panics when it is called without having been polled ready.
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(self.ready, "called without having been polled ready");
        self.ready = false;
        Box::pin(show(request))
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_that_is_called() {
    let stage = Stage::start().await;
    let token = stage.token();
    let mut service = SessionLayer::required(stage.clerk()).layer(Strict { ready: false });
    // The first call has to wait for Clerk, the second is at hand.
    for _ in 0..2 {
        let ready = service.ready().await.unwrap();
        let response = ready.call(bearer(&token)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(stage.lookups(), 1);
}

#[test]
fn a_layered_service_is_what_axum_wants() {
    fn wanted<T: Clone + Send + Sync + 'static>() {}
    wanted::<SessionLayer>();
    wanted::<Session>();
    wanted::<clerk_gateway::SessionService<Strict2>>();
}

#[derive(Clone)]
struct Strict2;

fn kid_of(token: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let header = token.split('.').next().unwrap();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}
