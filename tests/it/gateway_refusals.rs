//! What the gateway refuses, and that nothing of it reaches the upstream.

use crate::support::{
    process::{raw, status_of},
    scene::Scene,
};

#[tokio::test(flavor = "multi_thread")]
async fn signed_out_is_401_and_nothing_reaches_the_upstream() {
    let scene = Scene::start().await;
    let answer = scene.get("/app/x", &[]);
    assert_eq!(status_of(&answer), 401);
    assert!(answer.contains("content-type: application/problem+json"));
    assert!(answer.contains(r#""code":"session-token-missing""#));
    assert!(answer.contains("\r\nx-request-id: "));
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_statuses_and_the_upstream_sees_nothing() {
    let scene = Scene::start().await;
    for (request, status, code) in [
        ("GET /nowhere HTTP/1.1\r\nHost: a", 404, "route-not-found"),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1",
            405,
            "method-not-allowed",
        ),
        (
            "GET /public/../admin HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-path",
        ),
        (
            "GET /public/%2e%2e/admin HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-path",
        ),
        (
            "GET /public/..%2fadmin HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-path",
        ),
        (
            "GET /public/%252e%252e/admin HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-path",
        ),
        (
            "GET /public/..;/admin HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-path",
        ),
        (
            "GET /public\\..\\admin HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-path",
        ),
        (
            "GET /public//x HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-path",
        ),
        (
            "GET /public/%00 HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-path",
        ),
        (
            "GET /public/%zz HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-path",
        ),
        (
            "GET http://b/public/x HTTP/1.1\r\nHost: a",
            400,
            "request-ambiguous-host",
        ),
        (
            "GET /public/x HTTP/1.1\r\nHost: a\r\nHost: b",
            400,
            "request-ambiguous-host",
        ),
        (
            "GET /public/x HTTP/1.1\r\nX-A: b",
            400,
            "request-ambiguous-host",
        ),
        ("GET * HTTP/1.1\r\nHost: a", 400, "request-ambiguous-target"),
        (
            "POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked",
            400,
            "request-ambiguous-framing",
        ),
        (
            "GET /%61dmin/x HTTP/1.1\r\nHost: a",
            401,
            "session-token-missing",
        ),
        (
            "GET /admin HTTP/1.1\r\nHost: a",
            401,
            "session-token-missing",
        ),
        (
            "GET /administrators HTTP/1.1\r\nHost: a",
            404,
            "route-not-found",
        ),
    ] {
        let text = format!("{request}\r\nConnection: close\r\n\r\n");
        let answer = raw(scene.address, text.as_bytes());
        assert_eq!(status_of(&answer), status, "{request}: {answer}");
        assert!(answer.contains(code), "{request}: {answer}");
    }
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_role_is_403() {
    let scene = Scene::start().await;
    let answer = scene.get("/owners/x", &[&scene.bearer()]);
    assert_eq!(status_of(&answer), 403);
    assert!(answer.contains("role-missing"));
    assert!(answer.contains("insufficient_scope"));
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connections_requests_are_judged_one_by_one() {
    let scene = Scene::start().await;
    let request = format!(
        "GET /app/1 HTTP/1.1\r\nHost: gw.test\r\n{}\r\n\r\n\
         GET /app/2 HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n",
        scene.bearer()
    );
    let answers = raw(scene.address, request.as_bytes());
    assert!(answers.starts_with("HTTP/1.1 200"), "{answers}");
    assert!(answers.contains("HTTP/1.1 401"), "{answers}");
    assert_eq!(scene.upstream.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_requests_body_is_not_the_next_request() {
    let scene = Scene::start().await;
    let body = "GET /public/phantom HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    let request = format!(
        "POST /app/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(status_of(&raw(scene.address, request.as_bytes())), 401);
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_refused_connect_or_an_ambiguous_request_is_not_a_request() {
    let scene = Scene::start().await;
    for first in [
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1",
        "GET /a//b HTTP/1.1\r\nHost: a",
    ] {
        let request = format!("{first}\r\n\r\nGET /public/x HTTP/1.1\r\nHost: a\r\n\r\n");
        let answers = raw(scene.address, request.as_bytes());
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    }
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_asked_for_before_the_decision() {
    let scene = Scene::start().await;
    let request = "POST /app/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\
                   Expect: 100-continue\r\nConnection: close\r\n\r\n";
    let answer = raw(scene.address, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}
