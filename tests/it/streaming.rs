//! Bodies on their way: as they come, and without being held.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use crate::support::{process::get, scene::Scene, upstream::Upstream};

const GIB: usize = 1 << 30;
const CHUNK: usize = 1 << 18;

/// A gateway in front of a listener that the test plays.
async fn played() -> (Scene, TcpListener) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    (Scene::with(Upstream::start(), &url, "30s").await, upstream)
}

fn connect(scene: &Scene) -> TcpStream {
    let client = TcpStream::connect(scene.address).unwrap();
    let limit = Some(Duration::from_secs(30));
    client.set_read_timeout(limit).unwrap();
    client
}

fn accept(upstream: &TcpListener) -> TcpStream {
    let (server, _) = upstream.accept().unwrap();
    server
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    server
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

/// The most memory that the gateway ever held, in bytes.
fn peak(scene: &Scene) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", scene.gateway.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: usize = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024
}

fn send(mut stream: TcpStream, count: usize) {
    let chunk = vec![b'x'; CHUNK];
    for _ in 0..count / CHUNK {
        stream.write_all(&chunk).unwrap();
    }
    stream.flush().unwrap();
}

fn receive(stream: &mut TcpStream, count: usize) {
    let mut buffer = vec![0; CHUNK];
    let mut left = count;
    while left > 0 {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_each_way_takes_less_than_16_mebibytes() {
    let (scene, upstream) = played().await;
    let warm = std::thread::spawn({
        let upstream = upstream.try_clone().unwrap();
        move || {
            let mut server = accept(&upstream);
            until(&mut server, "\r\n\r\n");
            server
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                .unwrap();
        }
    });
    get(scene.address, "/public/x", &[]);
    warm.join().unwrap();
    let before = peak(&scene);

    let mut client = connect(&scene);
    let head = format!("POST /public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {GIB}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let mut server = accept(&upstream);
    until(&mut server, "\r\n\r\n");
    let sender = std::thread::spawn({
        let client = client.try_clone().unwrap();
        move || send(client, GIB)
    });
    receive(&mut server, GIB);
    sender.join().unwrap();
    server
        .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n").as_bytes())
        .unwrap();
    until(&mut client, "\r\n\r\n");
    let sender = std::thread::spawn(move || send(server, GIB));
    receive(&mut client, GIB);
    sender.join().unwrap();
    let grown = peak(&scene) - before;
    assert!(grown < 16 << 20, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_the_upstream_back_and_not_its_bytes_in_memory() {
    let (scene, upstream) = played().await;
    let mut client = connect(&scene);
    client
        .write_all(b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        .unwrap();
    let mut server = accept(&upstream);
    until(&mut server, "\r\n\r\n");
    server
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    server
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let before = peak(&scene);
    let chunk = [
        format!("{CHUNK:x}\r\n").as_bytes(),
        &vec![b'x'; CHUNK],
        b"\r\n",
    ]
    .concat();
    // It ends where nothing moves any more: the buffers between here and the client are full.
    let taken = (0..GIB / CHUNK)
        .take_while(|_| server.write_all(&chunk).is_ok())
        .count();
    assert!(
        taken < 128,
        "{taken} chunks of {CHUNK} bytes went somewhere"
    );
    assert!(peak(&scene) - before < 16 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_arrive_one_by_one_and_end_with_the_client() {
    let (scene, upstream) = played().await;
    let mut client = connect(&scene);
    client
        .write_all(
            b"GET /public/events HTTP/1.1\r\nHost: gw.test\r\nAccept: text/event-stream\r\n\r\n",
        )
        .unwrap();
    let mut server = accept(&upstream);
    until(&mut server, "\r\n\r\n");
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let head = until(&mut client, "\r\n\r\n");
    assert!(head.contains("text/event-stream"), "{head}");
    for number in 0..10 {
        // The next is not sent before this one has arrived.
        let event = format!("data: {number}\n\n");
        server
            .write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())
            .unwrap();
        until(&mut client, &format!("{event}\r\n"));
    }
    drop(client);
    let mut end = [0; 16];
    assert_eq!(server.read(&mut end).unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_is_answered_when_the_upstream_answers() {
    let (scene, upstream) = played().await;
    let mut client = connect(&scene);
    client
        .write_all(b"GET /public/poll HTTP/1.1\r\nHost: gw.test\r\n\r\n")
        .unwrap();
    let mut server = accept(&upstream);
    until(&mut server, "\r\n\r\n");
    client
        .set_read_timeout(Some(Duration::from_millis(1200)))
        .unwrap();
    assert!(client.read(&mut [0]).is_err());
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        .unwrap();
    assert!(until(&mut client, "late").starts_with("HTTP/1.1 200"));
}
