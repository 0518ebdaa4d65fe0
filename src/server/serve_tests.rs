use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{super::connection::ConnectionInfo, *};
use crate::server::{DrainTrigger, bind, drain};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n";
const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: gw.test\r\n\r\n";

struct Server {
    address: SocketAddr,
    trigger: DrainTrigger,
    running: JoinHandle<Drained>,
}

/// More than sockets hold.
const LARGE: usize = 16 * 1024 * 1024;

/// Answers with the peer's address; `/slow` after 200 ms, `/large` with [`LARGE`] bytes, `/panic` never.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    match request.uri().path() {
        "/slow" => sleep(Duration::from_millis(200)).await,
        "/large" => return Ok(Response::new(Full::from(vec![b'a'; LARGE]))),
        "/panic" => panic!("as asked"),
        _ => {}
    }
    let info = request.extensions().get::<ConnectionInfo>().unwrap();
    Ok(Response::new(Full::from(format!("{:?}", info.peer))))
}

fn start(limits: ServeLimits) -> Server {
    start_held(limits, Arc::default())
}

/// Each connection holds what is given while it does not rest.
fn start_held(limits: ServeLimits, held: Arc<()>) -> Server {
    let listener = bind("server.listen", ([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, drain) = drain();
    let running = tokio::spawn(serve(
        Listener::plain("public", listener, limits),
        service_fn(move |request| {
            let _held = &held;
            answer(request)
        }),
        drain,
    ));
    Server {
        address,
        trigger,
        running,
    }
}

async fn open(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_string(&mut text));
    read.await.unwrap().unwrap();
    text
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = timeout(Duration::from_secs(5), stream.read(&mut bytes)).await;
    String::from_utf8(bytes[..read.unwrap().unwrap()].to_vec()).unwrap()
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(100), stream.read_u8())
        .await
        .is_err()
}

/// A server whose connections rest at once, with one that rests after a request.
async fn resting(limits: ServeLimits) -> (Server, Arc<()>, TcpStream) {
    let held = Arc::default();
    let rest = Duration::from_millis(5);
    let server = start_held(ServeLimits { rest, ..limits }, Arc::clone(&held));
    let mut stream = open(&server, GET).await;
    assert!(read_some(&mut stream).await.contains("200 OK"));
    until(|| Arc::strong_count(&held) == RESTING).await;
    (server, held, stream)
}

/// This test's and the listener's.
const RESTING: usize = 2;

async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(5), so).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_has_rested_answers_whatever_comes_in_whatever_pieces() {
    let (_server, held, mut stream) = resting(ServeLimits::default()).await;
    let two = [GET, GET].concat();
    for pieces in [
        vec![GET],
        vec![&GET[..1], &GET[1..]],
        vec![&GET[..30], &GET[30..]],
        vec![b"\r\n", GET],
        vec![&two[..GET.len() + 1], &two[GET.len() + 1..]],
    ] {
        let answers = pieces.concat().len() / GET.len();
        for piece in pieces {
            stream.write_all(piece).await.unwrap();
            // Long enough to rest, were it at that.
            sleep(Duration::from_millis(30)).await;
        }
        let mut text = String::new();
        while text.matches("200 OK").count() < answers {
            text += &read_some(&mut stream).await;
        }
        until(|| Arc::strong_count(&held) == RESTING).await;
    }
}

#[tokio::test]
async fn an_answer_that_its_client_has_not_taken_is_no_rest() {
    let (_server, _held, mut stream) = resting(ServeLimits::default()).await;
    let large = b"GET /large HTTP/1.1\r\nhost: gw.test\r\nconnection: close\r\n\r\n";
    stream.write_all(large).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert!(read_all(&mut stream).await.len() > LARGE);
}

#[tokio::test]
async fn an_answer_that_is_waited_for_is_no_rest() {
    let (_server, _held, mut stream) = resting(ServeLimits::default()).await;
    stream.write_all(SLOW).await.unwrap();
    assert!(read_some(&mut stream).await.contains("200 OK"));
}

#[tokio::test]
async fn a_connection_that_rests_is_cut_when_it_has_idled() {
    let limit = Duration::from_millis(300);
    let limits = ServeLimits {
        idle_timeout: limit,
        header_timeout: limit,
        ..ServeLimits::default()
    };
    let (_server, _held, mut stream) = resting(limits).await;
    let start = Instant::now();
    // Empty lines are no request.
    let trickle = async {
        while stream.write_all(b"\r\n").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), trickle).await.unwrap();
    assert!(start.elapsed() > limit / 2);
}

#[tokio::test]
async fn a_connection_that_rests_ends_with_the_drain_and_with_its_client() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let (server, _held, stream) = resting(ServeLimits::default()).await;
    let open = tasks();
    drop(stream);
    until(|| tasks() == open - 1).await;
    drop(server);
    let (server, _held, mut stream) = resting(ServeLimits::default()).await;
    server.trigger.begin();
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(server.running.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_request_carries_its_connection() {
    let server = start(ServeLimits::default());
    let mut stream = open(&server, GET).await;
    let text = read_some(&mut stream).await;
    assert!(
        text.contains(&stream.local_addr().unwrap().ip().to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn silent_and_slow_heads_are_cut() {
    let limits = ServeLimits {
        header_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(100),
        ..ServeLimits::default()
    };
    let server = start(limits);
    for head in [&b""[..], b"G", b"GET / HTTP/1.1\r\nhost: gw", GET] {
        let start = Instant::now();
        read_all(&mut open(&server, head).await).await;
        assert!(start.elapsed() < Duration::from_secs(2), "{head:?}");
    }
}

#[tokio::test]
async fn a_head_above_the_bound_is_431() {
    let server = start(ServeLimits {
        header_bytes: 8192,
        ..ServeLimits::default()
    });
    let long = format!(
        "GET / HTTP/1.1\r\nhost: gw.test\r\ncookie: {}\r\n\r\n",
        "a".repeat(9_000)
    );
    let text = read_some(&mut open(&server, long.as_bytes()).await).await;
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
}

#[tokio::test]
async fn connections_above_the_bound_wait_for_a_request_to_end() {
    let server = start(ServeLimits {
        connections: 1,
        ..ServeLimits::default()
    });
    let mut first = open(&server, SLOW).await;
    let mut second = open(&server, GET).await;
    assert!(is_silent(&mut second).await);
    assert!(read_some(&mut first).await.starts_with("HTTP/1.1 200 "));
    assert!(read_some(&mut second).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(read_all(&mut first).await, "");
}

#[tokio::test]
async fn whoever_has_no_request_makes_room() {
    let server = start(ServeLimits {
        connections: 1,
        ..ServeLimits::default()
    });
    for first in [&b""[..], b"GET / HTTP/1.1\r\nhost: gw"] {
        let mut held = open(&server, first).await;
        let mut second = open(&server, GET).await;
        assert!(read_some(&mut second).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(read_all(&mut held).await, "");
    }
}

#[tokio::test]
async fn a_panic_ends_its_connection_only() {
    let server = start(ServeLimits::default());
    let text =
        read_all(&mut open(&server, b"GET /panic HTTP/1.1\r\nhost: gw.test\r\n\r\n").await).await;
    assert_eq!(text, "");
    assert!(
        read_some(&mut open(&server, GET).await)
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}

#[tokio::test]
async fn a_drain_answers_what_runs_and_closes_what_idles() {
    let server = start(ServeLimits::default());
    let mut idle = open(&server, GET).await;
    read_some(&mut idle).await;
    let mut silent = open(&server, b"").await;
    let mut running = open(&server, SLOW).await;
    sleep(Duration::from_millis(50)).await;
    server.trigger.begin();
    assert_eq!(read_all(&mut idle).await, "");
    assert_eq!(read_all(&mut silent).await, "");
    let text = read_all(&mut running).await;
    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.contains("connection: close"),
        "{text}"
    );
    assert_eq!(server.running.await.unwrap(), Drained { cut: 0 });
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_drain_cuts_at_its_deadline() {
    let server = start(ServeLimits {
        drain: Duration::from_millis(50),
        ..ServeLimits::default()
    });
    let mut running = open(&server, SLOW).await;
    sleep(Duration::from_millis(50)).await;
    server.trigger.begin();
    assert_eq!(server.running.await.unwrap(), Drained { cut: 1 });
    assert_eq!(read_all(&mut running).await, "");
}

#[tokio::test(start_paused = true)]
async fn rests_grow_to_a_second_where_the_process_lacks_something() {
    let exhausted = io::Error::from_raw_os_error(24);
    let places = Places::default();
    let mut rest = FIRST_REST;
    let start = Instant::now();
    for _ in 0..6 {
        rest = recover(&exhausted, rest, &places).await;
    }
    assert_eq!((rest, start.elapsed().as_millis()), (LONGEST_REST, 3_500));
    recover(&io::ErrorKind::ConnectionReset.into(), rest, &places).await;
    assert_eq!(start.elapsed().as_millis(), 3_500);
}
