//! What pages of other sites can make a browser do: CORS, cross-site requests; and how much anyone may.

use serde_json::json;

use crate::{
    config_errors::assert_refused,
    support::{
        process::{raw, status_of},
        scene::{Scene, Setting},
        upstream::Upstream,
    },
};

const ROUTES: &str = r#"
[[route]]
path = "/api/*"
methods = ["GET", "POST", "DELETE"]
cors = { origins = ["https://page.test"], headers = ["authorization", "x-own"], credentials = true, max_age = "10m" }

[[route]]
path = "/passed/*"
cors = { origins = ["https://page.test"], preflight = "pass" }

[[route]]
path = "/unprotected/*"
csrf = false

[[route]]
path = "/sessions/*"
rate_limit = { per_session = "3/1h" }

[[route]]
path = "/addresses/*"
auth = "none"
rate_limit = { per_address = "3/1h" }

[[route]]
path = "/app/*"

[[route]]
path = "/members/*"
auth = "optional"
"#;

async fn scene() -> Scene {
    let setting = Setting {
        clerk: "authorized_parties = [\"https://trusted.test\"]\nallow_missing_azp = true",
        server: "trusted_proxies = [\"127.0.0.1\"]",
        routes: ROUTES,
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

fn send(scene: &Scene, line: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{line} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n{lines}\r\n");
    raw(scene.address, request.as_bytes())
}

fn has(answer: &str, line: &str) -> bool {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().any(|own| own.eq_ignore_ascii_case(line))
}

fn names(answer: &str, name: &str) -> bool {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    head.to_lowercase().contains(&format!("\n{name}:"))
}

const PAGE: &str = "Origin: https://page.test";
const ASKS: &str = "Access-Control-Request-Method: DELETE";

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_here_without_credentials() {
    let scene = scene().await;
    let answer = send(&scene, "OPTIONS /api/x", &[PAGE, ASKS]);
    assert_eq!(status_of(&answer), 204, "{answer}");
    for line in [
        "access-control-allow-origin: https://page.test",
        "access-control-allow-credentials: true",
        "access-control-allow-methods: GET, POST, DELETE",
        "access-control-allow-headers: authorization, x-own",
        "access-control-max-age: 600",
    ] {
        assert!(has(&answer, line), "{line}: {answer}");
    }
    let other = send(
        &scene,
        "OPTIONS /api/x",
        &["Origin: https://page.test.evil", ASKS],
    );
    assert_eq!(status_of(&other), 204);
    assert!(!names(&other, "access-control-allow-origin"), "{other}");
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_options_is_decided_like_any_request() {
    let scene = scene().await;
    for (target, lines, status) in [
        ("/api/x", &[PAGE][..], 404),
        ("/api/x", &[ASKS], 404),
        ("/api/x", &[PAGE, "Access-Control-Request-Method: PUT"], 404),
        ("/passed/x", &[PAGE], 401),
        ("/app/x", &[PAGE, ASKS], 401),
    ] {
        let answer = send(&scene, &format!("OPTIONS {target}"), lines);
        assert_eq!(status_of(&answer), status, "{target} {lines:?}");
    }
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_that_is_passed_on_carries_nothing_of_a_session() {
    let scene = scene().await;
    let bearer = scene.bearer();
    let lines = [PAGE, ASKS, "X-Clerk-User-Id: forged", &bearer];
    assert_eq!(status_of(&send(&scene, "OPTIONS /passed/x", &lines)), 200);
    assert_eq!(scene.upstream.hits(), 1);
    assert!(scene.upstream.header("x-clerk-user-id").is_empty());
    assert!(scene.upstream.header("authorization").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_refusals_are_readable_by_the_named_origins_alone() {
    let scene = scene().await;
    let bearer = scene.bearer();
    for (lines, status) in [(&[PAGE, &bearer][..], 200), (&[PAGE], 401)] {
        let answer = send(&scene, "GET /api/x", lines);
        assert_eq!(status_of(&answer), status);
        assert!(
            has(&answer, "access-control-allow-origin: https://page.test"),
            "{answer}"
        );
        assert!(answer.to_lowercase().contains("vary: "), "{answer}");
    }
    for origin in ["Origin: https://evil.test", "Origin: null", "X-No: origin"] {
        let answer = send(&scene, "GET /api/x", &[origin, &bearer]);
        assert_eq!(status_of(&answer), 200);
        assert!(!names(&answer, "access-control-allow-origin"), "{answer}");
        assert!(has(&answer, "vary: origin"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_does_not_let_another_sites_page_write() {
    let scene = scene().await;
    let cookie = format!("Cookie: __session={}", scene.sandbox.session_token());
    let bearer = scene.bearer();
    for (line, lines, status) in [
        ("POST /app/x", vec!["Sec-Fetch-Site: cross-site"], 403),
        ("POST /app/x", vec!["Sec-Fetch-Site: same-site"], 403),
        ("POST /app/x", vec!["Origin: https://evil.test"], 403),
        ("DELETE /app/x", vec!["Origin: null"], 403),
        ("POST /members/x", vec!["Origin: https://evil.test"], 403),
        ("GET /app/x", vec!["Sec-Fetch-Site: cross-site"], 200),
        ("POST /app/x", vec!["Sec-Fetch-Site: same-origin"], 200),
        ("POST /app/x", vec![], 200),
        ("POST /app/x", vec!["Origin: http://gw.test"], 200),
        (
            "POST /app/x",
            vec!["Origin: https://trusted.test", "Sec-Fetch-Site: same-site"],
            200,
        ),
        (
            "POST /unprotected/x",
            vec!["Sec-Fetch-Site: cross-site"],
            200,
        ),
    ] {
        let with_cookie = [&lines[..], &[cookie.as_str()]].concat();
        let answer = send(&scene, line, &with_cookie);
        assert_eq!(status_of(&answer), status, "{line} {lines:?}: {answer}");
        assert_eq!(
            answer.contains("cross-site-request"),
            status == 403,
            "{answer}"
        );
        let with_bearer = [&lines[..], &[bearer.as_str()]].concat();
        assert_eq!(
            status_of(&send(&scene, line, &with_bearer)),
            200,
            "{line} {lines:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_does_not_let_another_sites_page_open_a_websocket() {
    let scene = scene().await;
    let cookie = format!("Cookie: __session={}", scene.sandbox.session_token());
    let request = format!(
        "GET /app/ws HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Origin: https://evil.test\r\n{cookie}\r\n\r\n\
         GET /last HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(scene.address, request.as_bytes());
    assert_eq!(status_of(&answer), 403, "{answer}");
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_beyond_its_rate_is_429_and_others_are_not() {
    let scene = scene().await;
    let bearer = scene.bearer();
    for _ in 0..3 {
        assert_eq!(status_of(&scene.get("/sessions/x", &[&bearer])), 200);
    }
    let answer = scene.get("/sessions/x", &[&bearer]);
    assert_eq!(status_of(&answer), 429);
    assert!(answer.contains(r#""code":"rate-limited""#), "{answer}");
    assert!(names(&answer, "retry-after"), "{answer}");
    assert_eq!(status_of(&scene.get("/app/x", &[&bearer])), 200);
    let id = scene.sandbox.session_id();
    let another = scene
        .sandbox
        .mint_with(id, |_, claims| claims["sid"] = json!("sess_other"));
    let other = format!("Authorization: Bearer {another}");
    assert_eq!(status_of(&scene.get("/sessions/x", &[&other])), 401);
    let grpc = scene.get("/sessions/x", &[&bearer, "Content-Type: application/grpc"]);
    assert!(has(&grpc, "grpc-status: 8"), "{grpc}");
    let counted = r#"clerk_gateway_requests_total{route="/sessions/*",status="429"} 2"#;
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
    let counted = r#"clerk_gateway_rate_limited_total{route="/sessions/*",of="session"} 2"#;
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_its_rate_is_429_as_trusted_proxies_tell_it() {
    let scene = scene().await;
    let from = |address: &str| {
        let line = format!("X-Forwarded-For: {address}");
        status_of(&scene.get("/addresses/x", &[&line]))
    };
    for _ in 0..3 {
        assert_eq!(from("192.0.2.1"), 200);
    }
    assert_eq!(from("192.0.2.1"), 429);
    assert_eq!(from("192.0.2.2"), 200);
    for host in 1..=3 {
        assert_eq!(from(&format!("2001:db8::{host}")), 200);
    }
    assert_eq!(from("2001:db8::4"), 429);
    assert_eq!(scene.upstream.hits(), 7);
    let counted = r#"clerk_gateway_rate_limited_total{route="/addresses/*",of="address"} 2"#;
    assert!(scene.metrics().contains(counted), "{}", scene.metrics());
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    const ROUTE: &str =
        "[[upstream]]\nname = \"a\"\nurl = \"http://a\"\n[[route]]\npath = \"/*\"\n";
    let text = |line: &str| -> &'static str { format!("{ROUTE}{line}\n").leak() };
    assert_refused(
        "browsers",
        &[
            (
                text("cors = { origins = [\"*\"] }"),
                6,
                "route[0].cors.origins[0]",
                ["not an origin", "* is not taken"],
            ),
            (
                text("cors = { origins = [\"https://A.test\"] }"),
                6,
                "route[0].cors.origins[0]",
                ["not an origin", "lower case"],
            ),
            (
                text("cors = { origins = [] }"),
                6,
                "route[0].cors.origins",
                ["empty", "name origins"],
            ),
            (
                text("rate_limit = { per_session = \"10\" }"),
                6,
                "route[0].rate_limit.per_session",
                ["not a rate", "100/10s"],
            ),
            (
                text("rate_limit = {}"),
                6,
                "route[0].rate_limit",
                ["limits nothing", "per_session"],
            ),
            (
                text("auth = \"none\"\nrate_limit = { per_session = \"1/1s\" }"),
                7,
                "route[0].rate_limit.per_session",
                ["no session", "per_address"],
            ),
        ],
    );
}
