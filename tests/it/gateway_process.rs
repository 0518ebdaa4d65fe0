//! The gateway as a running process: streams, failures of others, the admin port, its logs, its end.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use crate::support::{
    process::{free_address, get, status_of},
    scene::Scene,
    upstream::Upstream,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_502_and_a_slow_one_504_without_its_words() {
    let down = format!("http://{}", free_address());
    let scene = Scene::with(Upstream::start(), &down, "1s").await;
    let answer = scene.get("/public/x", &[]);
    assert_eq!(status_of(&answer), 502);
    assert!(answer.contains("upstream-unreachable"), "{answer}");
    assert!(!answer.contains("refused"), "{answer}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let scene = Scene::with(Upstream::start(), &url, "1s").await;
    let answer = scene.get("/public/x", &[]);
    assert_eq!(status_of(&answer), 504);
    assert!(answer.contains("upstream-timeout"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    let scene = Scene::with(Upstream::start(), &url, "30s").await;
    let mut client = TcpStream::connect(scene.address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    client
        .write_all(b"POST /public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 6\r\n\r\none")
        .unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    server
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    // Half of the upload is there while the client holds the other half.
    read_until(&mut server, "one");
    client.write_all(b"two").unwrap();
    read_until(&mut server, "two");
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        .unwrap();
    // And half of the download, while the upstream holds the other.
    read_until(&mut client, "abc");
    server.write_all(b"def").unwrap();
    read_until(&mut client, "def");
}

fn read_until(stream: &mut TcpStream, wanted: &str) {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "ended before {wanted:?}: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_upstream_call() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    let scene = Scene::with(Upstream::start(), &url, "30s").await;
    let mut client = TcpStream::connect(scene.address).unwrap();
    client
        .write_all(b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        .unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    read_until(&mut server, "\r\n\r\n");
    drop(client);
    server
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let began = Instant::now();
    let mut rest = Vec::new();
    let _ = server.read_to_end(&mut rest);
    // Well before the response time-out of 30 s would have ended it.
    assert!(began.elapsed() < Duration::from_secs(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_port_says_alive_ready_and_what_was_counted() {
    let scene = Scene::start().await;
    assert_eq!(scene.signed_in("/app/x", &[]), 200);
    assert_eq!(status_of(&scene.get("/app/x", &[])), 401);
    assert_eq!(status_of(&get(scene.admin, "/livez", &[])), 200);
    assert_eq!(status_of(&get(scene.admin, "/readyz", &[])), 200);
    let metrics = get(scene.admin, "/metrics", &[]);
    for line in [
        r#"clerk_gateway_requests_total{route="/app/*",status="200"} 1"#,
        r#"clerk_gateway_decisions_total{route="/app/*",outcome="refuse",reason="session-token-missing"} 1"#,
        r#"clerk_gateway_clerk_requests_total{operation="GetSession",outcome="ok"}"#,
        "clerk_gateway_connections",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_logs() {
    let scene = Scene::start().await;
    assert_eq!(scene.signed_in("/app/x", &[]), 200);
    let mut wrong = scene.sandbox.session_token().to_owned();
    wrong.push('x');
    scene.get("/app/x", &[&format!("Authorization: Bearer {wrong}")]);
    let minted = scene.upstream.header("authorization")[0].clone();
    let logs = scene.gateway.stderr();
    for secret in [
        scene.sandbox.session_token(),
        scene.sandbox.secret_key(),
        minted.trim_start_matches("Bearer "),
    ] {
        assert!(!logs.contains(secret), "{logs}");
    }
    assert!(logs.contains("request refused"), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_secret_key_turns_readyz_red() {
    let scene = Scene::start().await;
    assert_eq!(scene.signed_in("/app/x", &[]), 200);
    scene.sandbox.faults().errors(1.0, 401);
    let id = scene.sandbox.create_session(scene.sandbox.user_id());
    let bearer = format!("Authorization: Bearer {}", scene.sandbox.mint(&id));
    let answer = scene.get("/owners/x", &[&bearer]);
    assert_eq!(status_of(&answer), 503, "{answer}");
    let ready = get(scene.admin, "/readyz", &[]);
    assert_eq!(status_of(&ready), 503, "{ready}");
    assert!(ready.contains("secret-key-invalid"), "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_what_runs_finish_and_ends_with_0() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    let mut scene = Scene::with(Upstream::start(), &url, "30s").await;
    let mut client = TcpStream::connect(scene.address).unwrap();
    client
        .write_all(b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        .unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    read_until(&mut server, "\r\n\r\n");
    scene.gateway.signal("TERM");
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(scene.address).is_ok() {
        assert!(Instant::now() < deadline, "still accepting");
        std::thread::yield_now();
    }
    let ready = get(scene.admin, "/readyz", &[]);
    assert_eq!(status_of(&ready), 503, "{ready}");
    assert!(ready.contains("draining"), "{ready}");
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
        .unwrap();
    read_until(&mut client, "done");
    assert_eq!(scene.gateway.status(), Some(0));
}
