//! Which connections to an origin are kept, used again, shared and ended.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

#[tokio::test]
async fn a_connection_is_used_again_once_its_answer_has_been_read() {
    let app = RawUpstream::start(&[&[OK, OK], &[OK]]).await;
    let (proxy, upstream) = (proxy(), app.upstream());
    let first = get(&proxy, &upstream).await.unwrap();
    let beside = get(&proxy, &upstream).await.unwrap();
    assert_eq!(text(first).await, "ok");
    // The one connection that the script still has an answer for.
    assert_eq!(text(get(&proxy, &upstream).await.unwrap()).await, "ok");
    drop(beside);
}

#[tokio::test]
async fn as_many_connections_are_kept_as_there_were_requests_at_once() {
    // A listener's queue takes 128.
    const AT_ONCE: usize = 100;
    let script = [&[OK, OK][..]; AT_ONCE];
    let app = RawUpstream::start(&script).await;
    let (proxy, upstream) = (proxy(), app.upstream());
    // Nobody would answer on a connection beyond the script.
    for _ in 0..2 {
        for answer in join_all((0..AT_ONCE).map(|_| get(&proxy, &upstream))).await {
            assert_eq!(text(answer.unwrap()).await, "ok");
        }
    }
    assert_eq!(app.seen().len(), 2 * AT_ONCE);
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_ended() {
    let mut app = RawUpstream::start(&[&[OK, SILENCE]]).await;
    let (proxy, upstream) = (proxy(), kept_for(Duration::from_millis(50), &app));
    text(get(&proxy, &upstream).await.unwrap()).await;
    app.connection_ended().await;
}

#[tokio::test]
async fn a_connection_past_its_time_is_not_used() {
    let app = RawUpstream::start(&[&[OK, SILENCE], &[OK]]).await;
    let (proxy, upstream) = (proxy(), kept_for(Duration::ZERO, &app));
    for _ in 0..2 {
        assert_eq!(text(get(&proxy, &upstream).await.unwrap()).await, "ok");
    }
}

#[tokio::test]
async fn requests_at_once_share_one_http2_connection() {
    let (address, opened) = http2_upstream(usize::MAX).await;
    let (proxy, upstream) = (proxy(), spoken_to(address, "http", Protocol::H2c));
    let answers = join_all((0..20).map(|_| get(&proxy, &upstream))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_http2_connection_that_has_ended_is_replaced() {
    let (address, opened) = http2_upstream(1).await;
    let (proxy, upstream) = (proxy(), spoken_to(address, "http", Protocol::H2c));
    for _ in 0..3 {
        text(get(&proxy, &upstream).await.unwrap()).await;
    }
    // Two where the second request was quicker than the end.
    assert!(opened.load(Ordering::Relaxed) > 1);
}

#[tokio::test]
async fn who_waits_for_a_shared_connection_shares_its_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            silent.push(stream);
        }
    });
    let (proxy, upstream) = (proxy(), spoken_to(address, "https", Protocol::H2));
    let answers = join_all((0..20).map(|_| get(&proxy, &upstream))).await;
    for answer in answers {
        assert!(matches!(answer, Err(ProxyError::Connect(_))), "{answer:?}");
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
}

fn kept_for(keep_alive: Duration, app: &RawUpstream) -> Arc<Upstream> {
    let mut config = config(vec![format!("http://{}", app.address)]);
    config.limits.keep_alive = keep_alive;
    Arc::new(Upstream::new(config).unwrap())
}

fn spoken_to(address: SocketAddr, scheme: &str, protocol: Protocol) -> Arc<Upstream> {
    let mut config = config(vec![format!("{scheme}://{address}")]);
    config.protocol = protocol;
    config.limits.connect_timeout = Duration::from_millis(100);
    Arc::new(Upstream::new(config).unwrap())
}

/// Starts an upstream that speaks HTTP/2 and ends each connection after some requests; returns how many were opened.
async fn http2_upstream(requests: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve_http2(stream, requests));
        }
    });
    (address, opened)
}

async fn serve_http2(stream: TcpStream, requests: usize) {
    let served = Arc::new(tokio::sync::Semaphore::new(0));
    let count = Arc::clone(&served);
    let answer = service_fn(move |_| {
        count.add_permits(1);
        async { Ok::<_, Infallible>(Response::new(full("ok"))) }
    });
    let server = http2::Builder::new(TokioExecutor::new());
    let mut connection = std::pin::pin!(server.serve_connection(TokioIo::new(stream), answer));
    let most = u32::try_from(requests).unwrap_or(u32::MAX);
    tokio::select! {
        _ = &mut connection => {}
        _ = served.acquire_many(most) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[tokio::test]
async fn what_an_http2_upstream_has_not_taken_is_sent_again() {
    const GOING_AFTER_1: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0";
    const REFUSED_3: &[u8] = b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x07";
    for second in [GOING_AFTER_1, REFUSED_3] {
        let address = http2_script([vec![NO_CONTENT_1, second], vec![NO_CONTENT_1]]).await;
        let (proxy, upstream) = (proxy(), spoken_to(address, "http", Protocol::H2c));
        for _ in 0..2 {
            let answer = get(&proxy, &upstream).await.unwrap();
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        }
    }
}

/// Status 204 on stream 1, and its end.
const NO_CONTENT_1: &[u8] = b"\0\0\x01\x01\x05\0\0\0\x01\x89";

/// Plays one list of frames a connection, one for each request.
async fn http2_script(connections: [Vec<&'static [u8]>; 2]) -> SocketAddr {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        for frames in connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(SETTINGS).await.unwrap();
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).await.unwrap();
            for frame in frames {
                next_head(&mut stream).await;
                stream.write_all(frame).await.unwrap();
            }
            open.push(stream);
        }
        std::future::pending::<()>().await;
    });
    address
}

/// Reads frames up to one of HEADERS.
async fn next_head(stream: &mut TcpStream) {
    let mut kind = 0;
    while kind != 1 {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut rest = vec![0; length as usize];
        stream.read_exact(&mut rest).await.unwrap();
        kind = head[3];
    }
}
