//! Other proxies' questions over HTTP: which request is meant, who may ask, and what the answer says.

use std::net::SocketAddr;

use crate::support::{
    process::{exchange, free_address, status_of},
    scene::{Scene, Setting},
    upstream::Upstream,
};

const ROUTES: &str = r#"
[[route]]
path = "/public/*"
auth = "none"

[[route]]
path = "/optional/*"
auth = "optional"
headers = { "X-Tenant" = "org_id" }

[[route]]
path = "/page/*"
cors = { origins = ["https://page.test"] }

[[route]]
path = "/app/*"
methods = ["GET", "POST"]
token = { template = "hasura" }
"#;

const ORIGINAL: [&str; 5] = [
    "X-Original-Method: GET",
    "X-Original-URI: /app/x",
    "X-Forwarded-Host: gw.test",
    "X-Forwarded-Proto: https",
    "X-Forwarded-For: 203.0.113.7",
];

struct Endpoint {
    scene: Scene,
    decisions: SocketAddr,
}

impl Endpoint {
    async fn start(more: &str) -> Self {
        let decisions = free_address();
        let setting = Setting {
            server: &format!("[decision]\nlisten = \"{decisions}\"\n{more}"),
            routes: ROUTES,
            ..Setting::default()
        };
        let scene = Scene::set(Upstream::start(), setting).await;
        Self { scene, decisions }
    }

    fn ask(&self, path: &str, lines: &[&str]) -> String {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n");
        exchange(self.decisions, format!("{head}{lines}\r\n").as_bytes())
    }

    /// Asks /haproxy about a GET of `target`.
    fn about(&self, target: &str, lines: &[&str]) -> String {
        let uri = format!("X-Original-URI: {target}");
        let mut all = ORIGINAL.to_vec();
        all[1] = &uri;
        all.extend(lines);
        self.ask("/haproxy", &all)
    }
}

fn header(answer: &str, name: &str) -> Option<String> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned())
}

fn assert_answer(answer: &str, status: u16, reason: &str) {
    let said = header(answer, "x-clerk-auth-reason");
    assert_eq!(
        (status_of(answer), said.as_deref()),
        (status, Some(reason)),
        "{answer}"
    );
    assert_eq!(
        header(answer, "cache-control").as_deref(),
        Some("no-store"),
        "{answer}"
    );
    assert!(header(answer, "x-request-id").is_some(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_request_is_answered_with_all_that_the_upstream_is_to_see() {
    let endpoint = Endpoint::start("").await;
    let bearer = endpoint.scene.bearer();
    let cookie = "Cookie: theme=dark; __session=x";
    let answer = endpoint.about("/app/x", &[&bearer, cookie]);
    assert_answer(&answer, 200, "ok");
    let user = endpoint.scene.sandbox.user_id();
    assert_eq!(header(&answer, "x-clerk-user-id").as_deref(), Some(user));
    assert_eq!(header(&answer, "cookie").as_deref(), Some("theme=dark"));
    let token = header(&answer, "authorization").unwrap();
    assert!(
        token.starts_with("Bearer ") && !bearer.contains(&token),
        "{answer}"
    );
    assert_eq!(endpoint.scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_is_not_to_see_is_there_and_empty() {
    let endpoint = Endpoint::start("").await;
    let forged = [
        "X_Clerk_User_Id: a",
        "x.tenant: b",
        "X-Clerk-New: c",
        "X-Hasura-Role: d",
    ];
    for (target, reason) in [("/public/x", "no-auth"), ("/optional/x", "signed-out")] {
        let answer = endpoint.about(target, &forged);
        assert_answer(&answer, 200, reason);
        for name in [
            "authorization",
            "cookie",
            "x-clerk-user-id",
            "x-clerk-session-id",
            "x-clerk-org-id",
            "x-clerk-org-role",
            "x-clerk-actor",
            "x-tenant",
            "x_clerk_user_id",
            "x.tenant",
            "x-clerk-new",
            "x-hasura-role",
        ] {
            assert_eq!(
                header(&answer, name).as_deref(),
                Some(""),
                "{name}: {answer}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_header_of_a_question_must_be_there_once_and_readable() {
    let endpoint = Endpoint::start("").await;
    let bearer = endpoint.scene.bearer();
    for (path, status, names) in [
        ("/nginx", 403, ["X-Original-Method", "X-Original-URI"]),
        ("/haproxy", 400, ["X-Original-Method", "X-Original-URI"]),
        ("/traefik", 400, ["X-Forwarded-Method", "X-Forwarded-Uri"]),
        ("/caddy", 400, ["X-Forwarded-Method", "X-Forwarded-Uri"]),
    ] {
        let mut whole = ORIGINAL.map(str::to_owned).to_vec();
        whole[0] = format!("{}: GET", names[0]);
        whole[1] = format!("{}: /app/x", names[1]);
        whole.push(bearer.clone());
        let ask = |lines: &[String]| {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            endpoint.ask(path, &lines)
        };
        assert_answer(&ask(&whole), 200, "ok");
        for at in 0..5 {
            let mut without = whole.clone();
            without.remove(at);
            assert_answer(&ask(&without), status, "request-ambiguous-original");
        }
        for at in 0..4 {
            let mut twice = whole.clone();
            twice.push(whole[at].clone());
            assert_answer(&ask(&twice), status, "request-ambiguous-original");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_asks_with_the_request_itself() {
    let endpoint = Endpoint::start("").await;
    let bearer = endpoint.scene.bearer();
    let proto = "X-Forwarded-Proto: https";
    let client = "X-Forwarded-For: 203.0.113.7";
    let answer = endpoint.ask("/envoy/app/x?y=z", &[&bearer, proto, client]);
    assert_answer(&answer, 200, "ok");
    let removed = header(&answer, "x-envoy-auth-headers-to-remove").unwrap();
    assert!(removed.split(',').any(|name| name == "cookie"), "{removed}");
    assert!(!removed.contains("x-clerk-user-id"), "{removed}");
    let answer = endpoint.ask("/envoy/app/x", &[&bearer, client]);
    assert_answer(&answer, 400, "request-ambiguous-original");
    let answer = endpoint.ask("/envoy/public/../app/x", &[&bearer, proto, client]);
    assert_answer(&answer, 400, "request-ambiguous-path");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_hears_nothing_but_what_it_passes_on() {
    let endpoint = Endpoint::start("").await;
    for (method, target, status, reason) in [
        ("GET", "/app/x", 401, "session-token-missing"),
        ("GET", "/public/../app/x", 403, "request-ambiguous-path"),
        ("GET", "/nowhere", 403, "route-not-found"),
        ("PUT", "/app/x", 403, "route-not-found"),
        ("GET", "app/x", 403, "request-ambiguous-target"),
        ("GET", "/app/x#/public/", 403, "request-ambiguous-target"),
    ] {
        let method = format!("X-Original-Method: {method}");
        let uri = format!("X-Original-URI: {target}");
        let mut lines = ORIGINAL.to_vec();
        lines[0] = &method;
        lines[1] = &uri;
        let answer = endpoint.ask("/nginx", &lines);
        assert_eq!(status_of(&answer), status, "{target}: {answer}");
        assert_eq!(
            header(&answer, "x-clerk-auth-reason").as_deref(),
            Some(reason),
            "{target}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_that_the_gateway_would_answer_passes_as_nobodys() {
    let endpoint = Endpoint::start("").await;
    let mut lines = ORIGINAL.to_vec();
    lines[0] = "X-Original-Method: OPTIONS";
    lines[1] = "X-Original-URI: /page/x";
    let bearer = endpoint.scene.bearer();
    lines.extend([
        "Origin: https://page.test",
        "Access-Control-Request-Method: GET",
        &bearer,
    ]);
    let answer = endpoint.ask("/haproxy", &lines);
    assert_answer(&answer, 200, "cors-preflight");
    assert_eq!(header(&answer, "authorization").as_deref(), Some(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_not_trusted_is_told_nothing() {
    let endpoint = Endpoint::start("trusted_callers = [\"10.0.0.0/8\"]").await;
    let bearer = endpoint.scene.bearer();
    for path in ["/haproxy", "/nginx", "/nowhere"] {
        let answer = endpoint.ask(path, &[&ORIGINAL[..], &[bearer.as_str()]].concat());
        assert_eq!(status_of(&answer), 403, "{answer}");
        let reason = header(&answer, "x-clerk-auth-reason");
        assert_eq!(reason.as_deref(), Some("caller-not-trusted"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_no_dialect_is_404() {
    let endpoint = Endpoint::start("").await;
    for path in ["/", "/envoy", "/envoyx/app", "/nginx/", "/Nginx", "/app/x"] {
        assert_eq!(status_of(&endpoint.ask(path, &ORIGINAL)), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_read_as_the_proxy_reads_it() {
    let endpoint = Endpoint::start("").await;
    for path in ["/public/%2e%2e/app/x", "/public/../app/x", "/public/%2fapp"] {
        let by_proxy = endpoint.scene.get(path, &[]);
        assert_eq!(status_of(&by_proxy), 400, "{path}: {by_proxy}");
        let uri = format!("X-Forwarded-Uri: {path}");
        let mut lines = ORIGINAL.to_vec();
        lines[0] = "X-Forwarded-Method: GET";
        lines[1] = &uri;
        for answer in [endpoint.ask("/traefik", &lines), endpoint.about(path, &[])] {
            assert_answer(&answer, 400, "request-ambiguous-path");
        }
    }
    assert_eq!(endpoint.scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_comes_is_not_waited_for() {
    let endpoint = Endpoint::start("").await;
    let lines: String = ORIGINAL.iter().map(|line| format!("{line}\r\n")).collect();
    let head =
        format!("POST /nginx HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 10\r\n{lines}\r\n");
    let answer = exchange(endpoint.decisions, head.as_bytes());
    assert_answer(&answer, 401, "session-token-missing");
    assert_eq!(endpoint.scene.upstream.hits(), 0);
}
