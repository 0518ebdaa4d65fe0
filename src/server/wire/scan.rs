//! Where requests begin and end on an HTTP/1 connection, and what in their heads two readers could take differently.
//!
//! hyper drops a `Content-Length` beside `Transfer-Encoding`, cuts a target at a `#` and takes a bare LF for a line's
//! end before anyone sees them, so this reads the same bytes first. It keeps nothing but a line that is not whole yet.

use memchr::memchr;

use crate::request::HeadFault;

/// The longest line that is kept until it is whole; hyper refuses a head of that size by itself.
const LONGEST_LINE: usize = 1024 * 1024;
/// The most digits of a length: more are zeros before it, which short-sighted readers cut off.
const LONGEST_NUMBER: usize = 19;

/// Follows one connection's inbound bytes.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    state: State,
    head: Head,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    heads: u64,
    fault: Option<(u64, HeadFault)>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// Before a request line; empty lines may come first (RFC 9112 §2.2).
    #[default]
    Start,
    Fields,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    /// Behind a request that asks for an upgrade: the answer tells what follows.
    Undecided,
    /// No HTTP/1 any more, or nothing that could be followed.
    Open,
    /// Behind a bad head: nothing is handed on.
    Closed,
    /// Before a line that no body has: neither it nor anything behind it is handed on.
    Broken,
}

/// What one head has said so far.
#[derive(Debug, Default)]
struct Head {
    fault: Option<HeadFault>,
    length: Option<u64>,
    chunked: bool,
    is_1_1: bool,
    upgrade: bool,
}

impl Scanner {
    /// Reads on, and returns how many of the bytes may be handed on.
    ///
    /// It is fewer than there are behind a bad head, and behind a request for an upgrade until [`Scanner::answered`].
    pub(super) fn scan(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Open => return bytes.len(),
                State::Broken | State::Closed | State::Undecided => break,
                State::Body(left) => self.skip(left, rest, State::Body, Self::end_of_body),
                State::ChunkData(left) => self.skip(left, rest, State::ChunkData, |scanner| {
                    scanner.state = State::ChunkEnd;
                }),
                _ => self.take_line(rest),
            };
        }
        bytes.len() - rest.len()
    }

    /// Tells which head is bad, counted from 1, and why.
    pub(super) fn fault(&self) -> Option<(u64, HeadFault)> {
        self.fault
    }

    /// Tells whether a head has begun and not ended.
    pub(super) fn is_in_head(&self) -> bool {
        self.state == State::Fields || (self.state == State::Start && !self.line.is_empty())
    }

    /// Tells whether nothing of a request has come since the last one ended.
    pub(super) fn is_at_start(&self) -> bool {
        self.state == State::Start && self.line.is_empty()
    }

    pub(super) fn is_undecided(&self) -> bool {
        self.state == State::Undecided
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Returns how many heads have begun.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Learns how the request for an upgrade was answered.
    pub(super) fn answered(&mut self, upgraded: bool) {
        if self.state == State::Undecided {
            self.state = if upgraded { State::Open } else { State::Start };
        }
    }

    fn skip<'a>(
        &mut self,
        left: u64,
        bytes: &'a [u8],
        within: fn(u64) -> State,
        end: fn(&mut Self),
    ) -> &'a [u8] {
        let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        match left - taken as u64 {
            0 => end(self),
            left => self.state = within(left),
        }
        &bytes[taken..]
    }

    fn take_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(at) = memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            if self.line.len() > LONGEST_LINE {
                self.overlong();
            }
            return &[];
        };
        let (line, rest) = bytes.split_at(at + 1);
        if self.line.is_empty() {
            self.read(line);
        } else {
            let mut whole = std::mem::take(&mut self.line);
            whole.extend_from_slice(line);
            self.read(&whole);
        }
        match self.state {
            State::Broken => bytes,
            _ => rest,
        }
    }

    fn read(&mut self, line: &[u8]) {
        let text = match line.strip_suffix(b"\r\n") {
            Some(text) if memchr(b'\r', text).is_none() => text,
            _ => {
                self.head.fault = Some(HeadFault::Line);
                line.trim_ascii_end()
            }
        };
        if text.is_empty() && self.state == State::Fields && !matches!(line, b"\n" | b"\r\n") {
            // Nothing but odd bytes: hyper takes it for no end of the head, and refuses it.
            return;
        }
        match self.state {
            State::Start => self.request_line(text),
            State::Fields => self.field(text),
            State::ChunkSize => self.chunk_size(text),
            State::ChunkEnd if text.is_empty() && self.head.fault.is_none() => {
                self.state = State::ChunkSize;
            }
            State::Trailers if text.is_empty() && self.head.fault.is_none() => self.end_of_body(),
            State::Trailers if self.head.fault.is_none() && is_field(text) => {}
            _ => self.lose(),
        }
    }

    fn request_line(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        self.heads += 1;
        self.state = State::Fields;
        self.head.is_1_1 = text.ends_with(b" HTTP/1.1");
        if memchr(b'#', text).is_some() {
            self.head.fault = Some(HeadFault::Fragment);
        }
    }

    fn field(&mut self, text: &[u8]) {
        match text.first() {
            None => self.end_of_head(),
            Some(b' ' | b'\t') => self.head.fault = Some(HeadFault::Line),
            Some(b'c' | b'C') => self.content_length(text),
            Some(b't' | b'T') => self.transfer_encoding(text),
            Some(b'u' | b'U') => self.head.upgrade |= value(text, b"upgrade").is_some(),
            Some(_) => {}
        }
    }

    fn content_length(&mut self, text: &[u8]) {
        let Some(value) = value(text, b"content-length") else {
            return;
        };
        let length = number(value, 10);
        if length.is_none() || self.head.length.is_some() {
            self.head.fault = Some(HeadFault::Framing);
        }
        self.head.length = length;
    }

    fn transfer_encoding(&mut self, text: &[u8]) {
        let Some(value) = value(text, b"transfer-encoding") else {
            return;
        };
        if self.head.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            self.head.fault = Some(HeadFault::Framing);
        }
        self.head.chunked = true;
    }

    fn end_of_head(&mut self) {
        let head = &self.head;
        if head.chunked && (head.length.is_some() || !head.is_1_1) {
            self.head.fault = Some(HeadFault::Framing);
        }
        if let Some(fault) = self.head.fault {
            self.fault = Some((self.heads, fault));
            self.state = State::Closed;
            return;
        }
        match self.head.length {
            _ if self.head.chunked => self.state = State::ChunkSize,
            Some(length) if length > 0 => self.state = State::Body(length),
            _ => self.end_of_body(),
        }
    }

    fn end_of_body(&mut self) {
        let upgrade = self.head.upgrade;
        self.head = Head::default();
        self.state = if upgrade {
            State::Undecided
        } else {
            State::Start
        };
    }

    fn chunk_size(&mut self, text: &[u8]) {
        let end = text.iter().position(|&byte| byte == b';');
        let (digits, extensions) = text.split_at(end.unwrap_or(text.len()));
        let is_plain = self.head.fault.is_none() && extensions.iter().all(is_text);
        match number(digits, 16).filter(|_| is_plain) {
            None => self.lose(),
            Some(0) => self.state = State::Trailers,
            Some(size) => self.state = State::ChunkData(size),
        }
    }

    /// The body's end is open: the request that it belongs to fails, and no further one is taken.
    ///
    /// Where the head came along with it, the request is not begun.
    fn lose(&mut self) {
        self.fault = Some((self.heads.max(1), HeadFault::Framing));
        self.state = State::Broken;
        self.line = Vec::new();
    }

    /// A line has no end in sight: hyper refuses a head of that size by itself.
    fn overlong(&mut self) {
        if !self.is_in_head() {
            return self.lose();
        }
        let head = self.heads + u64::from(self.state == State::Start);
        self.fault = Some((head, HeadFault::Line));
        self.state = State::Open;
        self.line = Vec::new();
    }
}

fn value<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = text.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// Reads digits and nothing else, and a number that no reader takes for a negative one.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = str::from_utf8(digits).ok()?;
    let plain = text.len() <= LONGEST_NUMBER && text.chars().all(|digit| digit.is_digit(radix));
    let number = i64::from_str_radix(text, radix).ok().filter(|_| plain)?;
    u64::try_from(number).ok()
}

/// Tells whether a line is a name, a colon and a value (RFC 9112 §5).
fn is_field(text: &[u8]) -> bool {
    let Some(colon) = memchr(b':', text) else {
        return false;
    };
    let (name, value) = text.split_at(colon);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_name) && value.iter().all(is_text)
}

/// Tells whether a byte may stand in a value.
fn is_text(byte: &u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 128..)
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
