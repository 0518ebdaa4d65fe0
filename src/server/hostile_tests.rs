//! Raw requests through the server, the canonical request and the proxy, up to an upstream that counts.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use hyper::service::service_fn;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;
use crate::{
    proxy::{
        BodyLimits, BoxError, ManagedNames, Protocol, ReverseProxy, Tunnels, Upstream,
        UpstreamConfig, UpstreamLimits, UpstreamTls,
    },
    request::CanonicalRequest,
    server::{bind, connection::ConnectionInfo, drain},
};

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

struct Gateway {
    address: SocketAddr,
    hits: Arc<AtomicUsize>,
}

fn empty(status: u16) -> Answer {
    let body = Empty::new()
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

async fn forward(
    proxy: &ReverseProxy,
    upstream: &Arc<Upstream>,
    request: Request<Incoming>,
) -> Answer {
    let (mut parts, body) = request.into_parts();
    let connection = parts.extensions.get::<ConnectionInfo>().unwrap();
    if connection.fault.is_some() {
        return empty(400);
    }
    match CanonicalRequest::parse(&parts) {
        Ok(canonical) => canonical.apply(&mut parts),
        Err(error) => {
            return empty(if error.slug() == "method-not-allowed" {
                405
            } else {
                400
            });
        }
    }
    match proxy
        .send(upstream, &mut parts, body, (BodyLimits::default(), None))
        .await
    {
        Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
        Err(error) => empty(error.status().as_u16()),
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = bind("server.listen", ([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Starts an upstream that reads whole bodies and counts, and a gateway without any rules in front of it.
fn start() -> Gateway {
    let hits = Arc::new(AtomicUsize::new(0));
    let (listener, address) = listen();
    let counter = Arc::clone(&hits);
    let app = service_fn(move |request: Request<Incoming>| {
        let counter = Arc::clone(&counter);
        async move {
            request.into_body().collect().await?;
            counter.fetch_add(1, Ordering::SeqCst);
            Ok::<_, hyper::Error>(empty(200))
        }
    });
    // Whoever begins a drain holds its trigger: these run as long as the test.
    let (trigger, signal) = drain();
    std::mem::forget(trigger);
    tokio::spawn(serve(
        Listener::plain("public", listener, ServeLimits::default()),
        app,
        signal.clone(),
    ));
    let upstream = Arc::new(
        Upstream::new(UpstreamConfig {
            name: "app".to_owned(),
            urls: vec![format!("http://{address}")],
            protocol: Protocol::Auto,
            tls: UpstreamTls::default(),
            health: None,
            limits: UpstreamLimits::default(),
        })
        .unwrap(),
    );
    let proxy = ReverseProxy::new(ManagedNames::default(), Tunnels::new());
    let (listener, address) = listen();
    let gateway = service_fn(move |request| {
        let (proxy, upstream) = (proxy.clone(), Arc::clone(&upstream));
        async move { Ok::<_, Infallible>(forward(&proxy, &upstream, request).await) }
    });
    let limits = ServeLimits {
        header_timeout: Duration::from_millis(150),
        idle_timeout: Duration::from_millis(150),
        ..ServeLimits::default()
    };
    tokio::spawn(serve(
        Listener::plain("public", listener, limits),
        gateway,
        signal,
    ));
    Gateway { address, hits }
}

async fn send(gateway: &Gateway, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

fn statuses_in(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text
        .split("\r\n")
        .filter_map(|line| line.strip_prefix("HTTP/1."));
    lines.map(|line| line[2..5].parse().unwrap()).collect()
}

/// Sends bytes, and returns all statuses until the gateway ends the idle connection.
async fn statuses(gateway: &Gateway, bytes: &[u8]) -> Vec<u16> {
    let mut stream = send(gateway, bytes).await;
    let mut answers = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answers))
        .await
        .unwrap();
    statuses_in(&answers)
}

async fn first_status(gateway: &Gateway, bytes: &[u8]) -> Option<u16> {
    let mut stream = send(gateway, bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_buf(&mut answer))
        .await
        .unwrap();
    statuses_in(&answer).first().copied()
}

async fn assert_refused(cases: &[(&str, &str)], status: u16) {
    let gateway = start();
    for (name, request) in cases {
        let first = first_status(&gateway, request.as_bytes()).await;
        assert_eq!(first, Some(status), "{name}: {request:?}");
        assert_eq!(
            gateway.hits.load(Ordering::SeqCst),
            0,
            "{name}: {request:?}"
        );
    }
}

#[tokio::test]
async fn ambiguous_targets_never_reach_the_upstream() {
    let targets = [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/%2E%2e/admin",
        "/public/.%2e/admin",
        "/public/..%2fadmin",
        "/public/%252e%252e%252fadmin",
        "/admin%2Fusers",
        "/admin%2fusers",
        "//admin/users",
        "///admin",
        "/x//../admin",
        "/public/..;/admin",
        "/admin;x=1",
        "/admin%3bx",
        "/public\\..\\admin",
        "/public%5c..",
        "/admin%23/public",
        "/admin%3f/public",
        "/public/%00/../admin",
        "/public/%zz",
        "/%",
        "/public/%c0%af",
        "/strip../admin",
        "http://internal.test/admin/x",
        "http://gw.test@evil.test/",
        "*",
        "admin",
        "/caf\u{e9}",
        "/\u{7f}",
        "/admin/x#/public/",
    ];
    let requests = targets.map(|target| format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\n\r\n"));
    let cases: Vec<_> = targets
        .iter()
        .copied()
        .zip(requests.iter().map(String::as_str))
        .collect();
    assert_refused(&cases, 400).await;
}

#[tokio::test]
async fn ambiguous_heads_never_reach_the_upstream() {
    assert_refused(
        &[
            ("no host", "GET /app HTTP/1.1\r\n\r\n"),
            (
                "two hosts",
                "GET /app HTTP/1.1\r\nHost: gw.test\r\nHost: gw.test\r\n\r\n",
            ),
            (
                "host injection",
                "GET /app HTTP/1.1\r\nHost: a;for=1.2.3.4,b\r\n\r\n",
            ),
            (
                "lower-case method",
                "get /admin HTTP/1.1\r\nHost: gw.test\r\n\r\n",
            ),
            (
                "blank in method",
                "GE T /admin HTTP/1.1\r\nHost: gw.test\r\n\r\n",
            ),
            (
                "blank before colon",
                "GET / HTTP/1.1\r\nHost: gw.test\r\nX-Clerk-User-Id : admin\r\n\r\n",
            ),
            (
                "folded line",
                "GET / HTTP/1.1\r\nHost: gw.test\r\nX-A: 1\r\n X-Clerk-User-Id: admin\r\n\r\n",
            ),
            (
                "empty name",
                "GET / HTTP/1.1\r\nHost: gw.test\r\n: x\r\n\r\n",
            ),
            (
                "nul in value",
                "GET / HTTP/1.1\r\nHost: gw.test\r\nX-A: a\0b\r\n\r\n",
            ),
            (
                "bare cr in value",
                "GET / HTTP/1.1\r\nHost: gw.test\r\nX-A: a\rb\r\n\r\n",
            ),
        ],
        400,
    )
    .await;
}

#[tokio::test]
async fn ambiguous_framing_never_reaches_the_upstream() {
    let head = |lines: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n\r\n{body}")
    };
    let cases = [
        ("xchunked", head("Transfer-Encoding: xchunked", "0\r\n\r\n")),
        (
            "chunked, identity",
            head("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ),
        (
            "chunked twice",
            head("Transfer-Encoding: identity, chunked, chunked", "0\r\n\r\n"),
        ),
        (
            "two lines",
            head(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                "0\r\n\r\n",
            ),
        ),
        (
            "gzip, chunked",
            head("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
        ),
        (
            "two lengths",
            head("Content-Length: 5\r\nContent-Length: 6", "hello"),
        ),
        ("signed length", head("Content-Length: +5", "hello")),
        ("listed length", head("Content-Length: 5,5", "hello")),
        ("hex length", head("Content-Length: 0x5", "hello")),
        ("no length", head("Content-Length: ", "hello")),
        (
            "huge length",
            head("Content-Length: 18446744073709551621", "hello"),
        ),
        (
            "http/1.0",
            "POST / HTTP/1.0\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
        ),
        (
            "chunk size overflow",
            head(
                "Transfer-Encoding: chunked",
                "ffffffffffffffff0\r\na\r\n0\r\n\r\n",
            ),
        ),
        (
            "bare lf in chunks",
            head("Transfer-Encoding: chunked", "5\nAAAAA\n0\n\n"),
        ),
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|(name, request)| (*name, request.as_str()))
        .collect();
    assert_refused(&cases, 400).await;
}

#[tokio::test]
async fn tunnels_and_echoes_are_405() {
    assert_refused(&[
        ("connect", "CONNECT internal.test:22 HTTP/1.1\r\nHost: internal.test:22\r\n\r\nGET /admin HTTP/1.1\r\n\r\n"),
        ("trace", "TRACE / HTTP/1.1\r\nHost: gw.test\r\n\r\n"),
    ], 405).await;
}

#[tokio::test]
async fn both_framings_are_refused_and_what_follows_is_no_request() {
    for lines in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let gateway = start();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: gw.test\r\n\r\n"
        );
        assert_eq!(
            statuses(&gateway, request.as_bytes()).await,
            [400],
            "{lines}"
        );
        assert_eq!(gateway.hits.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_body_that_reads_like_a_request_is_a_body() {
    let gateway = start();
    let inner = "GET /admin HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    for method in ["GET", "OPTIONS", "POST"] {
        let chunked = format!(
            "{method} /x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
            inner.len()
        );
        let sized = format!(
            "{method} /x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {}\r\n\r\n{inner}",
            inner.len()
        );
        for request in [chunked, sized] {
            let before = gateway.hits.load(Ordering::SeqCst);
            assert_eq!(
                statuses(&gateway, request.as_bytes()).await,
                [200],
                "{request:?}"
            );
            assert_eq!(
                gateway.hits.load(Ordering::SeqCst),
                before + 1,
                "{request:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_upgrade_that_is_refused_leaves_http_behind_it() {
    let gateway = start();
    let upgrade = "GET /ws HTTP/1.1\r\nHost: gw.test\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nget /admin HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    assert_eq!(statuses(&gateway, upgrade.as_bytes()).await, [200, 400]);
}
