//! The binary as a child process, and raw HTTP to talk to it.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// The ports that tests of this process were given.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// The binary, with none of this process's Clerk variables.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clerk-gateway"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CLERK")) {
        command.env_remove(name);
    }
    command
}

/// Has libfaketime shift a command's clock by what a file says, which is read once a second.
pub(crate) fn shift_clock(command: &mut Command, file: &str) {
    let library = "/usr/$LIB/faketime/libfaketimeMT.so.1";
    command.env("LD_PRELOAD", library);
    command.env("FAKETIME_TIMESTAMP_FILE", file);
    command.env("FAKETIME_CACHE_DURATION", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// A running child; it ends with the test.
pub(crate) struct Running {
    child: Child,
    stderr: PathBuf,
}

impl Running {
    /// Starts `command` and waits until `address` accepts connections.
    pub(crate) fn start(mut command: Command, address: SocketAddr) -> Self {
        let stderr = folder().join("stderr");
        let log = std::fs::File::create(&stderr).unwrap();
        let child = command.stderr(log).stdin(Stdio::null()).spawn().unwrap();
        let mut running = Self { child, stderr };
        running.wait_for(address);
        running
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Its resident memory.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    /// Waits for the child's own end.
    pub(crate) fn status(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "still running");
            std::thread::yield_now();
        }
    }

    fn wait_for(&mut self, address: SocketAddr) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended with {status}:\n{}", self.stderr());
            }
            assert!(Instant::now() < deadline, "never listened");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Whatever a test is about, no gateway of it may have written a secret.
        if !std::thread::panicking() {
            assert_no_secret("a log", &self.stderr());
        }
    }
}

/// Panics where a text has what looks like a token, a session cookie or a key.
pub(crate) fn assert_no_secret(what: &str, text: &str) {
    if let Some(at) = secret_in(text) {
        let from = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = text[from..].lines().next().unwrap_or_default();
        panic!("{what} holds a secret: {line}");
    }
}

fn secret_in(text: &str) -> Option<usize> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let run = |from: usize| {
        text.as_bytes()[from..]
            .iter()
            .take_while(|byte| token(**byte))
            .count()
    };
    let is_jwt = |at: usize| {
        let header = run(at);
        text[at + header..].starts_with(".eyJ") && run(at + header + 1) > 20
    };
    let jwt = text
        .match_indices("eyJ")
        .map(|(at, _)| at)
        .find(|&at| is_jwt(at));
    let key = ["sk_test_", "sk_live_", "whsec_"].iter().find_map(|start| {
        let found = text.match_indices(start).map(|(at, _)| at);
        found.into_iter().find(|&at| run(at) > start.len() + 12)
    });
    let cookie = text.match_indices("__session").map(|(at, _)| at);
    let cookie = cookie.into_iter().find(|&at| {
        let name = run(at);
        text[at + name..].starts_with("=eyJ")
    });
    jwt.or(key)
        .or(cookie)
        .or_else(|| text.find("PRIVATE KEY-----"))
}

#[test]
fn the_search_for_secrets_finds_them() {
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyXzEyMyIsInNpZCI6InNlc3MifQ.c2ln";
    for text in [
        jwt,
        &format!("a\nauthorization: Bearer {jwt}\n"),
        "key sk_test_abcdefghijklmnopqrstuvwxyz",
        "cookie __session_ab12=eyJ",
        "-----BEGIN PRIVATE KEY-----",
    ] {
        assert!(secret_in(text).is_some(), "{text}");
    }
    for text in [
        "",
        "sk_test_…",
        "eyJ.eyJ",
        "sess_2abc user_2abc __session",
        "BEGIN PUBLIC KEY",
    ] {
        assert!(secret_in(text).is_none(), "{text}");
    }
}

/// Signals a process, by the shell's own `kill`.
pub(crate) fn signal(name: &str, id: u32) {
    let line = format!("kill -{name} {id}");
    let sent = Command::new("sh").args(["-c", &line]).status().unwrap();
    assert!(sent.success());
}

/// An address that was free a moment ago, and that no other test is given.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        if GIVEN.lock().unwrap().insert(address.port()) {
            return address;
        }
    }
}

/// A folder of the test's own.
pub(crate) fn folder() -> PathBuf {
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    let name = format!("clerk-gateway-it-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs the binary to its end.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Sends raw bytes on a connection of their own and returns the whole answer, which has no secret.
pub(crate) fn raw(address: SocketAddr, request: &[u8]) -> String {
    let answer = exchange(address, request);
    assert_no_secret("an answer", &answer);
    answer
}

/// Sends raw bytes, and returns an answer that may well have a token.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A reset after an answer still leaves the answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a GET with these header lines; the connection is closed after it.
pub(crate) fn get(address: SocketAddr, target: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n{lines}\r\n");
    raw(address, request.as_bytes())
}

pub(crate) fn status_of(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).unwrap_or_default();
    status
        .parse()
        .unwrap_or_else(|_| panic!("no status: {answer:?}"))
}
