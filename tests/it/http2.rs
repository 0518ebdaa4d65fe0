//! HTTP/2 by prior knowledge.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::support::{
    process::raw,
    programs::curl,
    scene::{Scene, Setting},
    upstream::Upstream,
};

async fn scene() -> Scene {
    let setting = Setting {
        server: "h2c = true\nhandshake_timeout = \"500ms\"",
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_by_prior_knowledge_stands_beside_http1() {
    let scene = scene().await;
    let url = format!("http://{}/app/x", scene.address);
    let bearer = scene.bearer();
    for (flag, version) in [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")] {
        let written = "%{http_version} %{response_code}";
        let said = curl(&[flag, "-H", &bearer, "-o", "/dev/null", "-w", written, &url]);
        assert_eq!(said, (true, format!("{version} 200")));
        assert_eq!(scene.upstream.header("x-clerk-user-id").len(), 1);
        assert_eq!(
            scene.upstream.header("x-forwarded-host"),
            [scene.address.to_string()]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_in_several_http2_fields_are_one() {
    let scene = scene().await;
    let url = format!("http://{}/forward/x", scene.address);
    let session = format!("Cookie: __session={}", scene.sandbox.session_token());
    let flag = "--http2-prior-knowledge";
    let written = "%{response_code}";
    let said = curl(&[
        flag,
        "-H",
        "Cookie: a=b",
        "-H",
        &session,
        "-o",
        "/dev/null",
        "-w",
        written,
        &url,
    ]);
    assert_eq!(said, (true, "200".to_owned()));
    let arrived = scene.upstream.header("cookie");
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    assert!(arrived[0].starts_with("a=b; __session="), "{arrived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_says_which_protocol_is_cut() {
    let scene = scene().await;
    for first in ["", "P", "PRI * HTT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        // `raw` waits 20 s for the end at the most; what it reads can only be HTTP/2 frames.
        let answer = raw(scene.address, first.as_bytes());
        assert!(!answer.contains("HTTP/1.1 200"), "{first:?}: {answer}");
    }
    assert!(
        scene.metrics().contains("reason=\"handshake-timeout\"} 3"),
        "{}",
        scene.metrics()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_connection_without_requests_is_let_go() {
    let setting = Setting {
        server: "h2c = true\nidle_timeout = \"500ms\"",
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    // The preface, empty SETTINGS, and nothing more.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut client = TcpStream::connect(scene.address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    client.write_all(preface).unwrap();
    // GOAWAY: a frame of 8 bytes and type 7 (RFC 9113 §6.8).
    let goaway = b"\0\0\x08\x07";
    let mut frames = Vec::new();
    while !frames.windows(4).any(|window| window == goaway) {
        let mut byte = [0; 64];
        let read = client.read(&mut byte).unwrap();
        assert!(read > 0, "ended without GOAWAY: {frames:?}");
        frames.extend_from_slice(&byte[..read]);
    }
}
