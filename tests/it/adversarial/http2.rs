//! HTTP/2 by hand: frames that no client library would send.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// How a stream ended.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// With an answer of this status.
    Status(u16),
    /// With `RST_STREAM` or `GOAWAY`, of this error code, or with the connection (`u32::MAX`).
    Error(u32),
}

impl Outcome {
    /// Tells whether the request was refused as malformed.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(400) | Self::Error(_))
    }
}

/// Sends one request by HTTP/2; the fields go out as they are, in order.
pub(crate) fn ask(address: SocketAddr, fields: &[(&str, &str)], body: Option<&[u8]>) -> Outcome {
    let mut stream = connect(address);
    let end = if body.is_none() { END_STREAM } else { 0 };
    let mut bytes = frame(HEADERS, END_HEADERS | end, 1, &block(fields));
    if let Some(body) = body {
        bytes.extend(frame(DATA, END_STREAM, 1, body));
    }
    stream.write_all(&bytes).unwrap();
    outcome(&mut stream)
}

/// The pseudo-headers of a GET.
pub(crate) fn get(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "gw.test"),
        (":path", path),
    ]
}

/// Opens a connection, the preface and empty settings sent.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    let hello = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &[]),
    ];
    stream.write_all(&hello.concat()).unwrap();
    stream
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

/// Encodes fields as literals without a table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name.as_bytes());
        string(&mut block, value.as_bytes());
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    let mut left = text.len();
    if left < 127 {
        block.push(u8::try_from(left).unwrap());
    } else {
        block.push(127);
        left -= 127;
        while left >= 128 {
            block.push(u8::try_from(left % 128).unwrap() | 128);
            left /= 128;
        }
        block.push(u8::try_from(left).unwrap());
    }
    block.extend_from_slice(text);
}

/// Reads frames up to the one that ends stream 1, or the connection.
pub(crate) fn outcome(stream: &mut TcpStream) -> Outcome {
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            return Outcome::Error(u32::MAX);
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if stream.read_exact(&mut payload).is_err() {
            return Outcome::Error(u32::MAX);
        }
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head[3] {
            HEADERS => return Outcome::Status(status(&payload)),
            RST_STREAM => return Outcome::Error(code(0)),
            GOAWAY => return Outcome::Error(code(4)),
            SETTINGS if head[4] & ACK == 0 => {
                let _ = stream.write_all(&frame(SETTINGS, ACK, 0, &[]));
            }
            _ => {}
        }
    }
}

/// Decodes `:status`, which comes first: out of the static table, or as a literal whose digits are Huffman-coded.
fn status(block: &[u8]) -> u16 {
    let known = [200, 204, 206, 304, 400, 404, 500];
    // A change of the table's size may stand before it.
    let block = match block[0] >> 5 {
        1 if block[0] & 31 == 31 => {
            &block[1..][block[1..].iter().position(|byte| byte < &128).unwrap() + 1..]
        }
        1 => &block[1..],
        _ => block,
    };
    if let 0x88..=0x8e = block[0] {
        return known[usize::from(block[0] - 0x88)];
    }
    assert_eq!(block[0] & 15, 8, "{block:x?}");
    let length = usize::from(block[1] & 127);
    let text = &block[2..2 + length];
    if block[1] < 128 {
        return str::from_utf8(text).unwrap().parse().unwrap();
    }
    let bits = text
        .iter()
        .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut left = 8 * length;
    let mut take = |count: usize| {
        left -= count;
        usize::try_from(bits >> left & ((1 << count) - 1)).unwrap()
    };
    let mut digit = || match take(5) {
        low @ 0..=2 => low,
        high => high * 2 + take(1) - 0b011001 + 3,
    };
    u16::try_from(digit() * 100 + digit() * 10 + digit()).unwrap()
}
