//! What the client makes of refusals, limits, and a server that is slow, gone or wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clerk_gateway::{
    Clock, Timestamp,
    clerk::{Client, Error, PublicJwks},
};
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpListener};
use wiremock::{
    Match, Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

use super::{KEY, answering, builder, count, ok, session, sessions};

#[tokio::test]
async fn every_part_of_a_refusal_is_kept() {
    let body = json!({
        "errors": [
            {"code": "form_param_missing", "message": "m", "long_message": "l", "meta": {"param_name": "user_id"}},
            {"code": "second", "message": "n", "long_message": null},
        ],
        "meta": {"k": 1},
        "clerk_trace_id": "trace",
    });
    let response = ResponseTemplate::new(422)
        .insert_header("cf-ray", "ray")
        .set_body_raw(body.to_string(), "application/json; charset=utf-8");
    let server = answering(response).await;
    let error = sessions(&server).create("user_1", None).await.unwrap_err();
    assert_eq!(
        (error.status(), error.code()),
        (Some(422), Some("form_param_missing"))
    );
    let refusal = error.refusal().unwrap();
    let first = &refusal.errors.errors[0];
    assert_eq!((&*first.message, &*first.long_message), ("m", "l"));
    assert_eq!(first.meta, Some(json!({"param_name": "user_id"})));
    assert_eq!(refusal.errors.errors[1].code, "second");
    assert_eq!(refusal.errors.meta, Some(json!({"k": 1})));
    assert_eq!(refusal.clerk_trace_id.as_deref(), Some("trace"));
}

#[tokio::test]
async fn a_refusal_that_is_not_json_keeps_status_and_ray() {
    let response = ResponseTemplate::new(403)
        .insert_header("cf-ray", "ray")
        .set_body_raw("<html>", "text/html");
    let error = sessions(&answering(response).await)
        .get("sess_1")
        .await
        .unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(
        (refusal.status, refusal.clerk_trace_id.as_deref()),
        (403, Some("ray"))
    );
    assert!(refusal.errors.errors.is_empty() && error.code().is_none());
}

#[tokio::test]
async fn a_withdrawn_operation_is_an_error_of_its_own() {
    let body = json!({"errors": [{"code": "operation_deprecated"}], "clerk_trace_id": "trace"});
    let server = answering(ResponseTemplate::new(410).set_body_json(body)).await;
    let error = sessions(&server).verify("sess_1", None).await.unwrap_err();
    assert!(matches!(&error, Error::OperationDeprecated(refusal)
        if refusal.clerk_trace_id.as_deref() == Some("trace")));
    assert!(!error.is_unavailable() && !error.is_not_found());
}

#[tokio::test]
async fn only_reading_is_repeated_after_a_5xx() {
    let server = answering(ResponseTemplate::new(503)).await;
    let error = sessions(&server).get("sess_1").await.unwrap_err();
    assert!(error.is_unavailable());
    assert_eq!(count(&server).await, 3);

    let server = answering(ResponseTemplate::new(503)).await;
    sessions(&server).revoke("sess_1").await.unwrap_err();
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let body = r#"{"errors":[{"code":"resource_not_found","message":"Session not found"}]}"#;
    let server = answering(ResponseTemplate::new(404).set_body_string(body)).await;
    let error = sessions(&server).get("sess_1").await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(count(&server).await, 1);
}

/// Matches the first request only.
struct First(AtomicBool);

impl Match for First {
    fn matches(&self, _: &Request) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }
}

async fn limited_once(retry_after: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(First(false.into()))
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after", retry_after))
        .mount(&server)
        .await;
    Mock::given(path("/v1/sessions/sess_1/tokens"))
        .respond_with(ok(json!({"jwt": "a.b.c"})))
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(ok(session("sess_1")))
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_out_even_by_a_post() {
    let server = limited_once("1").await;
    let begun = Instant::now();
    let token = sessions(&server)
        .create_token("sess_1", None)
        .await
        .unwrap();
    assert_eq!(token.jwt, "a.b.c");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(count(&server).await, 2);
}

#[tokio::test]
async fn a_long_rate_limit_holds_every_clone_until_it_passes() {
    let server = limited_once("60").await;
    let clock = Clock::manual(Timestamp::from_secs(1_000));
    let client = builder(&server).clock(clock.clone()).build().unwrap();
    let error = client.sessions().get("sess_1").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));

    clock.advance(Duration::from_secs(20));
    let error = client.clone().sessions().get("sess_1").await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { retry_after, .. } if retry_after.as_secs() == 40));
    assert_eq!(error.status(), Some(429));
    assert_eq!(count(&server).await, 1);

    clock.advance(Duration::from_secs(40));
    assert!(client.sessions().get("sess_1").await.is_ok());
}

#[tokio::test]
async fn a_rate_limit_does_not_withhold_the_keys() {
    let server = limited_once("60").await;
    let client = builder(&server).build().unwrap();
    client.sessions().get("sess_1").await.unwrap_err();
    assert!(client.jwks().await.is_ok());
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_total_time_out() {
    let server = answering(ok(session("sess_1")).set_delay(Duration::from_secs(60))).await;
    let client = builder(&server)
        .timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let error = client.sessions().get("sess_1").await.unwrap_err();
    assert!(matches!(error, Error::TimedOut) && error.is_unavailable());
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::builder(KEY.into()).api_url(&url).build().unwrap();
    let error = client.sessions().revoke("sess_1").await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)) && error.is_unavailable());
    assert_eq!(error.status(), None);
}

#[tokio::test]
async fn only_reading_is_repeated_after_a_lost_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = accepted.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            // Hangs up once the request has begun to arrive.
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let client = Client::builder(KEY.into()).api_url(&url).build().unwrap();
    let posted = client.sessions().revoke("sess_1").await;
    assert!(matches!(posted, Err(Error::Transport(_))));
    assert_eq!(accepted.swap(0, Ordering::SeqCst), 1);
    let got = client.sessions().get("sess_1").await;
    assert!(matches!(got, Err(Error::Transport(_))));
    assert_eq!(accepted.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_failed_tls_handshake_is_told_from_a_failed_connection() {
    let server = answering(ok(json!({}))).await;
    let jwks = PublicJwks::new(&server.uri().replace("http://", "https://")).unwrap();
    assert!(matches!(jwks.fetch().await, Err(Error::Tls(_))));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let moved = ResponseTemplate::new(302).insert_header("location", "/v1/sessions/sess_1");
    let server = answering(moved).await;
    let error = sessions(&server).get("sess_1").await.unwrap_err();
    assert_eq!((error.status(), count(&server).await), (Some(302), 1));
}

#[tokio::test]
async fn an_overlong_body_is_not_read() {
    let server =
        answering(ResponseTemplate::new(200).set_body_bytes(vec![b' '; 64 * 1024 + 1])).await;
    let url = format!("{}/.well-known/jwks.json", server.uri());
    let fetched = PublicJwks::new(&url).unwrap().fetch().await;
    assert!(matches!(
        fetched,
        Err(Error::BodyTooLarge { limit: 65_536 })
    ));
    let fetched = builder(&server).build().unwrap().jwks().await;
    assert!(matches!(
        fetched,
        Err(Error::BodyTooLarge { limit: 65_536 })
    ));

    let server =
        answering(ResponseTemplate::new(200).set_body_bytes(vec![b' '; 1024 * 1024 + 1])).await;
    let got = sessions(&server).get("sess_1").await;
    assert!(matches!(got, Err(Error::BodyTooLarge { limit: 1_048_576 })));
}

#[tokio::test]
async fn an_answer_that_is_not_understood_is_not_quoted() {
    let server = answering(ok(json!({"object": "token", "jwt": ["secret"]}))).await;
    let error = sessions(&server)
        .create_token("sess_1", None)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::BodyNotUnderstood { .. }));
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[tokio::test]
async fn another_session_than_asked_for_is_refused() {
    let server = answering(ok(session("sess_2"))).await;
    let sessions = sessions(&server);
    for answer in [
        sessions.get("sess_1").await,
        sessions.verify("sess_1", None).await,
    ] {
        assert!(matches!(answer, Err(Error::AnotherSession)));
    }
}
