//! The layer in its corners: waits, times and orders that few set-ups have.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use clerk_gateway::{CacheSettings, SessionLayer};
use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Stage, bearer, cache, passed, plain, refused, verdict, with};

#[tokio::test]
async fn a_429_that_is_waited_out_starts_no_staleness() {
    let stage = Stage::start().await;
    let clerk = stage.builder().cache(cache(15, 300)).build().unwrap();
    let layer = SessionLayer::required(clerk);
    let id = stage.sandbox.session_id().to_owned();
    let token = stage.sandbox.mint_with(&id, |_, claims| {
        claims["exp"] = (claims["iat"].as_i64().unwrap() + 3600).into();
    });
    assert_eq!(verdict(&layer, bearer(&token)).await, passed());
    // Short enough for the call to queue, longer than a holder of a stale answer has patience.
    let wait = Duration::from_secs(2);
    stage.sandbox.faults().rate_limited(Some(wait));
    stage.pass(15);
    let after = verdict(&layer, bearer(&token)).await;
    assert_eq!(after, refused(503, "clerk-rate-limited"));
}

#[tokio::test]
async fn a_revocation_outlives_the_longest_cache_of_any_layer() {
    let stage = Stage::start().await;
    let clerk = stage.clerk();
    let day = Duration::from_secs(24 * 60 * 60);
    let layer = SessionLayer::builder(clerk.clone())
        .cache(CacheSettings {
            session_ttl: 3 * day,
            ..CacheSettings::default()
        })
        .session_id_header("x-session-id")
        .session_id_callers(["127.0.0.1/32"])
        .peer(|_| "127.0.0.1".parse().ok())
        .build()
        .unwrap();
    let id = stage.sandbox.session_id().to_owned();
    let request = || with("x-session-id", &id);
    assert_eq!(verdict(&layer, request()).await, passed());
    clerk.sessions().revoke(&id).await.unwrap();
    for _ in 0..2 {
        let after = verdict(&layer, request()).await;
        assert_eq!(after, refused(401, "session-revoked"));
        stage.clock.advance(day + Duration::from_secs(60));
    }
}

#[tokio::test]
async fn the_order_of_the_builders_calls_does_not_matter() {
    let stage = Stage::start().await;
    let token = stage.token();
    stage
        .sandbox
        .set_active_organization(stage.sandbox.session_id(), None);
    let builder = SessionLayer::builder(stage.clerk());
    let layer = builder.any_organization().template_token("hasura");
    let verdict = verdict(&layer.build().unwrap(), bearer(&token)).await;
    assert_eq!(verdict, passed());
}

#[tokio::test]
async fn session_ids_without_a_way_to_know_the_peer_are_refused_at_build() {
    let stage = Stage::start().await;
    let builder = SessionLayer::builder(stage.clerk())
        .session_id_header("x-session-id")
        .session_id_callers(["127.0.0.1/32"]);
    let message = builder.build().unwrap_err().to_string();
    assert!(message.contains("peer"), "{message}");
}

#[tokio::test]
async fn the_body_may_be_neither_send_nor_sync() {
    let stage = Stage::start().await;
    let layer = SessionLayer::required(stage.clerk());
    let inner = service_fn(async |request: Request<Rc<str>>| {
        let body = Bytes::from(request.into_body().as_bytes().to_vec());
        Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Full::new(body)))
    });
    let request = bearer(&stage.token()).map(|_| Rc::from("untouched"));
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = http_body_util::BodyExt::collect(response.into_body()).await;
    assert_eq!(body.unwrap().to_bytes(), "untouched");
}

#[tokio::test]
async fn a_request_that_goes_away_leaves_the_service_usable() {
    let stage = Stage::start().await;
    let layer = SessionLayer::required(stage.clerk());
    let mut service = layer.layer(service_fn(crate::support::show));
    let gone = service.ready().await.unwrap();
    let mut future = Box::pin(tower::Service::call(gone, bearer(&stage.token())));
    assert!(futures_util::poll!(&mut future).is_pending());
    drop(future);
    for (request, expected) in [(bearer(&stage.token()), 200), (plain(), 401)] {
        let service = service.ready().await.unwrap();
        let response = tower::Service::call(service, request).await.unwrap();
        assert_eq!(response.status(), expected);
    }
    assert_eq!(stage.lookups(), 1);
}

#[tokio::test]
async fn the_layer_stands_among_others_and_never_polls_the_body() {
    let stage = Stage::start().await;
    let service = tower::ServiceBuilder::new()
        .layer(tower_http::trace::TraceLayer::new_for_http())
        .layer(SessionLayer::required(stage.clerk()))
        .service(service_fn(async |_: Request<Untouchable>| {
            Ok::<_, std::convert::Infallible>(Response::new(crate::support::Body::default()))
        }));
    let token = stage.token();
    // The first waits for Clerk, the second is at hand, the third is refused.
    for (request, expected) in [(bearer(&token), 200), (bearer(&token), 200), (plain(), 401)] {
        let request = request.map(|_| Untouchable);
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected);
    }
}

/// A body that must not be polled.
struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        panic!("the body was polled")
    }
}

#[tokio::test]
async fn each_organization_role_and_actor_has_a_template_token_of_its_own() {
    let stage = Stage::start().await;
    let builder = SessionLayer::builder(stage.clerk());
    let layer = builder.template_token("hasura").any_organization();
    let layer = layer.build().unwrap();
    let id = stage.sandbox.session_id();
    let actor = serde_json::json!({"sub": "user_admin"});
    let tokens = [
        stage.token(),
        stage
            .sandbox
            .mint_with(id, |_, claims| claims["o"]["rol"] = "owner".into()),
        stage
            .sandbox
            .mint_with(id, |_, claims| claims["act"] = actor),
        stage.sandbox.mint_with(id, |_, claims| {
            claims.as_object_mut().unwrap().remove("o");
        }),
    ];
    for (before, token) in tokens.iter().enumerate() {
        for _ in 0..2 {
            assert_eq!(verdict(&layer, bearer(token)).await, passed());
            assert_eq!(stage.mints(), before + 1);
        }
    }
}
