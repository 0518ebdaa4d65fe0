mod connections;
mod support;

use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full};

use super::*;
use std::{convert::Infallible, net::SocketAddr, time::Duration};

use support::{
    HANG_UP, OK, RawUpstream, SILENCE, config, fed_body, nobody, parts, proxy, upstream,
};

async fn get(
    proxy: &ReverseProxy,
    upstream: &Arc<Upstream>,
) -> Result<Response<ProxyBody>, ProxyError> {
    proxy
        .send(
            upstream,
            &mut parts("GET", "/", &[]),
            Empty::new(),
            (BodyLimits::default(), None),
        )
        .await
}

async fn text(response: Response<ProxyBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn full(text: &'static str) -> Full<Bytes> {
    Full::new(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn the_target_goes_out_byte_for_byte_to_the_upstreams_host() {
    let app = RawUpstream::start(&[&[OK]]).await;
    let mut head = parts(
        "GET",
        "/a%20b/c?x=%2F..&y",
        &[("x-forwarded-host", "gw.test")],
    );
    let response = proxy()
        .send(
            &app.upstream(),
            &mut head,
            Empty::new(),
            (BodyLimits::default(), None),
        )
        .await
        .unwrap();
    assert_eq!(text(response).await, "ok");
    let wanted = format!(
        "GET /a%20b/c?x=%2F..&y HTTP/1.1\r\nhost: {}\r\nx-forwarded-host: gw.test\r\n\r\n",
        app.address
    );
    assert_eq!(app.seen(), [wanted]);
}

#[tokio::test]
async fn content_length_is_what_the_body_is() {
    let app = RawUpstream::start(&[&[OK, OK]]).await;
    let (proxy, upstream) = (proxy(), app.upstream());
    let mut lies = parts("POST", "/", &[("content-length", "50")]);
    proxy
        .send(
            &upstream,
            &mut lies,
            full("hi"),
            (BodyLimits::default(), None),
        )
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    assert!(
        app.seen()[0].ends_with("content-length: 2\r\n\r\nhi"),
        "{:?}",
        app.seen()
    );
    let mut nothing = parts("POST", "/", &[("content-length", "50")]);
    proxy
        .send(
            &upstream,
            &mut nothing,
            Empty::new(),
            (BodyLimits::default(), None),
        )
        .await
        .unwrap();
    assert!(
        !app.seen()[1].contains("content-length: 50"),
        "{:?}",
        app.seen()
    );
}

#[tokio::test]
async fn a_body_of_unknown_length_is_chunked_whatever_the_method() {
    for method in ["GET", "OPTIONS", "POST"] {
        let app = RawUpstream::start(&[&[OK]]).await;
        let (feed, body) = fed_body();
        feed.send(Frame::data(Bytes::from_static(b"query")))
            .unwrap();
        drop(feed);
        proxy()
            .send(
                &app.upstream(),
                &mut parts(method, "/", &[]),
                body,
                (BodyLimits::default(), None),
            )
            .await
            .unwrap();
        assert!(
            app.seen()[0].ends_with("chunked\r\n\r\n5\r\nquery\r\n0\r\n\r\n"),
            "{:?}",
            app.seen()
        );
    }
}

#[tokio::test]
async fn a_response_arrives_while_it_is_written() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    let app = RawUpstream::start(&[&[head, "6\r\nsecond\r\n0\r\n\r\n"]]).await;
    let mut body = get(&proxy(), &app.upstream()).await.unwrap().into_body();
    // The upstream has not sent the rest, and will not: the first part is here all the same.
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "first");
}

#[tokio::test]
async fn an_upload_is_not_cut_while_it_moves() {
    let app = RawUpstream::start(&[&[OK]]).await;
    let (feed, body) = fed_body();
    let (proxy, upstream) = (proxy(), app.upstream());
    let sent = proxy.send(
        &upstream,
        &mut parts("POST", "/", &[]),
        body,
        (BodyLimits::default(), None),
    );
    let fed = async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            feed.send(Frame::data(Bytes::from_static(b"x"))).unwrap();
        }
    };
    let (response, ()) = tokio::join!(sent, fed);
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn request_trailers_lose_what_requests_are_judged_by() {
    let app = RawUpstream::start(&[&[OK]]).await;
    let (feed, body) = fed_body();
    let names = [
        "grpc-status",
        "x-clerk-user-id",
        "x-tenant",
        "authorization",
        "x-sum",
    ];
    feed.send(Frame::data(Bytes::from_static(b"a"))).unwrap();
    let trailers = names.map(|name| {
        (
            HeaderName::from_static(name),
            http::HeaderValue::from_static("1"),
        )
    });
    feed.send(Frame::trailers(trailers.into_iter().collect()))
        .unwrap();
    drop(feed);
    let mut head = parts("POST", "/", &[("trailer", &names.join(","))]);
    proxy()
        .send(
            &app.upstream(),
            &mut head,
            body,
            (BodyLimits::default(), None),
        )
        .await
        .unwrap();
    let seen = app.seen().concat();
    assert!(seen.contains("trailer: grpc-status, x-sum\r\n"), "{seen}");
    let (_, after) = seen.split_once("\r\n0\r\n").unwrap();
    assert_eq!(after, "grpc-status: 1\r\nx-sum: 1\r\n\r\n");
}

#[tokio::test]
async fn response_trailers_come_through() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: grpc-status\r\n\r\n0\r\ngrpc-status: 0\r\nset-cookie: a=b\r\n\r\n";
    let app = RawUpstream::start(&[&[answer]]).await;
    let response = get(&proxy(), &app.upstream()).await.unwrap();
    assert_eq!(response.headers()["trailer"], "grpc-status");
    let trailers = response
        .into_body()
        .collect()
        .await
        .unwrap()
        .trailers()
        .cloned()
        .unwrap();
    assert_eq!(
        (trailers.len(), &trailers["grpc-status"]),
        (1, &http::HeaderValue::from_static("0"))
    );
}

#[tokio::test]
async fn response_hop_by_hop_headers_end_here() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: x-internal, keep-alive\r\nx-internal: 1\r\nkeep-alive: timeout=5\r\nupgrade: h2c\r\nx-app: 1\r\ncontent-length: 0\r\n\r\n";
    let app = RawUpstream::start(&[&[answer]]).await;
    let response = get(&proxy(), &app.upstream()).await.unwrap();
    let names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["x-app", "content-length"]);
}

#[tokio::test]
async fn responses_of_doubtful_framing_are_not_passed_on() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: a\rset-cookie: b\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ] {
        let app = RawUpstream::start(&[&[answer]]).await;
        let error = get(&proxy(), &app.upstream()).await.unwrap_err();
        assert_eq!(
            error.slug(),
            "upstream-invalid-response",
            "{answer:?}: {error:?}"
        );
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
    }
}

#[tokio::test]
async fn a_stale_connection_is_replaced_once_for_an_idempotent_request() {
    for method in ["GET", "PUT", "DELETE"] {
        let app = RawUpstream::start(&[&[OK, HANG_UP], &[OK]]).await;
        let (proxy, upstream) = (proxy(), app.upstream());
        text(get(&proxy, &upstream).await.unwrap()).await;
        let again = proxy
            .send(
                &upstream,
                &mut parts(method, "/", &[]),
                Empty::new(),
                (BodyLimits::default(), None),
            )
            .await;
        assert_eq!(again.unwrap().status(), StatusCode::OK, "{method}");
        assert_eq!(app.seen().len(), 3);
    }
}

#[tokio::test]
async fn a_second_broken_connection_is_the_end() {
    let app = RawUpstream::start(&[&[HANG_UP], &[HANG_UP], &[OK]]).await;
    let error = get(&proxy(), &app.upstream()).await.unwrap_err();
    assert_eq!(
        (error.slug(), error.status()),
        ("upstream-disconnected", StatusCode::BAD_GATEWAY)
    );
    assert_eq!(app.seen().len(), 2);
}

#[tokio::test]
async fn what_may_have_had_effect_is_never_sent_twice() {
    let app = RawUpstream::start(&[&[HANG_UP], &[HANG_UP], &[OK]]).await;
    let (proxy, upstream) = (proxy(), app.upstream());
    let post = proxy
        .send(
            &upstream,
            &mut parts("POST", "/", &[]),
            Empty::new(),
            (BodyLimits::default(), None),
        )
        .await;
    assert!(matches!(post, Err(ProxyError::Disconnected(_))), "{post:?}");
    let put = proxy
        .send(
            &upstream,
            &mut parts("PUT", "/", &[]),
            full("x"),
            (BodyLimits::default(), None),
        )
        .await;
    assert!(matches!(put, Err(ProxyError::Disconnected(_))), "{put:?}");
    assert_eq!(app.seen().len(), 2);
}

#[tokio::test]
async fn an_origin_that_cannot_be_connected_to_is_passed_over() {
    let app = RawUpstream::start(&[&[OK, OK]]).await;
    let (proxy, upstream) = (proxy(), upstream(&[nobody().await, app.address]));
    assert_eq!(
        get(&proxy, &upstream).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(
        get(&proxy, &upstream).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_upstream_without_a_listener_is_unreachable() {
    let (proxy, upstream) = (proxy(), upstream(&[nobody().await, nobody().await]));
    let error = get(&proxy, &upstream).await.unwrap_err();
    assert_eq!(
        (error.slug(), error.status()),
        ("upstream-unreachable", StatusCode::BAD_GATEWAY)
    );
}

#[tokio::test]
async fn tls_to_a_plain_listener_is_unreachable() {
    let app = RawUpstream::start(&[&[OK]]).await;
    let upstream =
        Arc::new(Upstream::new(config(vec![format!("https://{}", app.address)])).unwrap());
    let error = proxy()
        .send(
            &upstream,
            &mut parts("POST", "/", &[]),
            full("secret"),
            (BodyLimits::default(), None),
        )
        .await
        .unwrap_err();
    assert!(
        matches!(error, ProxyError::Connect(_) | ProxyError::Timeout),
        "{error:?}"
    );
    assert!(app.seen().is_empty());
}

#[tokio::test]
async fn a_silent_upstream_is_cut_at_the_limit() {
    let mut app = RawUpstream::start(&[&[SILENCE]]).await;
    let error = get(&proxy(), &app.upstream()).await.unwrap_err();
    assert_eq!(
        (error.slug(), error.status()),
        ("upstream-timeout", StatusCode::GATEWAY_TIMEOUT)
    );
    app.connection_ended().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upstream_call() {
    let mut app = RawUpstream::start(&[&[SILENCE]]).await;
    let (proxy, upstream) = (proxy(), app.upstream());
    let cut = tokio::time::timeout(Duration::from_millis(50), get(&proxy, &upstream)).await;
    assert!(cut.is_err());
    app.connection_ended().await;
}

#[tokio::test]
async fn a_dropped_response_body_ends_the_upstream_call() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    let mut app = RawUpstream::start(&[&[endless, SILENCE]]).await;
    drop(get(&proxy(), &app.upstream()).await.unwrap());
    app.connection_ended().await;
}

#[tokio::test]
async fn a_broken_request_body_is_the_clients_fault_and_is_not_ended_cleanly() {
    let mut app = RawUpstream::start(&[&[OK]]).await;
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"part"))),
        Err("chunk is malformed"),
    ];
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
    let error = proxy()
        .send(
            &app.upstream(),
            &mut parts("POST", "/", &[]),
            body,
            (BodyLimits::default(), None),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (error.slug(), error.status()),
        ("request-body-unreadable", StatusCode::BAD_REQUEST)
    );
    app.connection_ended().await;
    assert!(app.seen().is_empty());
}

#[tokio::test]
async fn an_unasked_second_response_reaches_nobody() {
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let app = RawUpstream::start(&[&[two, SILENCE], &[OK]]).await;
    let (proxy, upstream) = (proxy(), app.upstream());
    assert_eq!(text(get(&proxy, &upstream).await.unwrap()).await, "ok");
    assert_eq!(text(get(&proxy, &upstream).await.unwrap()).await, "ok");
}

#[tokio::test]
async fn the_length_of_a_head_response_is_kept() {
    let app = RawUpstream::start(&[&["HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"]]).await;
    let response = proxy()
        .send(
            &app.upstream(),
            &mut parts("HEAD", "/", &[]),
            Empty::new(),
            (BodyLimits::default(), None),
        )
        .await
        .unwrap();
    assert_eq!(response.headers()["content-length"], "99");
    assert_eq!(text(response).await, "");
}
