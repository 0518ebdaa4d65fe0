//! More than can be borne: what is accepted is answered, the rest is refused at once, and others are served meanwhile.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    adversarial::http2::{
        self, END_HEADERS, END_STREAM, HEADERS, Outcome, RST_STREAM, block, frame, outcome,
    },
    attacks::{connect, counts, eventually, is_served, rest, scene},
    support::{
        meanwhile::meanwhile,
        process::{get, status_of},
        programs::{Certificate, curl, text},
        scene::{Scene, Setting},
        upstream::Upstream,
    },
};

const CONTINUATION: u8 = 9;
/// RFC 9113 §7.
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const ENHANCE_YOUR_CALM: u32 = 11;
/// More than the sockets' own buffers hold.
const BIG: usize = 16 << 20;
/// Connections at once; the time-outs are those of everyday, so that none of them helps.
const ROOM_FOR: usize = 64;

/// Does something over and over until the others have been served, and once at least.
fn flooded<F>(scene: &Scene, flood: F) -> usize
where
    F: Fn(SocketAddr, usize) + Sync,
{
    let times = AtomicUsize::new(0);
    let flood = |_| flood(scene.address, times.fetch_add(1, Ordering::Relaxed));
    meanwhile(4, flood, || {
        eventually("a flood", || times.load(Ordering::Relaxed) > 4);
        for _ in 0..4 {
            is_served(scene);
            assert_eq!(scene.signed_in("/app/x", &[]), 200);
        }
    });
    times.load(Ordering::Relaxed)
}

fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    stream.set_write_timeout(limit).unwrap();
    stream
}

/// The connection was ended for what came on it.
fn assert_calmed(stream: &mut TcpStream) {
    let ended = outcome(stream);
    // What came after the end may have broken the connection before its GOAWAY was read.
    let broken = Outcome::Error(u32::MAX);
    assert!(
        ended == Outcome::Error(ENHANCE_YOUR_CALM) || ended == broken,
        "{ended:?}"
    );
}

/// An upstream that answers nothing until it is told, and then at once.
struct Held {
    address: SocketAddr,
    waiting: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Held {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = Self {
            address: listener.local_addr().unwrap(),
            waiting: Arc::new(Mutex::new(Some(Vec::new()))),
        };
        let waiting = Arc::clone(&held.waiting);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let waiting = Arc::clone(&waiting);
                thread::spawn(move || Self::answer_all(stream, &waiting));
            }
        });
        held
    }

    fn answer_all(mut stream: TcpStream, waiting: &Mutex<Option<Vec<TcpStream>>>) {
        while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
            let mut waiting = waiting.lock().unwrap();
            match &mut *waiting {
                Some(waiting) => waiting.push(stream.try_clone().unwrap()),
                None => Self::answer(&mut stream),
            }
        }
    }

    fn answer(stream: &mut TcpStream) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }

    fn count(&self) -> usize {
        self.waiting.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    fn release(&self) {
        for mut stream in self.waiting.lock().unwrap().take().unwrap() {
            Self::answer(&mut stream);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_times_what_an_upstream_bears_a_third_is_accepted_and_the_rest_refused_at_once() {
    let upstream = Held::start();
    let lines = format!(
        "url = \"http://{}\"\nmax_requests = 20\nmax_waiting = 20\nqueue_timeout = \"20s\"",
        upstream.address
    );
    let setting = Setting {
        upstream: &lines,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let answers = Mutex::new(Vec::new());
    let refused = || answers.lock().unwrap().len();
    thread::scope(|scope| {
        for _ in 0..120 {
            scope.spawn(|| {
                let answer = get(scene.address, "/public/x", &[]);
                answers.lock().unwrap().push(answer);
            });
        }
        // The upstream has answered nobody yet: these need not wait for it.
        eventually("the rest is refused", || refused() == 80);
        for answer in answers.lock().unwrap().drain(..) {
            assert_eq!(status_of(&answer), 503);
            assert!(answer.contains("upstream-overloaded"), "{answer}");
            assert!(answer.to_lowercase().contains("\r\nretry-after: 1\r\n"));
        }
        eventually("a third is there", || upstream.count() == 20);
        upstream.release();
    });
    let statuses = answers.lock().unwrap();
    let statuses: Vec<_> = statuses.iter().map(|answer| status_of(answer)).collect();
    assert_eq!(statuses, [200; 40]);
    is_served(&scene);
    let counted = "clerk_gateway_upstream_requests_total{upstream=\"app\",outcome=\"upstream-overloaded\"} 80\n";
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_busy_upstream_is_refused_when_its_time_is_over() {
    let upstream = Held::start();
    let lines = format!(
        "url = \"http://{}\"\nmax_requests = 5\nmax_waiting = 1000\nqueue_timeout = \"200ms\"",
        upstream.address
    );
    let setting = Setting {
        upstream: &lines,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let refused = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..15 {
            scope.spawn(|| match status_of(&get(scene.address, "/public/x", &[])) {
                503 => refused.fetch_add(1, Ordering::Relaxed),
                status => {
                    assert_eq!(status, 200);
                    0
                }
            });
        }
        // The upstream answers nobody meanwhile.
        eventually("ten refused", || refused.load(Ordering::Relaxed) == 10);
        upstream.release();
    });
    is_served(&scene);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_connections_are_half_open() {
    let scene = scene(&format!("h2c = true\nmax_connections = {ROOM_FOR}")).await;
    let firsts: [&[u8]; 4] = [
        b"",
        b"GET / HTTP/1.1\r\nHost: gw.test\r\nX",
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ];
    let most = 4 * ROOM_FOR;
    let half_open: Vec<_> = (0..most)
        .map(|number| connect(&scene, firsts[number % firsts.len()]))
        .collect();
    is_served(&scene);
    // None has idled or been slow for long enough to be cut for that.
    assert!(counts(&scene, "made-room") >= most - ROOM_FOR);
    for reason in ["idle-timeout", "header-timeout", "handshake-timeout"] {
        assert_eq!(counts(&scene, reason), 0, "{reason}");
    }
    // Those that were opened first have gone first.
    for stream in half_open.into_iter().take(ROOM_FOR) {
        rest(stream);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_tls_handshakes_are_half_open() {
    let certificate = Certificate::for_name("gw.test");
    let lines = format!("max_connections = {ROOM_FOR}\n{}", certificate.section());
    let scene = scene(&lines).await;
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let _half_open: Vec<_> = (0..2 * ROOM_FOR).map(|_| connect(&scene, hello)).collect();
    let port = scene.address.port();
    let resolve = format!("gw.test:{port}:127.0.0.1");
    let url = format!("https://gw.test:{port}/public/x");
    let authority = text(&certificate.cert);
    let asked = ["--resolve", &resolve, "--cacert", authority, "-f", &url];
    let (served, said) = curl(&asked);
    assert!(served, "{said}");
    assert!(counts(&scene, "made-room") >= ROOM_FOR);
    assert_eq!(counts(&scene, "handshake-timeout"), 0);
}

/// A gateway whose upstream answers with many bytes.
async fn with_big_answers(server: &str) -> Scene {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n").into_bytes();
    let answer = [head, vec![b'x'; BIG]].concat();
    let setting = Setting {
        server,
        ..Setting::default()
    };
    Scene::set(Upstream::answering(answer.leak()), setting).await
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_readers_are_slow() {
    let scene = with_big_answers("").await;
    is_served(&scene);
    let before = scene.gateway.resident_kib();
    let request = b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = connect(&scene, request);
            stream.read_exact(&mut [0; 1000]).unwrap();
            stream
        })
        .collect();
    is_served(&scene);
    // What they have not read is not held here for them.
    let grown = scene.gateway.resident_kib().saturating_sub(before);
    assert!(grown < 50 * 2048, "{grown} KiB");
    for mut stream in slow.into_iter().take(3) {
        let mut left = vec![0; BIG - 1000];
        stream.read_exact(&mut left).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_makes_no_room() {
    let scene = with_big_answers("max_connections = 3").await;
    let request = b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n";
    let mut slow = connect(&scene, request);
    slow.read_exact(&mut [0; 1000]).unwrap();
    let _silent: Vec<_> = (0..10).map(|_| connect(&scene, b"")).collect();
    is_served(&scene);
    assert!(counts(&scene, "made-room") >= 8);
    let mut left = Vec::new();
    slow.read_to_end(&mut left).unwrap();
    assert!(left.len() > BIG - 1000 && left.ends_with(b"xxx"));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_writers_are_slow() {
    let scene = scene("").await;
    let head = b"POST /public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 20\r\n\r\n";
    let mut slow: Vec<_> = (0..50).map(|_| connect(&scene, head)).collect();
    for _ in 0..20 {
        for stream in &mut slow {
            stream.write_all(b"x").unwrap();
        }
        is_served(&scene);
    }
    for mut stream in slow {
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_heads_flood() {
    let scene = scene("").await;
    let head = |length| {
        let lines = (0..90).map(|n| format!("X-{n}: {}\r\n", "y".repeat(length)));
        let lines: String = lines.collect();
        format!("GET /public/x HTTP/1.1\r\nHost: gw.test\r\n{lines}\r\n")
    };
    let (fits, too_large) = (head(600), head(1200));
    let requests = [(fits, "HTTP/1.1 200"), (too_large, "HTTP/1.1 431")];
    let requests = &requests;
    let times = flooded(&scene, |address, number| {
        let (request, status) = &requests[number % 2];
        let mut stream = open(address);
        // What is too large is refused before it has all been sent.
        let _ = stream.write_all(request.as_bytes());
        let mut start = [0; 12];
        if stream.read_exact(&mut start).is_ok() {
            assert_eq!(&start, status.as_bytes());
        }
    });
    assert!(counts(&scene, "head-too-large") >= times / 2 - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_streams_are_reset_rapidly() {
    let scene = scene("h2c = true").await;
    let head = block(&http2::get("/public/x"));
    let head = &head;
    let pairs = |from: u32, count: u32| -> Vec<u8> {
        let streams = (from..from + count).map(|number| 2 * number + 1);
        let pair = |stream| {
            let reset = frame(RST_STREAM, 0, stream, &CANCEL);
            [
                frame(HEADERS, END_HEADERS | END_STREAM, stream, head),
                reset,
            ]
            .concat()
        };
        streams.flat_map(pair).collect()
    };
    flooded(&scene, |address, number| {
        let mut stream = http2::connect(address);
        if number % 2 == 0 {
            let _ = stream.write_all(&pairs(0, 1000));
            return assert_calmed(&mut stream);
        }
        // A few at a time, each of which the gateway has begun to serve.
        for part in 0..50 {
            if stream.write_all(&pairs(part * 5, 5)).is_err() {
                return;
            }
            thread::yield_now();
        }
    });
    assert!(counts(&scene, "http2-flood") >= 1);
    eventually("nothing is left running", || {
        let page = scene.metrics();
        page.contains("clerk_gateway_connections{listener=\"public\"} 0\n")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_continuations_flood() {
    let scene = scene("h2c = true").await;
    let begin = frame(HEADERS, END_STREAM, 1, &block(&http2::get("/public/x")));
    let more = frame(CONTINUATION, 0, 1, &block(&[("x-a", "b")])).repeat(10_000);
    let (begin, more) = (&begin, &more);
    let times = flooded(&scene, |address, _| {
        let mut stream = http2::connect(address);
        let _ = stream.write_all(begin);
        let _ = stream.write_all(more);
        assert_calmed(&mut stream);
    });
    eventually("all counted", || counts(&scene, "http2-flood") >= times);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_while_tokens_are_bad() {
    let scene = scene("").await;
    let token = scene.sandbox.session_token().to_owned();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    assert_eq!(scene.signed_in("/app/x", &[]), 200);
    let (sessions, keys) = (
        scene.sandbox.requests("GetSession"),
        scene.sandbox.requests("GetJWKS"),
    );
    let end = &signature[12..];
    let times = flooded(&scene, |address, number| {
        let request = |at| {
            let own = number * 100 + at;
            format!(
                "GET /app/x HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {signed}.{own:012}{end}\r\n\r\n"
            )
        };
        let mut stream = open(address);
        let requests: String = (0..100).map(request).collect();
        stream.write_all(requests.as_bytes()).unwrap();
        stream
            .write_all(b"GET /none HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n")
            .unwrap();
        let answers = rest(stream);
        assert_eq!(answers.matches("HTTP/1.1 401 ").count(), 100);
    });
    let refused = format!("reason=\"token-invalid-signature\"}} {}\n", 100 * times);
    assert!(scene.metrics().contains(&refused), "{}", scene.metrics());
    assert_eq!(scene.sandbox.requests("GetSession"), sessions);
    assert!(scene.sandbox.requests("GetJWKS") - keys <= 1);
}

/// Sends bad tokens on one connection for as long as it is open, and counts the refusals.
fn flood_with_bad_tokens(scene: &Scene, refusals: &Arc<AtomicUsize>) -> TcpStream {
    let token = scene.sandbox.session_token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (signed, end) = (signed.to_owned(), signature[12..].to_owned());
    let stream = open(scene.address);
    let (mut writer, mut reader) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
    thread::spawn(move || {
        for number in 0..u32::MAX {
            let request = format!(
                "GET /app/x HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {signed}.{number:012}{end}\r\n\r\n"
            );
            if writer.write_all(request.as_bytes()).is_err() {
                return;
            }
        }
    });
    let refusals = Arc::clone(refusals);
    thread::spawn(move || {
        let mut bytes = [0; 65536];
        while let Ok(read @ 1..) = reader.read(&mut bytes) {
            let got = String::from_utf8_lossy(&bytes[..read]);
            refusals.fetch_add(
                got.matches("token-invalid-signature").count(),
                Ordering::SeqCst,
            );
        }
    });
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn others_wait_for_few_of_the_requests_that_one_connection_sends_in_a_row() {
    let scene = scene("workers = 1").await;
    let refusals = Arc::new(AtomicUsize::new(0));
    let flood = flood_with_bad_tokens(&scene, &refusals);
    eventually("a flood", || refusals.load(Ordering::SeqCst) > 100);
    let mut other = open(scene.address);
    let mut waited = Vec::new();
    for _ in 0..21 {
        let before = refusals.load(Ordering::SeqCst);
        other
            .write_all(b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")
            .unwrap();
        let mut bytes = [0; 4096];
        let read = other.read(&mut bytes).unwrap();
        assert!(bytes[..read].starts_with(b"HTTP/1.1 200 "));
        waited.push(refusals.load(Ordering::SeqCst) - before);
    }
    flood.shutdown(std::net::Shutdown::Both).unwrap();
    waited.sort_unstable();
    assert!(waited[10] < 100, "{waited:?}");
}
