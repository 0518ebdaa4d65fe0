//! The admin port's operations, and who may ask for them.

use std::{fs, net::SocketAddr};

use crate::support::{
    process::{command, folder, get, raw, run, status_of},
    scene::{Scene, Setting},
    upstream::Upstream,
};

fn post(address: SocketAddr, target: &str, host: &str, lines: &str) -> String {
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n{lines}\r\n"
    );
    raw(address, request.as_bytes())
}

async fn networkless(server: &str) -> Scene {
    let setting = Setting {
        server,
        routes: "[[route]]\npath = \"/plain/*\"\nverify = \"networkless\"\n\n[[route]]\npath = \"/app/*\"\ntoken = { template = \"hasura\" }\n",
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_refused_at_once_in_both_modes_with_a_valid_token() {
    let scene = networkless("").await;
    for path in ["/plain/x", "/app/x"] {
        assert_eq!(scene.signed_in(path, &[]), 200);
    }
    let target = format!("/sessions/{}/revoke", scene.sandbox.session_id());
    let answer = post(scene.admin, &target, "localhost", "");
    assert_eq!(status_of(&answer), 200, "{answer}");
    assert!(answer.contains("\"clerk\":\"revoked\""), "{answer}");
    let bearer = scene.bearer();
    for path in ["/plain/x", "/app/x"] {
        let answer = scene.get(path, &[&bearer]);
        assert_eq!(status_of(&answer), 401, "{answer}");
        assert!(answer.contains("session-revoked"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_holds_here_though_clerk_fails() {
    let scene = networkless("").await;
    assert_eq!(scene.signed_in("/plain/x", &[]), 200);
    scene.sandbox.faults().errors(1.0, 500);
    let target = format!("/sessions/{}/revoke", scene.sandbox.session_id());
    let answer = post(scene.admin, &target, "localhost", "");
    assert_eq!(status_of(&answer), 502, "{answer}");
    assert_eq!(scene.signed_in("/plain/x", &[]), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_session_is_asked_for_again() {
    let scene = networkless("").await;
    for _ in 0..3 {
        assert_eq!(scene.signed_in("/app/x", &[]), 200);
    }
    let before = (
        scene.sandbox.requests("GetSession"),
        scene.sandbox.requests("CreateSessionTokenFromTemplate"),
    );
    let target = format!("/sessions/{}/evict", scene.sandbox.session_id());
    assert_eq!(status_of(&post(scene.admin, &target, "localhost", "")), 200);
    assert_eq!(scene.signed_in("/app/x", &[]), 200);
    assert!(scene.sandbox.requests("GetSession") > before.0);
    assert!(scene.sandbox.requests("CreateSessionTokenFromTemplate") > before.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_session_is_asked_for_again_however_often_it_was_asked_for() {
    let scene = Scene::start().await;
    // So often that every thread has it at hand.
    for _ in 0..40 {
        assert_eq!(scene.signed_in("/forward/x", &[]), 200);
    }
    assert_eq!(scene.sandbox.requests("GetSession"), 1);
    scene.order("evict", scene.sandbox.session_id());
    assert_eq!(scene.signed_in("/forward/x", &[]), 200);
    assert_eq!(scene.sandbox.requests("GetSession"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_not_for_browsers_foreign_hosts_or_the_public_port() {
    let scene = networkless("").await;
    for (host, lines) in [
        ("evil.test", ""),
        ("localhost", "Origin: http://evil.test\r\n"),
        ("localhost", "Sec-Fetch-Site: cross-site\r\n"),
    ] {
        let answer = post(scene.admin, "/reload", host, lines);
        assert_eq!(status_of(&answer), 403, "{host} {lines}: {answer}");
    }
    for target in ["/reload", "/metrics", "/config", "/readyz"] {
        assert_eq!(status_of(&get(scene.address, target, &[])), 404, "{target}");
    }
    assert_eq!(status_of(&get(scene.admin, "/reload", &[])), 405);
    assert_eq!(status_of(&get(scene.admin, "/nothing", &[])), 404);
    let bad = post(scene.admin, "/sessions/..%2f..%2fx/evict", "localhost", "");
    assert_eq!(status_of(&bad), 400, "{bad}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_file_operations_need_the_token_and_the_command_sends_it() {
    let file = folder().join("token");
    fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let scene = networkless(&format!("admin_token_file = \"{}\"", file.display())).await;
    let refused = post(scene.admin, "/reload", "localhost", "");
    assert_eq!(status_of(&refused), 401, "{refused}");
    assert!(
        refused.to_lowercase().contains("www-authenticate: bearer"),
        "{refused}"
    );
    let bearer = "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n";
    assert_eq!(
        status_of(&post(scene.admin, "/reload", "localhost", bearer)),
        200
    );
    let url = format!("http://{}", scene.admin);
    let id = scene.sandbox.session_id();
    let (status, _, said) = run(command().args(["sessions", "revoke", id, "--admin", &url]));
    assert_eq!(status, Some(1), "{said}");
    let mut with = command();
    with.args([
        "sessions",
        "revoke",
        id,
        "--admin",
        &url,
        "--admin-token-file",
    ]);
    let (status, out, said) = run(with.arg(&file));
    assert_eq!(status, Some(0), "{said}");
    assert!(out.contains("\"revoked\":true"), "{out}");
    assert_eq!(scene.signed_in("/plain/x", &[]), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_shown_without_its_secrets() {
    let scene = networkless("").await;
    let page = get(scene.admin, "/config", &[]);
    assert!(
        page.contains("server.max_streams") && page.contains("# default"),
        "{page}"
    );
    assert!(
        page.to_lowercase().contains("cache-control: no-store"),
        "{page}"
    );
    assert!(!page.contains(scene.sandbox.secret_key()), "{page}");
    assert!(
        page.contains("clerk.secret_key") && page.contains("(set)"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_an_upstream_without_a_healthy_instance() {
    let setting = Setting {
        upstream: "url = \"http://127.0.0.1:1\"\nhealth = { path = \"/\", interval = \"20ms\" }",
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let page = get(scene.admin, "/readyz", &[]);
        if page.contains("upstream-unhealthy: app") {
            assert_eq!(status_of(&page), 503);
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{page}");
    }
}
