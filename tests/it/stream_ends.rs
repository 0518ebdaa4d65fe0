//! Exchanges that run on, and the end of the session that they run for.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    support::{
        process::{folder, raw, status_of},
        scene::{Scene, Setting},
        upstream::Upstream,
    },
    webhooks::{self, Delivery},
};

const ROUTES: &str = r#"
[[route]]
path = "/asked/*"

[[route]]
path = "/bare/*"
credentials = [{ header = "x-session-id" }]

[[route]]
path = "/networkless/*"
verify = "networkless"

[[route]]
path = "/open/*"
auth = "none"
"#;

const GRANTED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A gateway in front of a listener that the test plays.
struct Played {
    scene: Scene,
    upstream: TcpListener,
}

impl Played {
    /// Asks Clerk as rarely as by default, so that only what is told counts.
    async fn told() -> Self {
        Self::with("stream_check = \"1h\"").await
    }

    async fn with(session: &str) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let secret_file = folder().join("webhook");
        fs::write(&secret_file, webhooks::secret(webhooks::KEY)).unwrap();
        let clerk = format!(
            "[webhooks]\nsecret_files = [{secret_file:?}]\n\
             [session]\nsession_id_callers = [\"127.0.0.0/8\"]\n{session}"
        );
        let setting = Setting {
            clerk: &clerk,
            upstream: &format!("url = \"http://{}\"", upstream.local_addr().unwrap()),
            routes: ROUTES,
            ..Setting::default()
        };
        let scene = Scene::set(Upstream::start(), setting).await;
        Self { scene, upstream }
    }

    /// Sends a head with the session's token.
    fn ask(&self, line: &str, lines: &str) -> TcpStream {
        let bearer = self.scene.bearer();
        self.send(line, &format!("{bearer}\r\n{lines}"))
    }

    fn send(&self, line: &str, lines: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.scene.address).unwrap();
        patient(&client);
        let head = format!("{line} HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n");
        client.write_all(head.as_bytes()).unwrap();
        client
    }

    /// Takes the request as the upstream, and answers with this much.
    fn answer(&self, answer: &str) -> TcpStream {
        let mut server = self.take();
        server.write_all(answer.as_bytes()).unwrap();
        server
    }

    fn take(&self) -> TcpStream {
        let (mut server, _) = self.upstream.accept().unwrap();
        patient(&server);
        until(&mut server, "\r\n\r\n");
        server
    }

    /// A response under way on both sides, its first chunk behind it.
    fn streaming(&self, path: &str, head: &str) -> (TcpStream, TcpStream) {
        let mut client = self.ask(&format!("GET {path}"), "");
        let server = self.answer(&format!("{head}5\r\nfirst\r\n"));
        until(&mut client, "first\r\n");
        (client, server)
    }

    fn websocket(&self, path: &str) -> (TcpStream, TcpStream) {
        let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let mut client = self.ask(&format!("GET {path}"), lines);
        let server = self.answer(GRANTED);
        until(&mut client, "\r\n\r\n");
        (client, server)
    }

    /// Tells the gateway that the session's user was banned; it knows when this returns.
    fn ban(&self) {
        let user = json!({"id": self.scene.sandbox.user_id(), "banned": true});
        let delivery = Delivery::of("user.updated", user);
        let answer = raw(self.scene.address, &delivery.request(webhooks::PATH));
        assert_eq!(status_of(&answer), 204, "{answer}");
    }

    /// Revokes the session by the admin port; it is refused when this returns.
    fn revoke(&self) {
        self.scene.order("revoke", self.scene.sandbox.session_id());
    }
}

fn patient(stream: &TcpStream) {
    let limit = Some(Duration::from_secs(15));
    stream.set_read_timeout(limit).unwrap();
}

fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    text
}

/// Waits for what must come to be.
fn eventually(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "it has not come to be");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All that comes until the other side ends the connection, however it does.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        let is_open = error.kind() == std::io::ErrorKind::WouldBlock;
        assert!(!is_open, "the connection is still open");
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_of_a_revoked_session_is_closed_with_1008_on_both_sides() {
    for path in ["/asked/x", "/networkless/x"] {
        let played = Played::told().await;
        let (client, server) = played.websocket(path);
        played.revoke();
        assert_eq!(rest(client), b"\x88\x02\x03\xf0", "{path}");
        assert_eq!(rest(server), b"\x88\x82\0\0\0\0\x03\xf0", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_of_a_revoked_session_come_to_their_end() {
    for path in ["/asked/x", "/networkless/x"] {
        let played = Played::told().await;
        let (mut client, server) = played.streaming(path, EVENTS);
        played.revoke();
        assert_eq!(until(&mut client, "\r\n\r\n"), "0\r\n\r\n", "{path}");
        assert_eq!(rest(server), b"", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_revoked_session_is_cut_and_not_made_to_look_whole() {
    for path in ["/asked/x", "/networkless/x"] {
        let played = Played::told().await;
        let (client, server) = played.streaming(path, CHUNKED);
        played.revoke();
        assert_eq!(rest(client), b"", "{path}");
        assert_eq!(rest(server), b"", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_pauses_is_cut_too() {
    let played = Played::told().await;
    let (mut client, mut server) = played.streaming("/asked/x", CHUNKED);
    let flood = std::thread::spawn(move || {
        let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
        while server.write_all(chunk.as_bytes()).is_ok() {}
    });
    let drain = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while client.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    played.revoke();
    drain.join().unwrap();
    flood.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_of_a_revoked_session_is_stopped_and_refused() {
    let played = Played::told().await;
    let mut client = played.ask("POST /asked/x", "Content-Length: 10\r\n");
    let mut server = played.take();
    client.write_all(b"first").unwrap();
    let mut first = [0; 5];
    server.read_exact(&mut first).unwrap();
    played.revoke();
    let answer = String::from_utf8(rest(client)).unwrap();
    assert_eq!(status_of(&answer), 401, "{answer}");
    assert!(answer.contains("session-revoked"), "{answer}");
    assert_eq!(rest(server), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_the_revocation_is_kept_back() {
    let played = Played::told().await;
    let client = played.ask("GET /asked/x", "Connection: close\r\n");
    let mut server = played.take();
    played.revoke();
    let late = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret";
    server.write_all(late.as_bytes()).unwrap();
    let answer = String::from_utf8(rest(client)).unwrap();
    assert_eq!(status_of(&answer), 401, "{answer}");
    assert!(!answer.contains("secret"), "{answer}");
    let metrics = played.scene.metrics();
    let counted = "clerk_gateway_requests_total{route=\"/asked/*\",status=\"401\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_bare_session_id_ends_when_its_user_is_banned() {
    let played = Played::told().await;
    let id = played.scene.sandbox.session_id();
    let mut client = played.send("GET /bare/x", &format!("x-session-id: {id}\r\n"));
    let _server = played.answer(&format!("{CHUNKED}5\r\nfirst\r\n"));
    until(&mut client, "first\r\n");
    played.ban();
    assert_eq!(rest(client), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn others_streams_go_on() {
    let played = Played::told().await;
    let sandbox = &played.scene.sandbox;
    let other = sandbox.create_session(sandbox.user_id());
    let (mut client, mut server) = played.streaming("/asked/x", CHUNKED);
    let mut open = played.send("GET /open/x", "");
    let mut opens = played.answer(&format!("{CHUNKED}5\r\nfirst\r\n"));
    until(&mut open, "first\r\n");
    played.scene.order("revoke", &other);
    // Once more: the round of judgements that the first began is over then.
    played.scene.order("revoke", &other);
    for (client, server) in [(&mut client, &mut server), (&mut open, &mut opens)] {
        server.write_all(b"4\r\nmore\r\n0\r\n\r\n").unwrap();
        assert_eq!(until(client, "0\r\n\r\n"), "4\r\nmore\r\n0\r\n\r\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_clerk_is_found_to_have_ended_its_session() {
    let played = Played::with("stream_check = \"1s\"").await;
    let (client, _server) = played.streaming("/asked/x", CHUNKED);
    // Nobody tells the gateway.
    let id = played.scene.sandbox.session_id().to_owned();
    played.scene.sandbox.revoke(&id);
    played.scene.order("evict", &id);
    assert_eq!(rest(client), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_while_its_session_is_found_good() {
    let played = Played::with("stream_check = \"1s\"").await;
    let (mut client, mut server) = played.streaming("/asked/x", CHUNKED);
    let before = played.scene.sandbox.requests("GetSession");
    let id = played.scene.sandbox.session_id().to_owned();
    eventually(|| {
        played.scene.order("evict", &id);
        played.scene.sandbox.requests("GetSession") >= before + 2
    });
    server.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(until(&mut client, "\r\n\r\n"), "0\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_session_nobody_asks_about_ends_by_age() {
    let played = Played::with("max_stream_age = \"1s\"").await;
    let (client, _server) = played.websocket("/networkless/x");
    assert_eq!(rest(client), b"\x88\x02\x03\xf0");
    let metrics = played.scene.metrics();
    let counted = "clerk_gateway_streams_ended_total{reason=\"stream-too-old\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_watched_any_more_when_streams_have_ended() {
    let played = Played::told().await;
    let (client, server) = played.streaming("/asked/x", CHUNKED);
    let watched = |count: usize| format!("clerk_gateway_streams {count}\n");
    let metrics = played.scene.metrics();
    assert!(metrics.contains(&watched(1)), "{metrics}");
    drop((client, server));
    eventually(|| played.scene.metrics().contains(&watched(0)));
}
