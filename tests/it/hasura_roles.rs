//! Hasura in JWT mode behind a route: the role that a caller wishes for, and nothing else of Hasura's.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clerk_gateway::sandbox::{Sandbox, SeedTemplate};
use serde_json::{Value, json};

use crate::support::{
    process::{exchange, free_address, status_of},
    scene::{Scene, Setting},
    upstream::Upstream,
};

const ROUTES: &str = r#"
[[route]]
path = "/optional/*"
auth = "optional"
hasura = true
token = { template = "roles" }

[[route]]
path = "/plain/*"
token = { template = "roles" }

[[route]]
path = "/none/*"
hasura = true
token = { template = "no-claims" }

[[route]]
path = "/text/*"
hasura = true
token = { template = "stringified", header = "X-Upstream-Token" }

[[route]]
path = "/v1/*"
hasura = true
token = { template = "roles" }
"#;

const CLAIMS: &str = "https://hasura.io/jwt/claims";

async fn scene() -> Scene {
    scene_with("").await
}

/// Starts with more lines of `[server]`, and sections after it.
async fn scene_with(server: &str) -> Scene {
    let setting = Setting {
        server,
        routes: ROUTES,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let roles = json!({
        "X-Hasura-Allowed-Roles": ["user", "editor"],
        "X-Hasura-Default-Role": "user",
        "X-Hasura-User-Id": "{{user.id}}",
    });
    for (name, claims) in [
        ("roles", json!({ CLAIMS: roles })),
        ("stringified", json!({ CLAIMS: roles.to_string() })),
        ("no-claims", json!({ "role": "user" })),
    ] {
        let Value::Object(claims) = claims else {
            unreachable!("it is an object")
        };
        scene.sandbox.create_template(SeedTemplate {
            name: name.to_owned(),
            claims,
            ..SeedTemplate::default()
        });
    }
    scene
}

fn ask(scene: &Scene, path: &str, lines: &[&str]) -> (u16, String) {
    let bearer = scene.bearer();
    let lines: Vec<_> = lines.iter().copied().chain([bearer.as_str()]).collect();
    let answer = scene.get(path, &lines);
    (status_of(&answer), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wished_role_passes_only_where_the_token_allows_it() {
    let scene = scene().await;
    for (path, lines, passes) in [
        (
            "/v1/graphql",
            &["X-Hasura-Role: user"][..],
            Ok(&["user"][..]),
        ),
        ("/v1/graphql", &["x-hasura-role: editor"], Ok(&["editor"])),
        ("/v1/graphql", &["X-HASURA-ROLE:  editor "], Ok(&["editor"])),
        ("/text/x", &["X-Hasura-Role: editor"], Ok(&["editor"])),
        ("/v1/graphql", &[], Ok(&[])),
        ("/none/x", &[], Ok(&[])),
        (
            "/v1/graphql",
            &["X-Hasura-Role: admin"],
            Err((403, "hasura-role-not-allowed")),
        ),
        (
            "/v1/graphql",
            &["X-Hasura-Role: Editor"],
            Err((403, "hasura-role-not-allowed")),
        ),
        (
            "/v1/graphql",
            &["X-Hasura-Role: user,admin"],
            Err((403, "hasura-role-not-allowed")),
        ),
        (
            "/v1/graphql",
            &["X-Hasura-Role:"],
            Err((403, "hasura-role-not-allowed")),
        ),
        (
            "/v1/graphql",
            &["X-Hasura-Role: {{user.id}}"],
            Err((403, "hasura-role-not-allowed")),
        ),
        (
            "/none/x",
            &["X-Hasura-Role: user"],
            Err((403, "hasura-role-not-allowed")),
        ),
        (
            "/v1/graphql",
            &["X-Hasura-Role: user", "x-hasura-role: editor"],
            Err((400, "hasura-role-repeated")),
        ),
        (
            "/v1/graphql",
            &["X-Hasura-Role: user", "X-Hasura-Role: user"],
            Err((400, "hasura-role-repeated")),
        ),
    ] {
        let before = scene.upstream.hits();
        let (status, answer) = ask(&scene, path, lines);
        match passes {
            Ok(roles) => {
                assert_eq!(status, 200, "{path} {lines:?}: {answer}");
                assert_eq!(
                    scene.upstream.header("x-hasura-role"),
                    roles,
                    "{path} {lines:?}"
                );
            }
            Err((refused, code)) => {
                assert_eq!(status, refused, "{path} {lines:?}: {answer}");
                assert!(answer.contains(code), "{path} {lines:?}: {answer}");
                assert_eq!(scene.upstream.hits(), before, "{path} {lines:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_of_hasuras_passes_in_any_spelling() {
    let scene = scene().await;
    let forged = [
        "X-Hasura-User-Id: evil",
        "x_hasura_user_id: evil",
        "X.Hasura.Role: evil",
        "X_Hasura_Role: evil",
        "x-hasura_role: evil",
        "X-Hasura-Admin-Secret: evil",
        "X-Hasura-Allowed-Roles: evil",
        "Connection: x-hasura-role",
    ];
    let wish = "X-Hasura-Role: editor";
    let (status, answer) = ask(&scene, "/v1/graphql", &[&forged[..], &[wish]].concat());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(scene.upstream.header("x-hasura-role"), ["editor"]);
    assert!(!scene.upstream.last().contains("evil"));
    // Without the one spelling that counts there is no wish.
    let (status, answer) = ask(&scene, "/v1/graphql", &forged);
    assert_eq!(status, 200, "{answer}");
    assert!(scene.upstream.header("x-hasura-role").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_hasura_true_no_role_passes() {
    let scene = scene().await;
    for lines in [
        &["X-Hasura-Role: editor"][..],
        &["X-Hasura-Role: user", "X-Hasura-Role: admin"],
    ] {
        let (status, answer) = ask(&scene, "/plain/x", lines);
        assert_eq!(status, 200, "{answer}");
        assert!(scene.upstream.header("x-hasura-role").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_out_no_role_can_be_wished_for() {
    let scene = scene().await;
    assert_eq!(status_of(&scene.get("/optional/x", &[])), 200);
    let answer = scene.get("/optional/x", &["X-Hasura-Role: anonymous"]);
    assert_eq!(status_of(&answer), 403, "{answer}");
    let answer = scene.get("/v1/graphql", &["X-Hasura-Role: user"]);
    assert_eq!(status_of(&answer), 401, "{answer}");
    assert_eq!(scene.upstream.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ready_made_template_has_what_hasura_asks_for() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let token = sandbox.template_token(sandbox.session_id(), "hasura");
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap());
    let claims: Value = serde_json::from_slice(&payload.unwrap()).unwrap();
    let hasura = claims[CLAIMS].as_object().unwrap();
    let roles = hasura["x-hasura-allowed-roles"].as_array().unwrap();
    assert!(!roles.is_empty() && roles.iter().all(Value::is_string));
    assert!(roles.contains(&hasura["x-hasura-default-role"]));
    // Hasura reads no other variable that is not text.
    let mut others = hasura
        .iter()
        .filter(|(name, _)| *name != "x-hasura-allowed-roles");
    assert!(others.all(|(name, value)| name.starts_with("x-hasura-") && value.is_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_by_decision_is_told_of_the_role_or_that_there_is_none() {
    let decisions = free_address();
    let scene = scene_with(&format!("[decision]\nlisten = \"{decisions}\"\n")).await;
    let bearer = scene.bearer();
    let ask = |wish: &[&str]| {
        let told = [
            "X-Original-Method: GET",
            "X-Original-URI: /v1/graphql",
            "X-Forwarded-Host: gw.test",
            "X-Forwarded-Proto: https",
            "X-Forwarded-For: 192.0.2.1",
            &bearer,
        ];
        let lines = [&told[..], wish].concat().join("\r\n");
        let head = "GET /nginx HTTP/1.1\r\nHost: gw.test\r\nConnection: close";
        exchange(decisions, format!("{head}\r\n{lines}\r\n\r\n").as_bytes())
    };
    for (wish, status, role) in [
        (
            &["X-Hasura-Role: editor"][..],
            200,
            "x-hasura-role: editor\r\n",
        ),
        (&[], 200, "x-hasura-role: \r\n"),
        (&["X_Hasura_Role: admin"], 200, "x-hasura-role: \r\n"),
        (&["X_Hasura_Role: admin"], 200, "x_hasura_role: \r\n"),
        (&["X-Hasura-User-Id: evil"], 200, "x-hasura-user-id: \r\n"),
        (
            &["X-Hasura-Role: admin"],
            403,
            "x-clerk-auth-reason: hasura-role-not-allowed\r\n",
        ),
        (
            &["X-Hasura-Role: user", "X-Hasura-Role: editor"],
            403,
            "x-clerk-auth-reason: hasura-role-repeated\r\n",
        ),
    ] {
        let answer = ask(wish);
        // Tokens are in answers of this kind; what is said here is not.
        assert_eq!(status_of(&answer), status, "{wish:?}");
        assert!(answer.contains(role), "{wish:?}: no {role}");
        assert!(
            !answer.contains(": admin\r\n") && !answer.contains("evil"),
            "{wish:?}"
        );
    }
}
