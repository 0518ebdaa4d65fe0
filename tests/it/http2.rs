//! HTTP/2 by prior knowledge.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use crate::{
    adversarial::http2::{
        END_HEADERS, END_STREAM, HEADERS, Outcome, ask, block, connect, frame, get,
    },
    support::{
        process::raw,
        programs::curl,
        scene::{Scene, Setting},
        upstream::Upstream,
    },
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
    let counted = "connections_closed_total{reason=\"idle-timeout\"} 1";
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_request_with_too_many_fields_is_431() {
    let setting = Setting {
        server: "h2c = true\nmax_headers = 20",
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let names: Vec<_> = (0..30).map(|n| format!("x-{n}")).collect();
    let more = |count: usize| {
        let fields = names[..count].iter().map(|name| (name.as_str(), "1"));
        let fields = get("/public/x").into_iter().chain(fields);
        ask(scene.address, &fields.collect::<Vec<_>>(), None)
    };
    assert_eq!(more(20), Outcome::Status(200));
    more(21);
    assert_eq!(scene.upstream.hits(), 1);
    let counted = r#"route="none",status="431"} 1"#;
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_all_its_streams_is_counted() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = format!("url = \"http://{}\"", silent.local_addr().unwrap());
    let setting = Setting {
        server: "h2c = true\nmax_streams = 3",
        upstream: &lines,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let counted = "clerk_gateway_limit_reached_total{limit=\"streams\"} ";
    let mut client = connect(scene.address);
    let mut ask = |stream| {
        let head = block(&get("/public/x"));
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
        client.write_all(&head).unwrap();
        silent.accept().unwrap()
    };
    let _two = [ask(1), ask(3)];
    assert!(!scene.metrics().contains(counted), "{}", scene.metrics());
    let _third = ask(5);
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
}
