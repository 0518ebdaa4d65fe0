//! Envoy's questions over gRPC: what passes and with which head, what is refused, and what is no verdict at all.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;

use crate::support::{
    process::{free_address, raw, status_of},
    programs::output,
    scene::{Scene, Setting},
    upstream::Upstream,
};

pub(crate) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// A gateway that Envoy asks, and where.
pub(crate) struct Asked {
    pub(crate) scene: Scene,
    pub(crate) address: SocketAddr,
}

/// What Envoy asks about; field by field as the protocol has it.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Whether each line is told by itself.
    pub(crate) raw: bool,
    pub(crate) scheme: &'static str,
    pub(crate) from: &'static str,
    pub(crate) method: String,
    pub(crate) host: String,
}

/// What Envoy is told: fields by number, as the wire has them.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) grpc_status: String,
    /// Of `google.rpc.Status`.
    pub(crate) code: u64,
    /// Of the denied response.
    pub(crate) status: u64,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) removed: Vec<String>,
    pub(crate) body: String,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Asked {
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    async fn with(decision: &str) -> Self {
        let address = free_address();
        let server = format!("[decision]\ngrpc = \"{address}\"\n{decision}\n");
        let setting = Setting {
            server: &server,
            ..Setting::default()
        };
        let scene = Scene::set(Upstream::start(), setting).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{}", scene.gateway.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { scene, address }
    }

    pub(crate) async fn check(&self, question: &Question) -> Told {
        check_at(self.address, question).await
    }

    /// Calls a method; the answer's message is taken out of its frame.
    async fn call(&self, method: &str, body: Bytes) -> (HeaderMap, Bytes) {
        call_by(&mut self.connect().await, method, body).await
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        connect(self.address).await
    }
}

/// Asks whoever listens at the address.
pub(crate) async fn check_at(address: SocketAddr, question: &Question) -> Told {
    let body = framed(&question.encoded());
    let (trailers, message) = call_by(&mut connect(address).await, CHECK, body).await;
    let mut told = Told::read(&message);
    told.grpc_status = trailers["grpc-status"].to_str().unwrap().to_owned();
    told
}

async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (send, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    send
}

async fn call_by(
    connection: &mut SendRequest<Full<Bytes>>,
    method: &str,
    body: Bytes,
) -> (HeaderMap, Bytes) {
    let request = Request::post(format!("http://gateway.test{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(body))
        .unwrap();
    let answer = connection.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let whole = answer.into_body().collect().await.unwrap();
    let trailers = whole.trailers().unwrap().clone();
    let mut bytes = whole.to_bytes();
    (trailers, bytes.split_off(bytes.len().min(5)))
}

impl Question {
    pub(crate) fn about(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            headers: Vec::new(),
            raw: false,
            scheme: "https",
            from: "192.0.2.7",
            method: "GET".to_owned(),
            host: "app.test".to_owned(),
        }
    }

    pub(crate) fn line(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn raw(self) -> Self {
        Self { raw: true, ..self }
    }

    fn encoded(&self) -> Bytes {
        let value_field = if self.raw { 3 } else { 2 };
        let lines = self.headers.iter().map(|(name, value)| {
            let pair = [
                field(1, name.as_bytes()),
                field(value_field, value.as_bytes()),
            ];
            field(if self.raw { 1 } else { 3 }, &pair.concat())
        });
        let lines = lines.collect::<Vec<_>>().concat();
        let headers = if self.raw { field(13, &lines) } else { lines };
        let http = [
            field(2, self.method.as_bytes()),
            headers,
            field(4, self.path.as_bytes()),
            field(5, self.host.as_bytes()),
            field(6, self.scheme.as_bytes()),
            field(10, b"HTTP/1.1"),
        ];
        let address = field(1, &field(1, &field(2, self.from.as_bytes())));
        let attributes = [field(1, &address), field(4, &field(2, &http.concat()))];
        Bytes::from(field(1, &attributes.concat()))
    }
}

/// A field of bytes.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut out);
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out.to_vec()
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat().into()
}

/// The fields of a message: number, and a number or bytes.
fn fields(mut message: &[u8]) -> Vec<(u32, u64, Vec<u8>)> {
    use prost::encoding::{WireType, decode_key, decode_varint};
    let mut found = Vec::new();
    while !message.is_empty() {
        let (number, wire) = decode_key(&mut message).unwrap();
        let mut bytes = Vec::new();
        let mut value = 0;
        match wire {
            WireType::Varint => value = decode_varint(&mut message).unwrap(),
            WireType::SixtyFourBit => {
                bytes = message[..8].to_vec();
                message = &message[8..];
            }
            WireType::LengthDelimited => {
                let length = decode_varint(&mut message).unwrap() as usize;
                bytes = message[..length].to_vec();
                message = &message[length..];
            }
            other => panic!("{other:?}"),
        }
        found.push((number, value, bytes));
    }
    found
}

fn sub(message: &[u8], number: u32) -> Vec<u8> {
    let found = fields(message).into_iter().find(|field| field.0 == number);
    found.map(|field| field.2).unwrap_or_default()
}

fn number(message: &[u8], number: u32) -> u64 {
    let found = fields(message).into_iter().find(|field| field.0 == number);
    found.map_or(0, |field| field.1)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

impl Told {
    fn read(message: &[u8]) -> Self {
        let (denied, ok) = (sub(message, 2), sub(message, 3));
        let mut told = Self {
            code: number(&sub(message, 1), 1),
            status: number(&sub(&denied, 1), 1),
            body: text(sub(&denied, 3)),
            ..Self::default()
        };
        for (number, _, bytes) in fields(&denied).into_iter().chain(fields(&ok)) {
            match number {
                2 => {
                    let header = sub(&bytes, 1);
                    let (name, value) = (text(sub(&header, 1)), text(sub(&header, 2)));
                    told.headers.insert(name, value);
                }
                5 => told.removed.push(text(bytes)),
                _ => {}
            }
        }
        for (_, _, entry) in fields(&sub(message, 4)) {
            let value = sub(&entry, 2);
            let value = match sub(&value, 2).try_into() {
                Ok(double) => f64::from_le_bytes(double).to_string(),
                Err(_) => text(sub(&value, 3)),
            };
            told.metadata.insert(text(sub(&entry, 1)), value);
        }
        told
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_passes_with_its_headers_and_without_its_credential() {
    let asked = Asked::start().await;
    let bearer = format!("Bearer {}", asked.scene.sandbox.session_token());
    for raw in [false, true] {
        let question = Question::about("/app/a?b=c")
            .line(":method", "GET")
            .line(":path", "/app/a?b=c")
            .line("authorization", &bearer)
            .line("x-clerk-user-id", "user_forged")
            .line("x-hasura-role", "admin")
            .line("x_clerk_org_id", "org_forged")
            .line("x-forwarded-proto", "https");
        let told = asked.check(&Question { raw, ..question }).await;
        assert_eq!((told.grpc_status.as_str(), told.code), ("0", 0), "{told:?}");
        assert!(told.headers["authorization"].starts_with("Bearer ey"));
        assert_ne!(told.headers["authorization"], bearer);
        assert!(told.headers["x-clerk-user-id"].starts_with("user_"));
        assert_ne!(told.headers["x-clerk-user-id"], "user_forged");
        assert!(told.removed.contains(&"x-hasura-role".to_owned()));
        assert!(told.removed.contains(&"x_clerk_org_id".to_owned()));
        assert!(!told.removed.contains(&"x-forwarded-proto".to_owned()));
        assert_eq!(
            told.metadata["user_id"], told.headers["x-clerk-user-id"],
            "{told:?}"
        );
        assert!(told.metadata["session_id"].starts_with("sess_"));
        assert_eq!(told.metadata["status"], "active");
        assert_eq!(told.metadata["route"], "/app/*");
        assert_eq!(told.metadata["reason"], "ok");
        let expires_at: u64 = told.metadata["expires_at"].parse().unwrap();
        assert!(expires_at > 1_700_000_000);
    }
    assert_eq!(asked.scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_passes_signed_out_is_told_apart_and_carries_nothing_forged() {
    let asked = Asked::start().await;
    for (path, reason) in [("/public/a", "no-auth"), ("/optional/a", "signed-out")] {
        let question = Question::about(path).line("x-clerk-user-id", "user_forged");
        let told = asked.check(&question).await;
        assert_eq!(told.code, 0, "{told:?}");
        assert_eq!(told.removed, ["x-clerk-user-id"]);
        assert_eq!(told.metadata["reason"], reason);
        assert!(!told.metadata.contains_key("user_id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_status_reason_and_the_problem() {
    let asked = Asked::start().await;
    let bearer = format!("Bearer {}", asked.scene.sandbox.session_token());
    let owners = Question::about("/owners/a").line("authorization", &bearer);
    let nowhere = Question::about("/app/../admin/a");
    let odd = Question {
        scheme: "ftp",
        ..Question::about("/app/a")
    };
    for (question, code, status, reason) in [
        (Question::about("/app/a"), 16, 401, "session-token-missing"),
        (owners, 7, 403, "role-missing"),
        (Question::about("/none"), 7, 404, "route-not-found"),
        (nowhere, 7, 400, "request-ambiguous-path"),
        (odd, 7, 400, "request-ambiguous-original"),
    ] {
        let told = asked.check(&question).await;
        assert_eq!(told.grpc_status, "0");
        assert_eq!((told.code, told.status), (code, status), "{told:?}");
        assert_eq!(told.headers["x-clerk-auth-reason"], reason);
        assert_eq!(told.headers["cache-control"], "no-store");
        assert_eq!(told.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_str(&told.body).unwrap();
        assert_eq!(problem["code"], reason);
        assert_eq!(problem["request_id"], told.headers["x-request-id"]);
        assert_eq!(
            told.headers.contains_key("www-authenticate"),
            status == 401 || reason == "role-missing"
        );
    }
    let log = asked.scene.gateway.stderr();
    assert!(log.contains("decision.grpc"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_not_trusted_gets_no_verdict() {
    let asked = Asked::with("trusted_callers = [\"192.0.2.0/24\"]").await;
    let told = asked.check(&Question::about("/public/a")).await;
    assert_eq!(told.grpc_status, "7");
    assert!(told.metadata.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_is_an_error_of_grpc() {
    let asked = Asked::start().await;
    let good = framed(&Question::about("/public/a").encoded());
    let mut compressed = good.to_vec();
    compressed[0] = 1;
    let long = framed(&vec![b'a'; 2 * 1024 * 1024]);
    for (method, body, status) in [
        (CHECK, Bytes::new(), "3"),
        (CHECK, Bytes::from_static(b"\0\0\0\0\x03abc"), "3"),
        (CHECK, good.slice(..good.len() - 1), "3"),
        (CHECK, long, "8"),
        (CHECK, compressed.into(), "12"),
        (
            "/envoy.service.auth.v3.Authorization/Other",
            good.clone(),
            "12",
        ),
        ("/envoy.service.auth.v2.Authorization/Check", good, "12"),
    ] {
        let (trailers, message) = asked.call(method, body).await;
        assert_eq!(trailers["grpc-status"], status, "{method}");
        assert!(trailers.contains_key("grpc-message") && message.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_as_the_gateway_itself_would() {
    let route = "[[route]]\npath = \"/page/*\"\ncors = { origins = [\"https://page.test\"] }";
    let asked = Asked::with(route).await;
    let preflight = |origin| {
        let question = Question::about("/page/x").line("origin", origin);
        let mut question = question.line("access-control-request-method", "GET");
        question.method = "OPTIONS".to_owned();
        question
    };
    let told = asked.check(&preflight("https://page.test")).await;
    assert_eq!((told.status, told.code), (204, 7), "{told:?}");
    assert_eq!(told.headers["x-clerk-auth-reason"], "cors-preflight");
    let origin = &told.headers["access-control-allow-origin"];
    assert_eq!(origin, "https://page.test");
    let told = asked.check(&preflight("https://evil.test")).await;
    assert!(!told.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_are_answered() {
    let asked = Asked::start().await;
    let health = "/grpc.health.v1.Health/Check";
    let (trailers, message) = asked.call(health, framed(b"")).await;
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(&message[..], b"\x08\x01");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_of_envoys_does_not_hold_up_the_end() {
    let mut asked = Asked::start().await;
    let mut connection = asked.connect().await;
    let question = framed(&Question::about("/public/a").encoded());
    let (trailers, _) = call_by(&mut connection, CHECK, question).await;
    assert_eq!(trailers["grpc-status"], "0");
    asked.scene.gateway.signal("TERM");
    // It is waited for less long than the drain may take.
    assert_eq!(asked.scene.gateway.status(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_is_not_spoken_where_envoy_asks() {
    let asked = Asked::start().await;
    let answer = raw(
        asked.address,
        b"GET /public/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answer, "");
    assert_eq!(status_of(&asked.scene.get("/public/a", &[])), 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs grpc-js; tests/run installs it"]
async fn grpc_js_reads_the_answers_by_the_names_that_envoy_gives_them() {
    let asked = Asked::start().await;
    let mut node = Command::new("node");
    node.arg("tests/strangers/ext_authz.mjs")
        .arg(asked.address.to_string())
        .arg(asked.scene.sandbox.session_token());
    let (good, said) = output(&mut node);
    assert!(good, "{said}\n{}", asked.scene.gateway.stderr());
}
