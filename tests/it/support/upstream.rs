//! An upstream that keeps the bytes that arrive, and answers all of them alike.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const GRANTED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What has arrived, a request a string.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    arrived: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::answering(OK)
    }

    /// Answers as `start` does, but lets a WebSocket be, and sends back what comes; `/ticks` has no end.
    pub(crate) fn echoing() -> Self {
        Self::by(|stream, request| {
            if request.contains("/ticks ") {
                return tick(stream);
            }
            if !request
                .to_lowercase()
                .contains("\r\nupgrade: websocket\r\n")
            {
                return stream.write_all(OK);
            }
            stream.write_all(GRANTED)?;
            let mut back = stream.try_clone()?;
            std::io::copy(stream, &mut back).map(drop)
        })
    }

    /// Answers each request with these bytes.
    pub(crate) fn answering(answer: &'static [u8]) -> Self {
        Self::by(move |stream, _| stream.write_all(answer))
    }

    fn by<F>(answer: F) -> Self
    where
        F: Fn(&mut TcpStream, &str) -> std::io::Result<()> + Copy + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            arrived: Arc::default(),
        };
        let arrived = Arc::clone(&upstream.arrived);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let arrived = Arc::clone(&arrived);
                std::thread::spawn(move || answer_all(stream, &arrived, answer));
            }
        });
        upstream
    }

    pub(crate) fn hits(&self) -> usize {
        self.arrived.lock().unwrap().len()
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.arrived.lock().unwrap().clone()
    }

    /// The last request, as it arrived; its names in lower case come from the gateway.
    pub(crate) fn last(&self) -> String {
        self.arrived.lock().unwrap().last().cloned().unwrap()
    }

    /// The last request's values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<String> {
        let last = self.last();
        let lines = last.lines().skip(1).map_while(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    }
}

/// A body that goes on until whoever reads it leaves.
fn tick(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        stream.write_all(b"4\r\ntick\r\n")?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn answer_all(
    mut stream: TcpStream,
    arrived: &Mutex<Vec<String>>,
    answer: impl Fn(&mut TcpStream, &str) -> std::io::Result<()>,
) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut buffer).unwrap_or(0);
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&buffer[..read]);
        while let Some(end) = end_of_request(&bytes) {
            let request: Vec<u8> = bytes.drain(..end).collect();
            let text = String::from_utf8_lossy(&request).into_owned();
            arrived.lock().unwrap().push(text.clone());
            if answer(&mut stream, &text).is_err() {
                return;
            }
        }
    }
}

fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    if text.contains("transfer-encoding: chunked") {
        return find(&bytes[head - 2..], b"\r\n0\r\n")
            .and_then(|last| find(&bytes[head - 2 + last..], b"\r\n\r\n").map(|end| (last, end)))
            .map(|(last, end)| head - 2 + last + end + 4);
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
