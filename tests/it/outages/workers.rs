//! Two workers of one upstream, which count what arrives and say for whom; they can go and come back.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::support::process::free_address;

/// In the path of a request whose answer waits, longer than who leaves.
pub(super) const HELD: &str = "/held/";
const HOLD: Duration = Duration::from_secs(20);

/// The header that numbers a request.
pub(super) const NUMBER: &str = "x-number";

pub(super) struct Workers {
    pub(super) addresses: [SocketAddr; 2],
    running: Mutex<Vec<(SocketAddr, JoinHandle<()>)>>,
    book: Arc<Book>,
}

/// What all workers have seen.
#[derive(Default)]
struct Book {
    arrived: Mutex<HashMap<u64, u32>>,
    held: AtomicU64,
    abandoned: AtomicU64,
}

impl Workers {
    pub(super) async fn start() -> Self {
        let workers = Self {
            addresses: [free_address(), free_address()],
            running: Mutex::default(),
            book: Arc::default(),
        };
        for address in workers.addresses {
            workers.come(address).await;
        }
        workers
    }

    pub(super) async fn come(&self, address: SocketAddr) {
        let listener = TcpListener::bind(address).await.unwrap();
        let task = tokio::spawn(serve(listener, Arc::clone(&self.book)));
        self.running.lock().unwrap().push((address, task));
    }

    /// Ends a worker and all its connections, whatever they are in the middle of.
    pub(super) fn go(&self, address: SocketAddr) {
        let mut running = self.running.lock().unwrap();
        for (_, task) in running.extract_if(.., |(at, _)| *at == address) {
            task.abort();
        }
    }

    /// Returns how many have been held, and how many of them have gone away meanwhile.
    pub(super) fn held(&self) -> (u64, u64) {
        let book = &self.book;
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (read(&book.held), read(&book.abandoned))
    }

    pub(super) fn arrived(&self) -> HashMap<u64, u32> {
        self.book.arrived.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, book: Arc<Book>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.spawn(answer_all(stream, Arc::clone(&book)));
        while connections.try_join_next().is_some() {}
    }
}

async fn answer_all(mut stream: TcpStream, book: Arc<Book>) {
    let mut bytes = Vec::new();
    loop {
        let Some(end) = end_of_request(&bytes) else {
            match stream.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let request = bytes.drain(..end).collect();
        let request = String::from_utf8(request).unwrap();
        if book.answer(&mut stream, &request).await.is_none() {
            return;
        }
    }
}

impl Book {
    async fn answer(&self, stream: &mut TcpStream, request: &str) -> Option<()> {
        let number = header(request, NUMBER).parse().unwrap();
        *self.arrived.lock().unwrap().entry(number).or_default() += 1;
        if request.contains(HELD) {
            self.held.fetch_add(1, Ordering::SeqCst);
            let gone = timeout(HOLD, stream.read(&mut [0])).await;
            if gone.is_ok() {
                self.abandoned.fetch_add(1, Ordering::SeqCst);
                return None;
            }
        }
        let session = header(request, "x-clerk-session-id");
        let body = format!("{session} {}", user_of(header(request, "authorization")));
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.ok()
    }
}

/// The user that a minted token is about.
fn user_of(authorization: &str) -> String {
    let Some(payload) = authorization.split('.').nth(1) else {
        return String::new();
    };
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["sub"].as_str().unwrap_or_default().to_owned()
}

fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap();
    let length: usize = header(text, "content-length").parse().unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}

/// A header's value; none: empty.
pub(super) fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let found = head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    });
    found.unwrap_or_default()
}
