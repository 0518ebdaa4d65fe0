//! Upgraded connections: nothing is joined before the upstream's 101, and each ends properly.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

use crate::support::{
    process::{free_address, status_of},
    programs::output,
    scene::{Scene, Setting},
    upstream::Upstream,
};

const GRANTED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n";

struct Wires {
    scene: Scene,
    upstream: TcpListener,
}

async fn wires() -> Wires {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    let scene = Scene::with(Upstream::start(), &url, "10s").await;
    Wires { scene, upstream }
}

impl Wires {
    /// Sends the request for an upgrade, and more bytes behind it.
    fn ask(&self, lines: &str, behind: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(self.scene.address).unwrap();
        patient(&client);
        let head = format!(
            "GET /forward/ws HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: a2V5\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n{lines}\r\n"
        );
        client
            .write_all(&[head.as_bytes(), behind].concat())
            .unwrap();
        client
    }

    fn signed_in(&self, behind: &[u8]) -> TcpStream {
        self.ask(&format!("{}\r\n", self.scene.bearer()), behind)
    }

    fn accept(&self) -> TcpStream {
        let (server, _) = self.upstream.accept().unwrap();
        patient(&server);
        server
    }

    /// A connection that is joined on both sides.
    fn joined(&self) -> (TcpStream, TcpStream) {
        let mut client = self.signed_in(b"");
        let mut server = self.accept();
        until(&mut server, b"\r\n\r\n");
        server.write_all(GRANTED.as_bytes()).unwrap();
        until(&mut client, b"\r\n\r\n");
        (client, server)
    }
}

fn patient(stream: &TcpStream) {
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
}

/// Reads up to `end`, and not a byte further.
fn until(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn exactly(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_flow_both_ways_behind_a_101_and_extensions_are_kept() {
    let wires = wires().await;
    let mut client = wires.signed_in(b"");
    let mut server = wires.accept();
    let request = until(&mut server, b"\r\n\r\n").to_lowercase();
    for line in [
        "connection: upgrade\r\n",
        "upgrade: websocket\r\n",
        "permessage-deflate",
        "x-tenant: org_",
    ] {
        assert!(request.contains(line), "{line}: {request}");
    }
    server.write_all(GRANTED.as_bytes()).unwrap();
    let answer = until(&mut client, b"\r\n\r\n").to_lowercase();
    assert!(
        answer.starts_with("http/1.1 101 ") && answer.contains("upgrade: websocket"),
        "{answer}"
    );
    client.write_all(b"\xc1\x81\x01\x02\x03\x04x#\n").unwrap();
    assert_eq!(exactly(&mut server, 9), b"\xc1\x81\x01\x02\x03\x04x#\n");
    server.write_all(b"\xc1\x01y").unwrap();
    assert_eq!(exactly(&mut client, 3), b"\xc1\x01y");
    drop(server);
    assert_eq!(rest(client), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_without_a_session_is_401_and_dials_no_one() {
    let wires = wires().await;
    let mut client = wires.ask("", b"");
    assert_eq!(status_of(&until(&mut client, b"\r\n\r\n")), 401);
    wires.upstream.set_nonblocking(true).unwrap();
    assert!(wires.upstream.accept().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_up_before_the_101() {
    let wires = wires().await;
    let client = wires.signed_in(b"early");
    let mut server = wires.accept();
    until(&mut server, b"\r\n\r\n");
    server
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(server.read(&mut [0; 8]).is_err());
    patient(&server);
    server.write_all(GRANTED.as_bytes()).unwrap();
    assert_eq!(exactly(&mut server, 5), b"early");
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upgrade_leaves_http_and_the_next_request_is_judged_alone() {
    let wires = wires().await;
    let next = b"GET /forward/x HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n";
    let client = wires.signed_in(next);
    let mut server = wires.accept();
    until(&mut server, b"\r\n\r\n");
    server
        .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        .unwrap();
    let answers = String::from_utf8(rest(client)).unwrap();
    let statuses: Vec<_> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|rest| &rest[..3])
        .collect();
    assert_eq!(statuses, ["403", "401"], "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_for_another_http_is_no_upgrade() {
    let wires = wires().await;
    let mut client = TcpStream::connect(wires.scene.address).unwrap();
    patient(&client);
    let head = format!(
        "GET /forward/x HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n{}\r\n\r\n",
        wires.scene.bearer()
    );
    client.write_all(head.as_bytes()).unwrap();
    let mut server = wires.accept();
    let request = until(&mut server, b"\r\n\r\n").to_lowercase();
    assert!(!request.contains("upgrade"), "{request}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_websockets_with_1001_on_both_sides_and_never_inside_a_frame() {
    let mut wires = wires().await;
    let (client, mut server) = wires.joined();
    let (mut other, mut half) = wires.joined();
    half.write_all(b"\x82\x03ab").unwrap();
    exactly(&mut other, 4);
    wires.scene.gateway.signal("TERM");
    assert_eq!(rest(client), b"\x88\x02\x03\xe9");
    assert_eq!(exactly(&mut server, 8), b"\x88\x82\0\0\0\0\x03\xe9");
    half.write_all(b"c").unwrap();
    assert_eq!(rest(other), b"c\x88\x02\x03\xe9");
    assert_eq!(wires.scene.gateway.status(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_upgraded_connection_is_cut_and_counted_while_it_is_open() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}\"\nupgrade_idle_timeout = \"1s",
        upstream.local_addr().unwrap()
    );
    let scene = Scene::with(Upstream::start(), &url, "10s").await;
    let wires = Wires { scene, upstream };
    let (client, _server) = wires.joined();
    assert!(
        wires
            .scene
            .metrics()
            .contains("clerk_gateway_upgraded_connections 1")
    );
    assert_eq!(rest(client), b"");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and a WebSocket server in Node.js; tests/run installs them"]
async fn a_browsers_websocket_passes_with_its_cookie_and_compression() {
    let upstream = free_address();
    let url = format!("http://{upstream}");
    let setting = Setting {
        upstream: &format!("url = \"{url}\""),
        routes: "[[route]]\npath = \"/public/*\"\nauth = \"none\"\n\n[[route]]\npath = \"/app/*\"\n",
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let mut node = Command::new("node");
    node.arg("tests/strangers/browser.mjs")
        .args([scene.address.to_string(), upstream.to_string()])
        .arg(scene.sandbox.session_token());
    let (good, said) = output(&mut node);
    assert!(good, "{said}\n{}", scene.gateway.stderr());
}
