//! An upstream that plays raw bytes and writes down what it is sent.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::header::HOST;
use http_body_util::StreamBody;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::super::*;

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// Holds the connection open without a word.
pub(super) const SILENCE: &str = "silence";
/// Closes the connection without a word.
pub(super) const HANG_UP: &str = "hang up";

pub(super) struct RawUpstream {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    ended: mpsc::UnboundedReceiver<()>,
}

impl RawUpstream {
    /// Plays one list of answers a connection, in the order in which they open, and closes each after its last.
    pub(super) async fn start(connections: &[&[&'static str]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = mpsc::unbounded_channel();
        let script: Vec<Vec<&'static str>> =
            connections.iter().map(|answers| answers.to_vec()).collect();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            for answers in script {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, end) = (Arc::clone(&log), end.clone());
                tokio::spawn(async move {
                    play(stream, answers, log).await;
                    let _ = end.send(());
                });
            }
        });
        Self {
            address,
            seen,
            ended,
        }
    }

    pub(super) fn upstream(&self) -> Arc<Upstream> {
        upstream(&[self.address])
    }

    /// Returns the requests seen so far.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until the other side has ended a connection.
    pub(super) async fn connection_ended(&mut self) {
        let ended = tokio::time::timeout(Duration::from_secs(5), self.ended.recv());
        ended.await.unwrap().unwrap();
    }
}

async fn play(mut stream: TcpStream, answers: Vec<&'static str>, log: Arc<Mutex<Vec<String>>>) {
    for answer in answers {
        let Some(request) = read_request(&mut stream).await else {
            return;
        };
        log.lock().unwrap().push(request);
        match answer {
            HANG_UP => return,
            SILENCE => drop(stream.read_to_end(&mut Vec::new()).await),
            _ => stream.write_all(answer.as_bytes()).await.unwrap(),
        }
    }
}

/// Reads one request to the end of its body; `None` where the connection ends before it.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !is_complete(&String::from_utf8_lossy(&bytes)) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8(bytes).unwrap())
}

fn is_complete(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    match head.split_once("content-length: ") {
        Some((_, rest)) => body.len() >= rest.lines().next().unwrap().parse().unwrap(),
        None if head.contains("transfer-encoding: chunked") => {
            body.starts_with("0\r\n") || body.contains("\r\n0\r\n") && body.ends_with("\r\n\r\n")
        }
        None => true,
    }
}

pub(super) fn upstream(addresses: &[SocketAddr]) -> Arc<Upstream> {
    let urls = addresses.iter().map(|address| format!("http://{address}"));
    Arc::new(Upstream::new(config(urls.collect())).unwrap())
}

pub(super) fn config(urls: Vec<String>) -> UpstreamConfig {
    UpstreamConfig {
        name: "app".to_owned(),
        urls,
        protocol: Protocol::Auto,
        tls: UpstreamTls::default(),
        health: None,
        limits: UpstreamLimits {
            response_timeout: Duration::from_secs(1),
            ..UpstreamLimits::default()
        },
    }
}

/// Returns an address at which nobody listens.
pub(super) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(super) fn proxy() -> ReverseProxy {
    let managed = ManagedNames::new(|name| name == "x-tenant");
    ReverseProxy::new(managed, Tunnels::new())
}

pub(super) fn parts(method: &str, target: &str, headers: &[(&'static str, &str)]) -> Parts {
    let mut builder = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, "gw.test");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

pub(super) type Frames = mpsc::UnboundedSender<http_body::Frame<Bytes>>;

/// Returns a body of unknown length and the end that feeds it.
pub(super) fn fed_body() -> (
    Frames,
    impl Body<Data = Bytes, Error = Infallible> + Send + 'static,
) {
    let (feed, mut frames) = mpsc::unbounded_channel();
    let stream =
        futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx).map(|frame| frame.map(Ok)));
    (feed, StreamBody::new(stream))
}
