//! What a route requires of a session, each with its own reason.

use serde_json::json;

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
path = "/feature"
require = { feature = "o:dashboard" }

[[route]]
path = "/plan"
require = { plan = "pro" }

[[route]]
path = "/self"
require = { impersonation = "deny" }

[[route]]
path = "/fresh"
require = { reverified_within = "10m" }

[[route]]
path = "/any"
require = { any = [{ role = "org:owner" }, { plan = "u:pro", feature = "u:rare" }] }

[[route]]
path = "/all"
require = { all = [{ role = "org:admin" }, { plan = "u:pro" }], impersonation = "deny" }
"#;

/// The status, and the reason where it is a refusal's.
fn verdict(scene: &Scene, path: &str, claims: &serde_json::Value) -> (u16, bool) {
    let token = scene
        .sandbox
        .mint_with(scene.sandbox.session_id(), |_, all| {
            for (name, value) in claims.as_object().unwrap() {
                all[name] = value.clone();
            }
        });
    let answer = scene.get(path, &[&format!("Authorization: Bearer {token}")]);
    let status = status_of(&answer);
    let reasons = [
        ("/feature", "feature-missing"),
        ("/plan", "plan-missing"),
        ("/self", "impersonation-denied"),
        ("/fresh", "reverification-required"),
        ("/any", "requirements-not-met"),
        ("/all", "-missing"),
    ];
    let reason = reasons.iter().find(|(of, _)| *of == path).unwrap().1;
    (status, status == 200 || answer.contains(reason))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_requirement_is_met_by_its_own_claim_alone() {
    let setting = Setting {
        routes: ROUTES,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    for (path, claims, status) in [
        ("/feature", json!({"fea": "u:x,o:dashboard"}), 200),
        ("/feature", json!({"fea": "u:dashboard"}), 403),
        ("/feature", json!({"fea": ["o:dashboard"]}), 403),
        ("/plan", json!({"pla": "o:pro"}), 200),
        ("/plan", json!({"pla": "o:pro2"}), 403),
        ("/plan", json!({"pla": "pro"}), 403),
        ("/plan", json!({}), 403),
        ("/self", json!({}), 200),
        ("/self", json!({"act": {"sub": "user_2"}}), 403),
        ("/fresh", json!({"fva": [0, -1]}), 200),
        ("/fresh", json!({"fva": [-1, 8]}), 200),
        ("/fresh", json!({"fva": [10, -1]}), 403),
        ("/fresh", json!({"fva": [-1, -1]}), 403),
        ("/fresh", json!({"fva": "0,0"}), 403),
        ("/any", json!({"pla": "u:pro", "fea": "u:rare"}), 200),
        ("/any", json!({"pla": "u:pro"}), 403),
        ("/all", json!({"pla": "u:pro"}), 200),
        ("/all", json!({"pla": "o:pro"}), 403),
    ] {
        assert_eq!(
            verdict(&scene, path, &claims),
            (status, true),
            "{path} {claims}"
        );
    }
    let impersonated = json!({"pla": "u:pro", "act": {"sub": "user_2"}});
    assert_eq!(verdict(&scene, "/all", &impersonated).0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_ages_with_the_token_that_tells_of_it() {
    let setting = Setting {
        routes: ROUTES,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let aged = |secs: i64| {
        let id = scene.sandbox.session_id();
        let token = scene.sandbox.mint_with(id, |_, claims| {
            claims["fva"] = json!([7, -1]);
            for name in ["iat", "nbf"] {
                claims[name] = json!(claims["iat"].as_i64().unwrap() - secs);
            }
            claims["exp"] = json!(claims["iat"].as_i64().unwrap() + 3600);
        });
        status_of(&scene.get("/fresh", &[&format!("Authorization: Bearer {token}")]))
    };
    assert_eq!(aged(0), 200);
    assert_eq!(aged(180), 403);
}

#[test]
fn requirements_that_cannot_be_meant_are_errors() {
    const ROUTE: &str =
        "[[upstream]]\nname = \"a\"\nurl = \"http://a\"\n[[route]]\npath = \"/*\"\n";
    let text = |line: &str| -> &'static str { format!("{ROUTE}{line}\n").leak() };
    assert_refused(
        "require",
        &[
            (
                text("require = { plan = \"org:pro\" }"),
                6,
                "route[0].require.plan",
                ["scope", "write u:"],
            ),
            (
                text("require = { impersonation = \"allow\" }"),
                6,
                "route[0].require.impersonation",
                ["allow", "deny"],
            ),
            (
                text("require = { reverified_within = \"30s\" }"),
                6,
                "route[0].require.reverified_within",
                ["whole minutes", "2m"],
            ),
            (
                text("require = { any = [] }"),
                6,
                "route[0].require.any",
                ["empty", "remove"],
            ),
            (
                text("require = { any = [{ role = \"org:a\" }, {}] }"),
                6,
                "route[0].require.any[1]",
                ["nothing", "name a role"],
            ),
        ],
    );
}
