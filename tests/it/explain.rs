//! `explain` and `check --online`: what they say, and what their status is.

use std::process::Command;

use serde_json::Value;

use crate::support::{
    process::{command, folder, run},
    scene::{Scene, Setting},
    upstream::Upstream,
};

const ROUTES: &str = r#"
[[route]]
path = "/public/*"
auth = "none"

[[route]]
path = "/owners/*"
require = { role = "org:owner" }

[[route]]
path = "/app/*"
methods = ["GET"]
token = { template = "hasura" }
hasura = true
strip_prefix = "/app"
"#;

async fn scene() -> Scene {
    let setting = Setting {
        routes: ROUTES,
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

fn explain(scene: &Scene, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command();
    command.arg("explain").args(arguments);
    command.arg("-c").arg(&scene.file);
    command.env("CLERK_SECRET_KEY", scene.sandbox.secret_key());
    let (status, said, _) = run(&mut command);
    (status, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_status_0_with_the_head_that_the_upstream_would_get() {
    let scene = scene().await;
    let token = scene.sandbox.session_token();
    let url = "http://gw.test/app/users?a=b";
    let headers = ["-H", "X-Clerk-User-Id: forged", "-H", "Accept: text/html"];
    let arguments = [&["GET", url, "--token", token], &headers[..]].concat();
    let (status, said) = explain(&scene, &arguments);
    assert_eq!(status, Some(0), "{said}");
    for line in [
        "request    GET /app/users",
        "route      route[2] GET /app/*",
        "upstream   app",
        "credential session token in Authorization: Bearer",
        "decision   allow",
        "forwarded  GET /users?a=b",
        "           accept: text/html",
        "           authorization: (redacted)",
    ] {
        assert!(said.lines().any(|own| own == line), "{line} in\n{said}");
    }
    let user = format!("x-clerk-user-id: {}", scene.sandbox.user_id());
    assert!(said.contains(&user) && !said.contains("forged"), "{said}");
    assert!(!said.contains("eyJ"), "{said}");
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_status_1_with_the_check_and_the_reason() {
    let scene = scene().await;
    let token = scene.sandbox.session_token();
    for (arguments, stage, code, http) in [
        (
            vec!["GET", "/nowhere"],
            "the routes",
            "route-not-found",
            404,
        ),
        (vec!["POST", "/app/x"], "the routes", "route-not-found", 404),
        (
            vec!["GET", "/public/%2e%2e/app"],
            "the canonical request",
            "request-ambiguous-path",
            400,
        ),
        (
            vec!["GET", "/app/x"],
            "the credential",
            "session-token-missing",
            401,
        ),
        (
            vec!["GET", "/app/x", "--token", "a.b.c"],
            "verification",
            "token-invalid",
            401,
        ),
        (
            vec!["GET", "/owners/x", "--token", token],
            "the policy",
            "role-missing",
            403,
        ),
        (
            vec![
                "GET",
                "/app/x",
                "--token",
                token,
                "-H",
                "X-Hasura-Role: admin",
            ],
            "the wished role",
            "hasura-role-not-allowed",
            403,
        ),
    ] {
        let (status, said) = explain(&scene, &[&arguments[..], &["--json"]].concat());
        assert_eq!(status, Some(1), "{arguments:?}: {said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["decision"], "refuse");
        let refusal = &said["refusal"];
        assert_eq!(refusal["stage"], stage, "{arguments:?}: {said}");
        assert_eq!(refusal["status"], http, "{said}");
        assert!(
            refusal["code"].as_str().unwrap().starts_with(code),
            "{said}"
        );
    }
    let (status, said) = explain(&scene, &["GET", "/public/x"]);
    assert_eq!(status, Some(0));
    assert!(said.contains("credential not looked for"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_explained_offline_where_the_key_is_local() {
    let scene = scene().await;
    let folder = folder();
    let token = folder.join("token");
    std::fs::write(&token, format!("{}\n", scene.sandbox.session_token())).unwrap();
    let offline = |url: &str| -> Command {
        let mut command = command();
        command.args(["explain", "GET", url, "--upstream", "http://127.0.0.1:9"]);
        command.args(["--verify", "networkless", "--api-url", "http://127.0.0.1:9"]);
        command.arg("--token-file").arg(&token);
        command.env("CLERK_PUBLISHABLE_KEY", scene.sandbox.publishable_key());
        command.env("CLERK_JWT_KEY", scene.sandbox.jwt_key());
        command
    };
    let (status, said, errors) = run(&mut offline("https://gw.test/x"));
    assert_eq!(status, Some(0), "{said}{errors}");
    assert!(said.contains("x-forwarded-proto: https"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_that_is_bad_is_status_2() {
    let scene = scene().await;
    for arguments in [
        &["GET", "http://"][..],
        &["G T", "/x"],
        &["GET", "/x", "-H", "nonsense"],
        &["GET", "/x", "--token-file", "/nonexistent/token"],
    ] {
        assert_eq!(explain(&scene, arguments).0, Some(2), "{arguments:?}");
    }
}

fn check_online(scene: &Scene, key: &str) -> (Option<i32>, String) {
    let mut command = command();
    command.args(["check", "--online", "-c"]).arg(&scene.file);
    command.env("CLERK_SECRET_KEY", key);
    let (status, _, said) = run(&mut command);
    (status, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_online_check_asks_for_keys_secret_and_templates() {
    let scene = scene().await;
    let (status, said) = check_online(&scene, scene.sandbox.secret_key());
    assert_eq!(status, Some(0), "{said}");
    for part in [
        "good: the keys",
        "good: Clerk accepts the secret key",
        "good: route[2].token: Clerk has the template \"hasura\"",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    let (status, said) = check_online(&scene, "sk_test_another");
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("error: Clerk refuses the secret key"),
        "{said}"
    );
    assert!(said.contains("unknown: route[2].token"), "{said}");
    assert!(!said.contains("sk_test_another"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_online_check_finds_a_template_that_is_not_there() {
    let routes = "[[route]]\npath = \"/*\"\ntoken = { template = \"hasrua\" }\n";
    let setting = Setting {
        routes,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let (status, said) = check_online(&scene, scene.sandbox.secret_key());
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("no JWT template named \"hasrua\""), "{said}");
    assert!(
        said.contains("it has: ") && said.contains("hasura"),
        "{said}"
    );
}

#[test]
fn what_shows_only_when_it_is_set_up_is_found_by_check() {
    let folder = folder();
    let file = folder.join("gateway.toml");
    let text = "[clerk]\nissuer = \"https://clerk.test\"\njwt_key = \"no key\"\n\
                [session]\nverify = \"networkless\"\n\
                [[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:9\"\n";
    std::fs::write(&file, text).unwrap();
    let mut command = command();
    command.args(["check", "-c"]).arg(&file);
    let (status, _, said) = run(&mut command);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("clerk.jwt_key"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_a_server_may_fold_into_another_routes_is_refused_with_that_cause() {
    let setting = Setting {
        routes: "[[route]]\npath = \"/*\"\nauth = \"none\"\n[[route]]\npath = \"/admin/*\"\n",
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let (status, said) = explain(&scene, &["GET", "/ADMIN/x"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("request-ambiguous-path"), "{said}");
    assert!(said.contains("another route"), "{said}");
    assert_eq!(explain(&scene, &["GET", "/ADMINS/x"]).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_the_gateways_own_is_named_and_nothing_is_done() {
    let setting = Setting {
        server: "[sign_out]\npath = \"/-/sign-out\"",
        routes: ROUTES,
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let token = scene.sandbox.session_token();
    for path in ["/-/sign-out", "/-/sign%2Dout"] {
        let (status, said) = explain(&scene, &["POST", path, "--token", token]);
        assert_eq!(status, Some(0), "{said}");
        assert!(
            said.contains("the gateway's own endpoint, sign-out"),
            "{said}"
        );
    }
    let session = scene.sandbox.session(scene.sandbox.session_id()).unwrap();
    assert_eq!(session.status.as_str(), "active");
}
