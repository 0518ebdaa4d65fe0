//! The load generator: a closed loop, or by the clock with latencies from when each request was due.

use std::{
    path::PathBuf,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::{LocalSet, spawn_local},
};

/// HTTP/2 streams that share a connection.
const STREAMS: usize = 16;

#[derive(clap::Args)]
pub(crate) struct Load {
    #[arg(long)]
    port: u16,
    /// HTTP/2 by prior knowledge
    #[arg(long)]
    h2: bool,
    #[arg(long)]
    clients: usize,
    #[arg(long)]
    seconds: f64,
    /// Requests a second; 0: as many as are answered
    #[arg(long)]
    rate: u64,
    /// A file with a token a line
    #[arg(long)]
    tokens: PathBuf,
}

/// What became of the requests; latencies in microseconds.
#[derive(Deserialize, Serialize)]
pub(crate) struct Outcome {
    pub(crate) answered: usize,
    pub(crate) failed: usize,
    pub(crate) seconds: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

enum Client {
    Http1(TcpStream, Vec<u8>),
    Http2(SendRequest<Empty<Bytes>>),
}

pub(crate) fn run(load: &Load) {
    let tokens = std::fs::read_to_string(&load.tokens).unwrap();
    let tokens: Rc<Vec<String>> = Rc::new(tokens.lines().map(str::to_owned).collect());
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let outcome = LocalSet::new().block_on(&runtime, drive(load, tokens));
    println!("{}", serde_json::to_string(&outcome).unwrap());
}

async fn drive(load: &Load, tokens: Rc<Vec<String>>) -> Outcome {
    let clients = connect(load).await;
    let count = clients.len();
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(load.seconds);
    let mut due = Vec::new();
    let mut running = Vec::new();
    for (number, client) in clients.into_iter().enumerate() {
        let (sender, receiver) = mpsc::unbounded_channel();
        due.push(sender);
        let own = Turns {
            tokens: Rc::clone(&tokens),
            next: number,
            step: count,
        };
        let task = match load.rate {
            0 => spawn_local(closed_loop(client, own, end)),
            _ => spawn_local(by_the_clock(client, own, receiver)),
        };
        running.push(task);
    }
    if load.rate > 0 {
        let gap = Duration::from_secs(1) / u32::try_from(load.rate).unwrap();
        thread::spawn(move || pace(&due, gap, end));
    }
    let mut latencies = Vec::new();
    let mut failed = 0;
    for task in running {
        let (own, errors) = task.await.unwrap();
        latencies.extend(own);
        failed += errors;
    }
    latencies.sort_unstable();
    let at = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies
            .get(place)
            .map_or(0.0, |&nanos| nanos as f64 / 1e3)
    };
    Outcome {
        answered: latencies.len(),
        failed,
        seconds: start.elapsed().as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
    }
}

async fn connect(load: &Load) -> Vec<Client> {
    let mut clients = Vec::new();
    let open = || async {
        let stream = TcpStream::connect(("127.0.0.1", load.port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    };
    if !load.h2 {
        for _ in 0..load.clients {
            clients.push(Client::Http1(open().await, Vec::with_capacity(4096)));
        }
        return clients;
    }
    while clients.len() < load.clients {
        let io = TokioIo::new(open().await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        spawn_local(connection);
        let streams = STREAMS.min(load.clients - clients.len());
        clients.extend((0..streams).map(|_| Client::Http2(sender.clone())));
    }
    clients
}

/// The tokens that one client sends: each client begins at another one.
struct Turns {
    tokens: Rc<Vec<String>>,
    next: usize,
    step: usize,
}

impl Turns {
    fn next(&mut self) -> &str {
        let at = self.next % self.tokens.len();
        self.next += self.step;
        &self.tokens[at]
    }
}

type Latencies = (Vec<u64>, usize);

async fn closed_loop(mut client: Client, mut tokens: Turns, end: Instant) -> Latencies {
    let mut latencies = Vec::new();
    let mut failed = 0;
    loop {
        let sent = Instant::now();
        if sent >= end {
            return (latencies, failed);
        }
        match client.request(tokens.next()).await {
            Some(200) => latencies.push(nanos_since(sent)),
            Some(_) => failed += 1,
            None => return (latencies, failed + 1),
        }
    }
}

async fn by_the_clock(
    mut client: Client,
    mut tokens: Turns,
    mut due: mpsc::UnboundedReceiver<Instant>,
) -> Latencies {
    let mut latencies = Vec::new();
    let mut failed = 0;
    while let Some(due) = due.recv().await {
        match client.request(tokens.next()).await {
            Some(200) => latencies.push(nanos_since(due)),
            Some(_) => failed += 1,
            None => return (latencies, failed + 1),
        }
    }
    (latencies, failed)
}

/// Sends when each request is due; the runtime's own timer is too coarse.
fn pace(clients: &[mpsc::UnboundedSender<Instant>], gap: Duration, end: Instant) {
    let mut due = Instant::now();
    for client in clients.iter().cycle() {
        due += gap;
        if due >= end {
            return;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if client.send(due).is_err() {
            return;
        }
    }
}

fn nanos_since(instant: Instant) -> u64 {
    u64::try_from(instant.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Client {
    /// Returns the status; `None` where the connection is gone.
    async fn request(&mut self, token: &str) -> Option<u16> {
        match self {
            Self::Http1(stream, buffer) => http1(stream, buffer, token).await,
            Self::Http2(sender) => http2(sender, token).await,
        }
    }
}

async fn http1(stream: &mut TcpStream, buffer: &mut Vec<u8>, token: &str) -> Option<u16> {
    buffer.clear();
    buffer.extend_from_slice(b"GET /api/items/42?page=1 HTTP/1.1\r\nhost: app.example.com\r\n");
    buffer.extend_from_slice(b"user-agent: load\r\naccept: application/json\r\n");
    buffer.extend_from_slice(b"accept-encoding: gzip\r\naccept-language: en\r\n");
    buffer.extend_from_slice(b"authorization: Bearer ");
    buffer.extend_from_slice(token.as_bytes());
    buffer.extend_from_slice(b"\r\n\r\n");
    stream.write_all(buffer).await.ok()?;
    buffer.clear();
    let end = loop {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        if let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = std::str::from_utf8(&buffer[..end]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse::<usize>().ok()).flatten()
    })?;
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(status)
}

async fn http2(sender: &mut SendRequest<Empty<Bytes>>, token: &str) -> Option<u16> {
    let request = Request::get("http://app.example.com/api/items/42?page=1")
        .header("user-agent", "load")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip")
        .header("accept-language", "en")
        .header("authorization", format!("Bearer {token}"))
        .body(Empty::new())
        .ok()?;
    sender.ready().await.ok()?;
    let response = sender.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    response.into_body().collect().await.ok()?;
    Some(status)
}
