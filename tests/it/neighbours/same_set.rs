//! One set of raw requests, to the gateway as a proxy and to a neighbour that asks it.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::{Addresses, HOST, Place, gateway_file};
use crate::support::{
    process::{Running, command, free_address},
    upstream::Upstream,
};
use crate::ways::token_shape;

/// Who the app is told it is, and what else must be the same.
const COMPARED: [&str; 8] = [
    "authorization",
    "cookie",
    "x-clerk-user-id",
    "x-clerk-session-id",
    "x-clerk-org-id",
    "x-clerk-org-role",
    "x-clerk-actor",
    "x-hasura-role",
];

/// What the app was asked: the request line, and the compared headers.
#[derive(Debug, PartialEq)]
struct Arrived(String, BTreeMap<&'static str, String>);

/// Request lines; each goes signed out and signed in.
const LINES: [&str; 48] = [
    "GET /app/x HTTP/1.1",
    "HEAD /app/x HTTP/1.1",
    "POST /app/x HTTP/1.1",
    "DELETE /app/x?y=z HTTP/1.1",
    "OPTIONS /app/x HTTP/1.1",
    "PROPFIND /app/x HTTP/1.1",
    "get /app/x HTTP/1.1",
    "TRACE /app/x HTTP/1.1",
    "CONNECT app.example.com:443 HTTP/1.1",
    "GET /public/x HTTP/1.1",
    "GET /public HTTP/1.1",
    "GET /publicx HTTP/1.1",
    "GET /PUBLIC/x HTTP/1.1",
    "GET /public/%7Ex HTTP/1.1",
    "GET /public/%78 HTTP/1.1",
    "GET /%70ublic/x HTTP/1.1",
    "GET /public/a%20b HTTP/1.1",
    "GET /public/a%2fb HTTP/1.1",
    "GET /public/a%5Cb HTTP/1.1",
    "GET /public/a%00b HTTP/1.1",
    "GET /public/a%zzb HTTP/1.1",
    "GET /public/a%0d%0ab HTTP/1.1",
    "GET /public/%C3%A9 HTTP/1.1",
    "GET /public/\u{e9} HTTP/1.1",
    "GET /public/a;b HTTP/1.1",
    "GET /public/;/../admin HTTP/1.1",
    "GET /public/x/../../admin HTTP/1.1",
    "GET /public/./x HTTP/1.1",
    "GET /public//x HTTP/1.1",
    "GET /public/x/ HTTP/1.1",
    "GET /public/.. HTTP/1.1",
    "GET /public/..%2f HTTP/1.1",
    "GET /public/%2e%2e%2fadmin HTTP/1.1",
    "GET /public/x?a=/../admin HTTP/1.1",
    "GET /public/x?a=%00 HTTP/1.1",
    "GET /public/x?? HTTP/1.1",
    "GET /public/x#a HTTP/1.1",
    "GET /public\\x HTTP/1.1",
    "GET /public/\"x\" HTTP/1.1",
    "GET /public/{x} HTTP/1.1",
    "GET http://app.example.com/public/x HTTP/1.1",
    "GET http://evil.test/public/x HTTP/1.1",
    "GET * HTTP/1.1",
    "GET public/x HTTP/1.1",
    "GET /public/x HTTP/1.0",
    "GET /public/x HTTP/2.0",
    "GET /public/x",
    "GET /public/x y HTTP/1.1",
];

/// Header lines for a request that would pass, signed in.
const HEADERS: [&str; 33] = [
    "X-App: 1",
    "X-Clerk-User-Id: forged",
    "x_clerk_user_id: forged",
    "X-Clerk-User-Id : forged",
    " X-Clerk-User-Id: forged",
    "X-App: a\r\n X-Clerk-User-Id: forged",
    "X-App: a\nX-Clerk-User-Id: forged",
    "X-App: a\rX-Clerk-User-Id: forged",
    "X-App: a\0b",
    "X-App",
    ": a",
    "X App: a",
    "Connection: X-Clerk-User-Id",
    "Connection: close, x-app\r\nX-App: 1",
    "Host: evil.test",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-For: 198.51.100.9",
    "X-Hasura-Role: admin",
    "X-Hasura-Admin-Secret: s",
    "Authorization: Bearer x",
    "Authorization: Basic YTpi",
    "Cookie: __session=a.b.c",
    "Cookie: theme=dark",
    "Cookie: theme=dark\r\nCookie: __session=a.b.c",
    "Content-Length: 0",
    "Content-Length: +0",
    "Content-Length: 0\r\nContent-Length: 5",
    "Content-Length: 5, 5\r\n\r\nabcde",
    "Transfer-Encoding: chunked\r\n\r\n0\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n",
    "Transfer-Encoding: xchunked\r\n\r\n0\r\n",
    "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
];

fn requests(bearer: &str) -> Vec<String> {
    let head = |line: &str, lines: &str| {
        format!("{line}\r\nHost: {HOST}\r\nConnection: close\r\nX-App: 0\r\n{lines}\r\n\r\n")
    };
    let mut all = Vec::new();
    for line in LINES {
        all.push(head(line, "X-Signed: out"));
        all.push(head(line, bearer));
    }
    for lines in HEADERS {
        for path in ["/public/x", "/app/x"] {
            if lines.starts_with("Authorization") && path == "/public/x" {
                // Nobody reads it there; which of two the app gets is each proxy's choice.
                continue;
            }
            let line = format!("POST {path} HTTP/1.1");
            all.push(head(&line, &format!("{bearer}\r\n{lines}")));
            all.push(head(&line, lines));
        }
    }
    // Without a host, with two, and with a body's bytes behind a request that has none.
    all.push("GET /public/x HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned());
    all.push(head("GET /public/x HTTP/1.1", &format!("Host: {HOST}")));
    all.push(head("GET /public/x HTTP/1.1", "X-App: 1") + "GET /admin HTTP/1.1\r\n\r\n");
    all.push(head("GET /public/x HTTP/1.1", "X-App: 1").replace("\r\n", "\n"));
    all
}

/// Sends a request, and reads what the app got of it.
fn fare(to: SocketAddr, app: &Upstream, request: &str) -> Vec<Arrived> {
    let before = app.hits();
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    // Whoever answers has asked the app before; some leave the connection open for a second.
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let _ = stream.read(&mut [0; 1]);
    let arrived = app.all().split_off(before);
    arrived.iter().map(|text| Arrived::read(text)).collect()
}

impl Arrived {
    fn read(text: &str) -> Self {
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let (line, lines) = head.split_once("\r\n").unwrap();
        let mut seen = BTreeMap::new();
        for line in lines.split("\r\n") {
            let (name, value) = line.split_once(':').unwrap();
            let compared = COMPARED
                .into_iter()
                .find(|it| it.eq_ignore_ascii_case(name));
            if let (Some(name), false) = (compared, value.trim().is_empty()) {
                // Envoy's question joins two lines of cookies by a comma.
                seen.insert(name, token_shape(value.trim()).replace("; ", ","));
            }
        }
        Self(plain(line), seen)
    }
}

/// The gateway itself decodes what needs no encoding, and takes the host off; the others leave that to the app.
fn plain(line: &str) -> String {
    [
        "%70 p",
        "%78 x",
        "%7E ~",
        "%22 \"",
        "%7B {",
        "%7D }",
        "http://app.example.com/ /",
        "HTTP/1.0 HTTP/1.1",
    ]
    .iter()
    .filter_map(|pair| pair.split_once(' '))
    .fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
}

pub(super) fn raw_requests_fare_as_at_the_gateway_itself(place: Place) {
    let bearer = place.bearer();
    let (proxy, _running) = place.as_proxy();
    let mut passed = 0;
    for request in requests(&bearer) {
        let shown = request.replace(&bearer, "(bearer)");
        let there = fare(place.address, &place.app, &request);
        let mut itself = fare(proxy, &place.app, &request);
        let [arrived] = &there[..] else {
            assert!(there.is_empty(), "{shown:?}: {there:?}");
            continue;
        };
        if itself.is_empty() {
            // It was mended before the question: the mended one would have to pass.
            let signed = if request.contains(&bearer) {
                bearer.as_str()
            } else {
                "X-Signed: out"
            };
            let Arrived(line, _) = arrived;
            let mended = format!("{line}\r\nHost: {HOST}\r\nConnection: close\r\n{signed}\r\n\r\n");
            itself = fare(proxy, &place.app, &mended);
        }
        assert_eq!(itself, there, "{shown:?}");
        passed += 1;
    }
    assert!(passed > 40, "{passed}");
}

impl Place {
    /// Starts a gateway on the same sandbox, routes and app, which passes requests on itself.
    fn as_proxy(&self) -> (SocketAddr, Running) {
        let address = free_address();
        let addresses = Addresses {
            public: free_address(),
            app: self.app.address,
            decisions: free_address(),
            grpc: free_address(),
        };
        let file = gateway_file(&self.sandbox, &addresses, free_address());
        let text = std::fs::read_to_string(&file).unwrap();
        let listen = text.rfind("listen = ").unwrap();
        let (head, tail) = text.split_at(listen);
        let (_, tail) = tail.split_once('\n').unwrap();
        let text = format!(
            "{head}listen = \"{address}\"\n{tail}\n[[upstream]]\nname = \"app\"\nurl = \"http://{}\"\n",
            self.app.address
        );
        std::fs::write(&file, text).unwrap();
        let mut serve = command();
        serve.args(["serve", "-c"]).arg(&file);
        serve.env("CLERK_SECRET_KEY", self.sandbox.secret_key());
        (address, Running::start(serve, address))
    }
}
