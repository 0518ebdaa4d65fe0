//! A gateway under load: its configuration, its start and its end.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use clerk_gateway::sandbox::Sandbox;

use super::process::{Cpu, Process};

/// From one idle connection to the next.
const BETWEEN: Duration = Duration::from_millis(4);

/// What is done with credentials.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Mode {
    Bare,
    Networkless,
    SessionsApi,
}

pub(crate) struct Gateway {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) port: u16,
    pub(crate) process: Process,
    /// From the process's start to the first 200.
    pub(crate) start: Duration,
    /// KiB resident after the first 200.
    pub(crate) resident: f64,
}

/// What every gateway of a run is set up with.
pub(crate) struct Setup<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) upstream: u16,
    pub(crate) workers: usize,
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Bare, Self::Networkless, Self::SessionsApi];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Networkless => "networkless",
            Self::SessionsApi => "sessions-api",
        }
    }

    fn route(self) -> &'static str {
        match self {
            Self::Bare => "auth = \"none\"",
            Self::Networkless => "verify = \"networkless\"",
            Self::SessionsApi => "verify = \"sessions-api\"",
        }
    }
}

impl Gateway {
    pub(crate) fn start(setup: &Setup<'_>, name: &str, program: &Path, mode: Mode) -> Self {
        let (port, admin) = (free_port(), free_port());
        let name = format!("{name}{}", mode.as_str());
        let file = setup
            .directory
            .join(format!("{}.toml", name.replace(' ', "-")));
        fs::write(&file, config(setup, mode, (port, admin))).unwrap();
        let cpu = match setup.workers {
            1 => Cpu::Gateway,
            _ => Cpu::Any,
        };
        let arguments = ["serve", "--config", file.to_str().unwrap()].map(str::to_owned);
        let began = Instant::now();
        let mut process = Process::start(cpu, program.as_os_str(), &arguments);
        while status(port, setup.sandbox.session_token()) != Some(200) {
            assert!(process.is_running(), "{name} ended");
            assert!(began.elapsed().as_secs() < 20, "{name} answers no 200");
            thread::sleep(Duration::from_micros(500));
        }
        Self {
            name,
            mode,
            port,
            start: began.elapsed(),
            resident: process.resident(),
            process,
        }
    }

    /// Returns what an idle connection takes that has sent one request, in KiB.
    ///
    /// They come one after the other, as in life: what the earlier ones gave up serves the later ones.
    pub(crate) fn idle_connection(&self, token: &str, count: usize) -> f64 {
        let before = self.process.resident();
        let open: Vec<_> = (0..count)
            .map(|_| {
                thread::sleep(BETWEEN);
                let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
                assert_eq!(ask(&mut stream, token), Some(200));
                stream
            })
            .collect();
        let grown = self.process.resident() - before;
        drop(open);
        grown / count as f64
    }
}

fn config(setup: &Setup<'_>, mode: Mode, (port, admin): (u16, u16)) -> String {
    let sandbox = setup.sandbox;
    let (key, secret, api) = (
        sandbox.publishable_key(),
        sandbox.secret_key(),
        sandbox.url(),
    );
    let (pem, upstream, workers) = (sandbox.jwt_key(), setup.upstream, setup.workers);
    let mut text = format!(
        r#"
[clerk]
publishable_key = "{key}"
secret_key = "{secret}"
api_url = "{api}"
jwt_key = """{pem}"""
calls_per_10s = 0
[session]
credentials = ["bearer"]
[cache]
session_ttl = "10m"
[server]
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
workers = {workers}
h2c = true
[[upstream]]
name = "app"
url = "http://127.0.0.1:{upstream}"
"#
    );
    let route = mode.route();
    for path in ["/*", "/public/*", "/admin/*", "/api/*", "/api/{kind}/{id}"] {
        text += &format!("[[route]]\npath = \"{path}\"\n{route}\nupstream = \"app\"\n");
    }
    text
}

fn status(port: u16, token: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    ask(&mut stream, token)
}

fn ask(stream: &mut TcpStream, token: &str) -> Option<u16> {
    let host = "host: app.example.com\r\n";
    let head = format!("GET /api/items/42 HTTP/1.1\r\n{host}authorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).ok()?;
    let answer = std::str::from_utf8(&answer[..length]).ok()?;
    answer.get(9..12)?.parse().ok()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
