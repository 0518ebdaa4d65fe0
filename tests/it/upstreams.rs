//! How upstreams are reached, chosen and spared.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixListener,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::{
    adversarial::http2::{GOAWAY, HEADERS, SETTINGS, frame},
    support::{
        process::{folder, free_address, get, raw, status_of},
        programs::{Certificate, text},
        scene::{Scene, Setting},
        upstream::Upstream,
    },
};

async fn scene(upstream: &str) -> Scene {
    let setting = Setting {
        upstream,
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An HTTPS server by openssl, which wants a client's certificate where `authority` is given.
fn https_server(server: &Certificate, authority: Option<&Certificate>) -> (Program, SocketAddr) {
    let address = free_address();
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "s_server",
            "-www",
            "-quiet",
            "-accept",
            &address.to_string(),
        ])
        .args(["-cert", text(&server.cert), "-key", text(&server.key)]);
    if let Some(authority) = authority {
        openssl.args([
            "-CAfile",
            text(&authority.cert),
            "-Verify",
            "1",
            "-verify_return_error",
        ]);
    }
    let child = openssl.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let program = Program(child.unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "openssl never listened");
    }
    (program, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn https_upstreams_are_believed_by_their_own_authority_and_name_alone() {
    let authority = Certificate::for_name("authority.test");
    let certificate = Certificate::signed_by("app.internal", &authority);
    let (_server, address) = https_server(&certificate, None);
    let url = format!("url = \"https://{address}\"\n");
    let ca = format!("ca_file = \"{}\"\n", authority.cert.display());
    let name = "server_name = \"app.internal\"\n";
    for (lines, status) in [
        (url.clone() + &ca + name, 200),
        (url.clone() + &ca, 502),
        (url.clone() + name, 502),
        (
            url.clone() + &ca + "server_name = \"other.internal\"\n",
            502,
        ),
    ] {
        let scene = scene(&lines).await;
        assert_eq!(status_of(&scene.get("/public/x", &[])), status, "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_shows_its_own_certificate_where_it_has_one() {
    let authority = Certificate::for_name("authority.test");
    let server = Certificate::signed_by("app.internal", &authority);
    let own = Certificate::signed_by("gateway.test", &authority);
    let (_server, address) = https_server(&server, Some(&authority));
    let lines = format!(
        "url = \"https://{address}\"\nserver_name = \"app.internal\"\nca_file = \"{}\"\n",
        authority.cert.display()
    );
    let identity = format!(
        "client_cert_file = \"{}\"\nclient_key_file = \"{}\"\n",
        own.cert.display(),
        own.key.display()
    );
    let without = scene(&lines).await;
    assert_eq!(status_of(&without.get("/public/x", &[])), 502);
    let with = scene(&(lines + &identity)).await;
    assert_eq!(status_of(&with.get("/public/x", &[])), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_an_upstream() {
    let path = folder().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
        assert!(text.contains("host: localhost\r\n"), "{text}");
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsocket";
        stream.write_all(answer).unwrap();
    });
    let scene = scene(&format!("url = \"unix:{}\"", path.display())).await;
    let answer = scene.get("/public/x", &[]);
    assert!(answer.ends_with("socket"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_upstreams_are_spoken_to_in_http2() {
    let open = "[[route]]\npath = \"/*\"\nauth = \"none\"\n";
    let authority = Certificate::for_name("authority.test");
    let certificate = Certificate::signed_by("app.internal", &authority);
    let plain = Setting {
        server: "h2c = true",
        routes: open,
        ..Setting::default()
    };
    let tls = certificate.section();
    let tls = Setting {
        server: &tls,
        routes: open,
        ..Setting::default()
    };
    // The upstream is another gateway: it tells its own upstream by which scheme it was asked, and speaks HTTP/2 only to those who do.
    for (setting, scheme, protocol) in [(plain, "http", "h2c"), (tls, "https", "h2")] {
        let inner = Scene::set(Upstream::start(), setting).await;
        let lines = format!(
            "url = \"{scheme}://{}\"\nprotocol = \"{protocol}\"\nserver_name = \"app.internal\"\nca_file = \"{}\"",
            inner.address,
            authority.cert.display()
        );
        let outer = scene(&lines).await;
        for _ in 0..3 {
            assert_eq!(status_of(&outer.get("/public/x", &[])), 200, "{protocol}");
        }
        assert_eq!(inner.upstream.header("x-forwarded-proto"), [scheme]);
        // One HTTP/2 connection carries all of them.
        assert!(
            inner
                .metrics()
                .contains("clerk_gateway_connections{listener=\"public\"} 1"),
            "{}",
            inner.metrics()
        );
    }
}

/// An HTTP/2 upstream that answers each request by leaving, and says which stream was the last that it took.
fn leaving(last: u32) -> (SocketAddr, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let asked = asked.clone();
            std::thread::spawn(move || leave(stream.unwrap(), last, &asked));
        }
    });
    (address, requests)
}

fn leave(mut stream: TcpStream, last: u32, asked: &mpsc::Sender<()>) {
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream.read_exact(&mut [0; 24]).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length.try_into().unwrap()];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == HEADERS {
            break;
        }
    }
    asked.send(()).unwrap();
    let last = [last.to_be_bytes(), [0; 4]].concat();
    stream.write_all(&frame(GOAWAY, 0, 0, &last)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_sent_again_only_where_an_http2_upstream_says_that_it_did_not_take_it() {
    for (last, times) in [(1, 1), (0, 2)] {
        let (address, requests) = leaving(last);
        let lines = format!("url = \"http://{address}\"\nprotocol = \"h2c\"");
        let scene = scene(&lines).await;
        let post = b"POST /public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        let answer = raw(scene.address, post);
        assert_eq!(status_of(&answer), 502);
        assert!(answer.contains("upstream-disconnected"), "{answer}");
        assert_eq!(requests.try_iter().count(), times, "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_take_an_instance_out_and_in_again() {
    let (first, second) = (Upstream::start(), free_address());
    let lines = format!(
        "urls = [\"http://{}\", \"http://{second}\"]\nhealth = {{ path = \"/healthz\", interval = \"20ms\" }}",
        first.address
    );
    let scene = scene(&lines).await;
    let healthy = |count: &str| {
        let line = format!(
            "clerk_gateway_upstream_healthy{{upstream=\"app\",url=\"http://{second}\"}} {count}"
        );
        let deadline = Instant::now() + Duration::from_secs(10);
        while !scene.metrics().contains(&line) {
            assert!(Instant::now() < deadline, "{}", scene.metrics());
        }
    };
    healthy("0");
    let _listener = Listening::at(second);
    healthy("1");
}

/// Answers every request with 200.
struct Listening;

impl Listening {
    fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        });
        Self
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_instance_has_seen_is_tried_on_the_next_a_post_with_its_body_included() {
    let app = Upstream::start();
    let lines = format!(
        "urls = [\"http://{}\", \"http://{}\"]",
        free_address(),
        app.address
    );
    let scene = scene(&lines).await;
    for _ in 0..4 {
        let request = "POST /public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
        let answer = crate::support::process::raw(scene.address, request.as_bytes());
        assert_eq!(status_of(&answer), 200, "{answer}");
        assert!(app.last().ends_with("\r\n\r\nhello"), "{}", app.last());
    }
    assert_eq!(app.hits(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_attempt_that_follows_another_is_counted_as_a_retry() {
    let (one, other) = (free_address(), free_address());
    for (lines, retries) in [
        (format!("url = \"http://{one}\""), None),
        (
            format!("urls = [\"http://{one}\", \"http://{other}\"]"),
            Some("clerk_gateway_upstream_retries_total{upstream=\"app\"} 1"),
        ),
    ] {
        let scene = scene(&lines).await;
        assert_eq!(status_of(&scene.get("/public/x", &[])), 502);
        let page = scene.metrics();
        let counted = page
            .lines()
            .find(|line| line.starts_with("clerk_gateway_upstream_retries_total{"));
        assert_eq!(counted, retries);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_upstream_lets_few_wait_and_turns_the_rest_away() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = format!(
        "url = \"http://{}\"\nmax_requests = 1\nmax_waiting = 1\nqueue_timeout = \"300ms\"",
        silent.local_addr().unwrap()
    );
    let scene = scene(&lines).await;
    let mut held = TcpStream::connect(scene.address).unwrap();
    held.write_all(b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        .unwrap();
    let (_server, _) = silent.accept().unwrap();
    let answer = get(scene.address, "/public/x", &[]);
    assert_eq!(status_of(&answer), 503, "{answer}");
    assert!(
        answer.contains("upstream-overloaded") && answer.to_lowercase().contains("retry-after: 1"),
        "{answer}"
    );
    assert!(scene.metrics().contains("clerk_gateway_upstream_requests_total{upstream=\"app\",outcome=\"upstream-overloaded\"} 1"), "{}", scene.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_exchange_and_a_silent_body_have_their_time() {
    for (key, slow) in [("total_timeout", false), ("idle_timeout", true)] {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let lines = format!(
            "url = \"http://{}\"\n{key} = \"500ms\"",
            upstream.local_addr().unwrap()
        );
        let scene = scene(&lines).await;
        let mut client = TcpStream::connect(scene.address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client
            .write_all(b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")
            .unwrap();
        let (mut server, _) = upstream.accept().unwrap();
        let _ = server.read(&mut [0; 4096]).unwrap();
        if slow {
            server
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
                .unwrap();
        }
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while !answer.ends_with(if slow { b"abc" } else { b"\"}" }) {
            let read = client.read(&mut buffer).unwrap();
            answer.extend_from_slice(&buffer[..read]);
        }
        if slow {
            // The rest never comes: the answer is cut, not ended.
            assert_eq!(client.read(&mut buffer).unwrap(), 0);
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.contains(if slow {
                "\r\n\r\nabc"
            } else {
                "upstream-timeout"
            }),
            "{answer}"
        );
    }
}
