//! Request bodies: bound in size and in standstill, and not read before the decision.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::support::{
    process::{raw, status_of},
    scene::{Scene, Setting},
    upstream::Upstream,
};

const LIMITS: Setting<'_> = Setting {
    clerk: "",
    server: "max_body_bytes = 10\nbody_idle_timeout = \"300ms\"",
    upstream: "",
    routes: "[[route]]\npath = \"/public/*\"\nauth = \"none\"\n\n[[route]]\npath = \"/large\"\nauth = \"none\"\nmax_body_bytes = 20\n\n[[route]]\npath = \"/app/*\"\n",
};

async fn scene() -> Scene {
    Scene::set(Upstream::start(), LIMITS).await
}

fn post(path: &str, framing: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: gw.test\r\n{framing}\r\n\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_above_the_limit_is_413_whichever_way_it_is_framed() {
    let scene = scene().await;
    let chunked = "Transfer-Encoding: chunked\r\nConnection: close";
    for (request, status) in [
        (
            post(
                "/public/x",
                "Content-Length: 10\r\nConnection: close",
                "0123456789",
            ),
            200,
        ),
        (
            post(
                "/public/x",
                "Content-Length: 11\r\nConnection: close",
                "0123456789a",
            ),
            413,
        ),
        (
            post("/public/x", chunked, "a\r\n0123456789\r\n0\r\n\r\n"),
            200,
        ),
        (
            post(
                "/public/x",
                chunked,
                "a\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n",
            ),
            413,
        ),
        (
            post(
                "/large",
                "Content-Length: 11\r\nConnection: close",
                "0123456789a",
            ),
            200,
        ),
        (
            post(
                "/large",
                "Content-Length: 21\r\nConnection: close",
                "0123456789abcdefghijk",
            ),
            413,
        ),
    ] {
        let answer = raw(scene.address, request.as_bytes());
        assert_eq!(status_of(&answer), status, "{request}\n{answer}");
    }
    assert_eq!(scene.upstream.hits(), 3);
    let log = scene.gateway.stderr();
    assert!(log.contains("request-body-too-large"), "{log}");
    let warned = |line: &&str| line.contains("WARN") && line.contains("request-body");
    assert_eq!(log.lines().find(warned), None);
    let counted = r#"{upstream="app",outcome="request-body-too-large"} 3"#;
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stands_still_is_408_and_the_connection_ends() {
    let scene = scene().await;
    for request in [
        post("/public/x", "Content-Length: 10", "half"),
        post("/public/x", "Transfer-Encoding: chunked", "4\r\nhalf\r\n"),
    ] {
        let answer = raw(scene.address, request.as_bytes());
        assert_eq!(status_of(&answer), 408, "{answer}");
        assert!(answer.contains("request-body-timeout"), "{answer}");
    }
    assert_eq!(scene.upstream.hits(), 0);
    let counted = r#"{upstream="app",outcome="request-body-timeout"} 2"#;
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expected_continue_comes_after_the_decision() {
    let scene = scene().await;
    let bearer = scene.bearer();
    let head = |lines: &str| {
        post(
            "/app/x",
            &format!("Content-Length: 4\r\nExpect: 100-continue{lines}"),
            "",
        )
    };
    let mut refused = TcpStream::connect(scene.address).unwrap();
    refused
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    refused.write_all(head("").as_bytes()).unwrap();
    let mut answer = String::new();
    refused.write_all(b"GET ").unwrap();
    let _ = refused.read_to_string(&mut answer);
    assert_eq!(status_of(&answer), 401, "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");

    let mut allowed = TcpStream::connect(scene.address).unwrap();
    allowed
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let request = head(&format!("\r\nConnection: close\r\n{bearer}"));
    allowed.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 25];
    allowed.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    allowed.write_all(b"body").unwrap();
    let mut answer = String::new();
    allowed.read_to_string(&mut answer).unwrap();
    assert_eq!(status_of(&answer), 200, "{answer}");
    assert!(scene.upstream.last().ends_with("\r\n\r\nbody"));
}
