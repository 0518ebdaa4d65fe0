//! Clients that take without giving: they are cut, and others are served meanwhile.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    process::{Running, command, get, raw, status_of},
    programs::{Certificate, curl, output, text},
    scene::{Scene, Setting},
    upstream::Upstream,
};

pub(crate) async fn scene(server: &str) -> Scene {
    let setting = Setting {
        server,
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

pub(crate) fn connect(scene: &Scene, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(scene.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// A connection on which a request was answered; `None` where it was turned away.
fn served(scene: &Scene) -> Option<TcpStream> {
    let mut stream = connect(scene, b"");
    // The gateway may have closed it by now.
    let request = b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    stream.write_all(request).ok()?;
    let read = stream.read(&mut [0; 8]).ok()?;
    (read > 0).then_some(stream)
}

/// What comes before the gateway ends the connection.
pub(crate) fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn is_served(scene: &Scene) {
    for _ in 0..5 {
        assert_eq!(status_of(&get(scene.address, "/public/x", &[])), 200);
    }
}

pub(crate) fn counts(scene: &Scene, reason: &str) -> usize {
    let page = scene.metrics();
    let name = format!("clerk_gateway_connections_closed_total{{reason=\"{reason}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_are_408_and_others_are_served() {
    let scene = scene("header_read_timeout = \"500ms\"").await;
    let mut slow: Vec<_> = (0..100)
        .map(|_| connect(&scene, b"GET / HTTP/1.1\r\nHost: gw.test\r\n"))
        .collect();
    is_served(&scene);
    // A byte now and then does not put the end off.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(400) {
        for stream in &mut slow {
            let _ = stream.write_all(b"X");
        }
        is_served(&scene);
    }
    for stream in slow {
        let answer = rest(stream);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
            "{answer}"
        );
    }
    assert_eq!(counts(&scene, "header-timeout"), 100);
    // Each once.
    assert_eq!(counts(&scene, "client-gone"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_cut_when_they_have_idled() {
    let scene = scene("idle_timeout = \"500ms\"\nheader_read_timeout = \"500ms\"").await;
    let silent: Vec<_> = (0..100).map(|_| connect(&scene, b"")).collect();
    is_served(&scene);
    for stream in silent {
        assert_eq!(rest(stream), "");
    }
    eventually("100 cut", || counts(&scene, "idle-timeout") >= 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_handshakes_that_stand_still_are_cut() {
    let certificate = Certificate::for_name("gw.test");
    let scene = scene(&format!(
        "handshake_timeout = \"500ms\"\n{}",
        certificate.section()
    ))
    .await;
    // A ClientHello's first bytes, and nothing at all.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let stuck: Vec<_> = (0..100)
        .map(|n| connect(&scene, if n % 2 == 0 { hello } else { b"" }))
        .collect();
    let port = scene.address.port();
    let (resolve, url) = (
        format!("gw.test:{port}:127.0.0.1"),
        format!("https://gw.test:{port}/public/x"),
    );
    let (served, said) = curl(&[
        "--resolve",
        &resolve,
        "--cacert",
        text(&certificate.cert),
        &url,
    ]);
    assert!(served, "{said}");
    for stream in stuck {
        rest(stream);
    }
    eventually("100 cut", || counts(&scene, "handshake-timeout") >= 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_settles_on_http2_and_says_nothing_is_cut() {
    let certificate = Certificate::for_name("gw.test");
    let lines = format!("handshake_timeout = \"500ms\"\n{}", certificate.section());
    let scene = scene(&lines).await;
    let mut silent = Command::new("openssl")
        .args(["s_client", "-quiet", "-alpn", "h2", "-connect"])
        .arg(scene.address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The one that waited for the start has broken off its handshake.
    eventually("cut", || counts(&scene, "handshake-timeout") == 1);
    assert_eq!(counts(&scene, "client-gone"), 0);
    silent.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_hold_nobody_else() {
    let scene = scene("body_idle_timeout = \"500ms\"").await;
    let head = b"POST /public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100\r\n\r\nx";
    let slow: Vec<_> = (0..100).map(|_| connect(&scene, head)).collect();
    is_served(&scene);
    for stream in slow {
        assert!(rest(stream).starts_with("HTTP/1.1 408 "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_its_share_of_connections_and_another_its_own() {
    let scene = scene("max_connections_per_address = 5").await;
    let mut held = Vec::new();
    // The one that waited for the start may still be counted.
    eventually("five at once", || {
        held.clear();
        held.extend((0..5).filter_map(|_| served(&scene)));
        held.len() == 5
    });
    let before = counts(&scene, "address-limit");
    assert!(served(&scene).is_none());
    assert_eq!(counts(&scene, "address-limit"), before + 1);
    let url = format!("http://{}/public/x", scene.address);
    let (served, said) = curl(&["--interface", "127.0.0.9", "-f", &url]);
    assert!(served, "{said}");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_headers_and_too_long_targets_have_their_statuses() {
    let scene = scene("max_headers = 20\nmax_uri_bytes = 256\nmax_header_bytes = 8192").await;
    let many: String = (0..30).map(|n| format!("X-{n}: 1\r\n")).collect();
    let long = "a".repeat(300);
    let huge = "a".repeat(9000);
    for (request, status) in [
        (
            format!("GET /public/x HTTP/1.1\r\nHost: gw.test\r\n{many}\r\n"),
            431,
        ),
        (
            format!("GET /public/x HTTP/1.1\r\nHost: gw.test\r\nX: {huge}\r\n\r\n"),
            431,
        ),
        (
            format!("GET /public/{long} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n"),
            414,
        ),
        (
            format!("GET /public/x?{long} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n"),
            414,
        ),
    ] {
        assert_eq!(
            status_of(&raw(scene.address, request.as_bytes())),
            status,
            "{request}"
        );
    }
    assert_eq!(scene.upstream.hits(), 0);
    eventually("both heads counted", || {
        counts(&scene, "head-too-large") == 2
    });
    let counted = r#"outcome="refuse",reason="request-target-too-long"} 2"#;
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beyond_the_most_waits_for_a_request_to_end_and_that_is_counted() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = format!("url = \"http://{}\"", upstream.local_addr().unwrap());
    let setting = Setting {
        server: "max_connections = 3",
        upstream: &lines,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    // The one that waited for the start may still be counted.
    eventually("no connection", || {
        let open = "clerk_gateway_connections{listener=\"public\"} ";
        scene
            .metrics()
            .lines()
            .all(|line| !line.starts_with(open) || line.ends_with(" 0"))
    });
    let request = b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push((connect(&scene, request), upstream.accept().unwrap()));
    }
    let counted = "clerk_gateway_limit_reached_total{limit=\"connections\"} ";
    assert!(!scene.metrics().contains(counted), "{}", scene.metrics());
    let mut waiting = connect(&scene, request);
    eventually("it waits", || scene.metrics().contains(counted));
    drop(held);
    let (mut server, _) = upstream.accept().unwrap();
    let _ = server.read(&mut [0; 4096]).unwrap();
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    let mut status = [0; 12];
    waiting.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    assert_eq!(counts(&scene, "made-room"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_few_descriptors_serves_as_many_as_they_suffice_for() {
    let mut scene = scene("").await;
    // The same gateway again.
    drop(scene.gateway);
    let line = format!(
        "ulimit -n 64; exec {} serve -c {}",
        env!("CARGO_BIN_EXE_clerk-gateway"),
        scene.file.display()
    );
    let mut few = command();
    let secret = scene.sandbox.secret_key().to_owned();
    let mut shell = Command::new("sh");
    for (name, value) in few.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    few = shell;
    few.args(["-c", &line]).env("CLERK_SECRET_KEY", secret);
    scene.gateway = Running::start(few, scene.address);
    let said = "suffice for fewer connections";
    assert!(scene.gateway.stderr().contains(said));
    let _held: Vec<_> = (0..200).map(|_| connect(&scene, b"")).collect();
    is_served(&scene);
    assert!(counts(&scene, "made-room") >= 200 - 16);
    assert_eq!(counts(&scene, "accept-failed"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_bad_tokens_asks_clerk_nothing_and_holds_nobody() {
    let scene = scene("").await;
    let good = scene.sandbox.session_token();
    let (head, rest) = good.split_once('.').unwrap();
    assert_eq!(scene.signed_in("/app/x", &[]), 200);
    let before = scene.sandbox.requests("GetSession");
    let keys = scene.sandbox.requests("GetJWKS");
    for number in 0..500 {
        let bad = format!("Authorization: Bearer {head}.{number:04}{rest}");
        assert_eq!(status_of(&get(scene.address, "/app/x", &[&bad])), 401);
    }
    assert_eq!(scene.signed_in("/app/x", &[]), 200);
    assert_eq!(scene.sandbox.requests("GetSession"), before);
    assert!(scene.sandbox.requests("GetJWKS") - keys <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_http2_streams_finish_and_tells_by_goaway() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = format!("url = \"http://{}\"", upstream.local_addr().unwrap());
    let setting = Setting {
        server: "h2c = true",
        upstream: &lines,
        ..Setting::default()
    };
    let mut scene = Scene::set(Upstream::start(), setting).await;
    let url = format!("http://{}/public/x", scene.address);
    let client = std::thread::spawn(move || {
        output(Command::new("curl").args([
            "-sS",
            "-v",
            "--http2-prior-knowledge",
            "--max-time",
            "20",
            &url,
        ]))
    });
    let (mut server, _) = upstream.accept().unwrap();
    let _ = server.read(&mut [0; 4096]).unwrap();
    scene.gateway.signal("TERM");
    eventually("the listener closed", || {
        TcpStream::connect(scene.address).is_err()
    });
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
        .unwrap();
    let (served, said) = client.join().unwrap();
    assert!(served && said.contains("done"), "{said}");
    assert_eq!(scene.gateway.status(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_no_byte_of_its_answer_is_cut() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = format!("url = \"http://{}\"", upstream.local_addr().unwrap());
    let setting = Setting {
        server: "write_timeout = \"500ms\"",
        upstream: &lines,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let _client = connect(&scene, b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (mut server, _) = upstream.accept().unwrap();
    let _ = server.read(&mut [0; 4096]).unwrap();
    server
        .set_write_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        .unwrap();
    let chunk = vec![b'x'; 1 << 16];
    while server.write_all(&chunk).is_ok() {}
    assert_eq!(counts(&scene, "write-timeout"), 1);
}
