//! What the upstream is told of a session's own claims, and which path it is asked for.

use serde_json::{Value, json};

use crate::{
    config_errors::assert_refused,
    support::{
        process::status_of,
        scene::{Scene, Setting},
        upstream::Upstream,
    },
};

const ROUTES: &str = r#"
[[route]]
path = "/text"
headers = { "X-Tier" = { claim = "metadata.tier" }, "X-User" = "user_id" }

[[route]]
path = "/json"
headers = { "X-Tier" = { claim = "metadata.tier", as = "json" } }

[[route]]
path = "/refuse"
headers = { "X-Tier" = { claim = "metadata.tier", absent = "refuse" } }

[[route]]
path = "/default"
headers = { "X-Tier" = { claim = "metadata.tier", absent = { default = "free" } } }

[[route]]
path = "/api/v1/*"
strip_prefix = "/api/v1"

[[route]]
path = "/open/*"
auth = "none"
strip_prefix = "/open"
"#;

async fn scene() -> Scene {
    let setting = Setting {
        routes: ROUTES,
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

fn ask(scene: &Scene, path: &str, tier: &Value) -> String {
    let token = scene
        .sandbox
        .mint_with(scene.sandbox.session_id(), |_, claims| {
            claims["metadata"] = json!({ "tier": tier });
        });
    let bearer = format!("Authorization: Bearer {token}");
    scene.get(path, &[&bearer, "X-Tier: forged", "x_tier: forged"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_claim_is_told_as_text_or_json() {
    let scene = scene().await;
    for (path, tier, told) in [
        ("/text", json!("gold"), vec!["gold"]),
        ("/text", json!(7), vec!["7"]),
        ("/text", json!(true), vec!["true"]),
        ("/text", json!(null), vec![]),
        ("/json", json!(["a", "\u{e9}"]), vec![r#"["a","\u00e9"]"#]),
        ("/json", json!({"b": 1, "a": 2}), vec![r#"{"a":2,"b":1}"#]),
        ("/default", json!(null), vec!["free"]),
        ("/default", json!("gold"), vec!["gold"]),
        ("/refuse", json!("gold"), vec!["gold"]),
    ] {
        let answer = ask(&scene, path, &tier);
        assert_eq!(status_of(&answer), 200, "{path} {tier}: {answer}");
        assert_eq!(scene.upstream.header("x-tier"), told, "{path} {tier}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_no_header_can_carry_is_403() {
    let scene = scene().await;
    for (path, tier, code) in [
        ("/text", json!(["gold"]), "claim-not-representable"),
        ("/text", json!({"a": 1}), "claim-not-representable"),
        (
            "/text",
            json!("a\r\nX-User: other"),
            "claim-not-representable",
        ),
        ("/text", json!("\u{e9}"), "claim-not-representable"),
        ("/default", json!([]), "claim-not-representable"),
        ("/refuse", json!(null), "claim-missing"),
    ] {
        let answer = ask(&scene, path, &tier);
        assert_eq!(status_of(&answer), 403, "{path} {tier}");
        assert!(answer.contains(code), "{path} {tier}: {answer}");
    }
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_taken_off_after_the_decision() {
    let scene = scene().await;
    let bearer = scene.bearer();
    for (target, asked) in [
        ("/api/v1/users?a=/api/v1", "/users?a=/api/v1"),
        ("/api/v1", "/"),
        ("/api/v1/", "/"),
        ("/api/v1/api/v1", "/api/v1"),
        ("/%61pi/v1/x", "/x"),
        ("/open/api/v1/x", "/api/v1/x"),
    ] {
        assert_eq!(status_of(&scene.get(target, &[&bearer])), 200, "{target}");
        let line = format!("GET {asked} HTTP/1.1");
        assert_eq!(
            scene.upstream.last().lines().next(),
            Some(&*line),
            "{target}"
        );
    }
    let hits = scene.upstream.hits();
    for (target, status) in [
        ("/api/v1/users", 401),
        ("/open/../api/v1/x", 400),
        ("/open//api/v1/x", 400),
        ("/open/..%2fapi", 400),
        ("/openapi", 404),
    ] {
        assert_eq!(status_of(&scene.get(target, &[])), status, "{target}");
    }
    assert_eq!(scene.upstream.hits(), hits);
}

#[test]
fn outputs_that_cannot_be_are_errors() {
    const ROUTE: &str =
        "[[upstream]]\nname = \"a\"\nurl = \"http://a\"\n[[route]]\npath = \"/api/*\"\n";
    let text = |line: &str| -> &'static str { format!("{ROUTE}{line}\n").leak() };
    assert_refused(
        "outputs",
        &[
            (
                text("headers = { X-A = \"usr_id\" }"),
                6,
                "route[0].headers.X-A",
                ["usr_id", "user_id"],
            ),
            (
                text("headers = { X-A = { claim = \"a..b\" } }"),
                6,
                "route[0].headers.X-A.claim",
                ["empty name", "metadata.tier"],
            ),
            (
                text("headers = { X-A = { claim = \"a\", absent = \"skip\" } }"),
                6,
                "route[0].headers.X-A.absent",
                ["skip", "refuse"],
            ),
            (
                text("headers = { X-A = { claim = \"a\", absent = { default = \"a\\nb\" } } }"),
                6,
                "route[0].headers.X-A.absent.default",
                ["not a header's value", "printable"],
            ),
            (
                text("strip_prefix = \"/ap\""),
                6,
                "route[0].strip_prefix",
                ["not how the route's path begins", "segments"],
            ),
            (
                text("strip_prefix = \"/api/{x}\""),
                6,
                "route[0].strip_prefix",
                ["not a prefix", "/api"],
            ),
        ],
    );
}
