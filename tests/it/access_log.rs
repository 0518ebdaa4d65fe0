//! The access log and what connects its lines with others'.

use std::fs;

use serde_json::Value;

use crate::support::{
    process::{folder, get, raw, status_of},
    scene::{Scene, Setting},
    upstream::Upstream,
};

const ROUTES: &str =
    "[[route]]\npath = \"/public/*\"\nauth = \"none\"\n\n[[route]]\npath = \"/app/*\"\n";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Logged {
    scene: Scene,
    file: std::path::PathBuf,
}

impl Logged {
    async fn start(format: &str, server: &str) -> Self {
        let file = folder().join("access");
        let lines = format!(
            "{server}\n[log]\naccess = \"{}\"\naccess_format = \"{format}\"\n",
            file.display()
        );
        let setting = Setting {
            server: &lines,
            routes: ROUTES,
            ..Setting::default()
        };
        let scene = Scene::set(Upstream::start(), setting).await;
        Self { scene, file }
    }

    /// The lines, once the gateway has ended and written all of them.
    fn lines(mut self) -> Vec<String> {
        self.scene.gateway.signal("TERM");
        assert_eq!(self.scene.gateway.status(), Some(0));
        let text = fs::read_to_string(&self.file).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_a_json_line_without_query_or_credential() {
    let logged = Logged::start("json", "").await;
    let bearer = logged.scene.bearer();
    let trace = format!("traceparent: {TRACE}");
    let lines = [bearer.as_str(), &trace, "User-Agent: a\tb"];
    get(logged.scene.address, "/app/x?token=secret", &lines);
    get(logged.scene.address, "/app/y", &[]);
    get(logged.scene.address, "/nowhere", &[]);
    let token = logged.scene.sandbox.session_token().to_owned();
    let lines = logged.lines();
    let entries: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(entries.len(), 3);
    let first = &entries[0];
    assert_eq!(first["method"], "GET");
    assert_eq!(first["path"], "/app/x");
    assert_eq!(first["host"], "gw.test");
    assert_eq!(first["route"], "/app/*");
    assert_eq!(first["status"], 200);
    assert_eq!(first["client"], "127.0.0.1");
    assert_eq!(first["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(first["user_agent"], "a\tb");
    assert!(first["duration_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (&entries[1]["status"], &entries[1]["reason"]),
        (&401.into(), &"session-token-missing".into())
    );
    assert_eq!(
        (&entries[2]["status"], &entries[2]["reason"]),
        (&404.into(), &"route-not-found".into())
    );
    let all = lines.concat();
    assert!(!all.contains("secret") && !all.contains(&token), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_one_line_whatever_is_asked() {
    for format in ["json", "text"] {
        let logged = Logged::start(format, "").await;
        for target in ["/%0a%1b[31m", "/a%0d%0aGET", "/\"quoted\"", "/caf\u{e9}"] {
            let request = format!(
                "GET {target} HTTP/1.1\r\nHost: gw.test\r\nUser-Agent: \"}}\\\r\nConnection: close\r\n\r\n"
            );
            raw(logged.scene.address, request.as_bytes());
        }
        let lines = logged.lines();
        // What hyper refuses by itself never was a request.
        assert!((2..=4).contains(&lines.len()), "{lines:?}");
        assert!(
            lines.iter().all(|line| !line.contains('\u{1b}')),
            "{lines:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_and_clients_are_believed_of_trusted_proxies_alone() {
    let lines = ["X-Request-Id: from-the-proxy", "X-Forwarded-For: 192.0.2.7"];
    for (server, id, client) in [
        ("trusted_proxies = [\"127.0.0.0/8\"]", true, "192.0.2.7"),
        ("", false, "127.0.0.1"),
    ] {
        let logged = Logged::start("json", server).await;
        let answer = get(logged.scene.address, "/public/x", &lines);
        assert_eq!(status_of(&answer), 200);
        assert_eq!(
            answer.contains("x-request-id: from-the-proxy"),
            id,
            "{answer}"
        );
        let told = logged.scene.upstream.header("x-request-id");
        assert_eq!(told == ["from-the-proxy"], id, "{told:?}");
        let entries = logged.lines();
        let entry: Value = serde_json::from_str(&entries[0]).unwrap();
        assert_eq!(entry["request_id"] == "from-the-proxy", id);
        assert_eq!(entry["client"], client);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_context_is_passed_on_and_a_malformed_one_dropped() {
    let scene = Scene::start().await;
    for (sent, passed) in [(TRACE, vec![TRACE]), ("00-xyz", vec![])] {
        let line = format!("traceparent: {sent}");
        assert_eq!(
            status_of(&scene.get("/public/x", &[&line, "tracestate: a=b"])),
            200
        );
        assert_eq!(scene.upstream.header("traceparent"), passed);
        assert_eq!(scene.upstream.header("tracestate").len(), passed.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_tell_of_stages_caches_clerk_and_keys() {
    let scene = Scene::start().await;
    for _ in 0..3 {
        assert_eq!(scene.signed_in("/owners/x", &[]), 403);
        assert_eq!(scene.signed_in("/app/x", &[]), 200);
    }
    let page = scene.metrics();
    for line in [
        "clerk_gateway_decisions_total{route=\"/app/*\",outcome=\"allow\",reason=\"\"} 3",
        "clerk_gateway_decisions_total{route=\"/owners/*\",outcome=\"refuse\",reason=\"role-missing\"} 3",
        "clerk_gateway_decide_seconds_count 6",
        "clerk_gateway_request_seconds_count 6",
        "clerk_gateway_upstream_seconds_count 3",
        "clerk_gateway_token_age_seconds_count 3",
        "clerk_gateway_token_cache_total{result=\"hit\"}",
        "clerk_gateway_session_cache_total{result=\"miss\"} 1",
        "clerk_gateway_jwks_age_seconds ",
        "clerk_gateway_clerk_budget_left 8",
        "clerk_gateway_clerk_held_back_seconds 0",
        "clerk_gateway_build_info{version=\"",
        "clerk_gateway_upstream_requests_total{upstream=\"app\",outcome=\"answered\"} 3",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}
