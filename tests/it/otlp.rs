//! Traces by OTLP, as a receiver gets them.
#![cfg(feature = "otel")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use crate::support::{
    process::{Running, assert_no_secret, command, get, status_of},
    scene::Scene,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Takes whatever is sent, and answers 200.
fn receiver() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let received = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&received);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut buffer = [0; 65_536];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                all.lock().unwrap().extend_from_slice(&buffer[..read]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    (url, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_in_its_callers_trace_and_the_upstream_is_told_of_it() {
    let mut scene = Scene::start().await;
    let (url, received) = receiver();
    let mut traced = command();
    traced.args(["serve", "-c"]).arg(&scene.file);
    traced.env("CLERK_SECRET_KEY", scene.sandbox.secret_key());
    traced.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    drop(scene.gateway);
    scene.gateway = Running::start(traced, scene.address);
    let parent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01");
    let bearer = scene.bearer();
    assert_eq!(
        status_of(&get(scene.address, "/app/x", &[&parent, &bearer])),
        200
    );
    let told = scene.upstream.header("traceparent").concat();
    assert!(
        told.contains(TRACE) && !told.contains("00f067aa0ba902b7"),
        "{told}"
    );
    assert_eq!(status_of(&get(scene.address, "/app/x", &[])), 401);
    scene.gateway.signal("TERM");
    assert_eq!(scene.gateway.status(), Some(0));
    let received = received.lock().unwrap();
    let text = String::from_utf8_lossy(&received);
    for part in [
        "/v1/traces",
        "clerk-gateway",
        "GET /app/*",
        "http.route",
        "session-token-missing",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let id: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&TRACE[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    assert!(received.windows(16).any(|window| window == id));
    assert_no_secret("a trace", &text);
}
