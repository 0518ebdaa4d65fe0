//! Every refusal in the form that its client understands.

use crate::support::{
    process::{raw, status_of},
    programs::curl,
    scene::{Scene, Setting},
    upstream::Upstream,
};

const ROUTES: &str = r#"
[[route]]
path = "/own/*"
host = "app.test"
sign_in_url = "https://own.test/in"

[[route]]
path = "/owners/*"
require = { role = "org:owner" }

[[route]]
path = "/*"
"#;

const NAVIGATION: [&str; 2] = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];

async fn scene() -> Scene {
    let setting = Setting {
        clerk: "authorized_parties = [\"http://gw.test\"]\nallow_missing_azp = true\n\
                [session]\nsign_in_url = \"https://accounts.test/sign-in\"",
        server: "h2c = true",
        routes: ROUTES,
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let lines = answer.lines().map_while(|line| match line {
        "" => None,
        line => Some(line),
    });
    lines
        .filter_map(|line| line.split_once(": "))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

fn send(scene: &Scene, line: &str, host: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n");
    raw(scene.address, request.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_out_navigation_is_sent_to_sign_in_and_back() {
    let scene = scene().await;
    let answer = send(&scene, "GET /a/%61?b=c&d", "gw.test", &NAVIGATION);
    assert_eq!(status_of(&answer), 302, "{answer}");
    assert_eq!(
        header(&answer, "location"),
        Some("https://accounts.test/sign-in?redirect_url=http%3A%2F%2Fgw.test%2Fa%2Fa%3Fb%3Dc%26d")
    );
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    let vary = header(&answer, "vary").unwrap();
    assert!(vary.contains("sec-fetch-mode") && vary.contains("sec-fetch-dest"));
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_knows_of_its_users_sign_out_is_sent_to_sign_in() {
    let scene = scene().await;
    let token = scene.sandbox.session_token();
    let in_2096 = 4_000_000_000_u32.to_string();
    for client_uat in ["0", &in_2096] {
        let cookie = format!("Cookie: __session={token}; __client_uat={client_uat}");
        let lines = [&NAVIGATION[..], &[cookie.as_str()]].concat();
        let answer = send(&scene, "GET /a", "gw.test", &lines);
        assert_eq!(status_of(&answer), 302, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_ours_is_no_place_to_come_back_to() {
    let scene = scene().await;
    for host in ["evil.test", "gw.test:81", "gw.test.evil.test"] {
        let answer = send(&scene, "GET /a", host, &NAVIGATION);
        let location = header(&answer, "location");
        assert_eq!(location, Some("https://accounts.test/sign-in"), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_have_a_sign_in_page_of_its_own() {
    let scene = scene().await;
    let answer = send(&scene, "GET /own/x", "app.test", &NAVIGATION);
    let expected = "https://own.test/in?redirect_url=http%3A%2F%2Fapp.test%2Fown%2Fx";
    assert_eq!(header(&answer, "location"), Some(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_navigation_or_not_merely_signed_out_is_a_problem() {
    let scene = scene().await;
    let page = NAVIGATION;
    let bearer = scene.bearer();
    for (line, lines, status) in [
        ("GET /a", vec!["Accept: text/html"], 401),
        (
            "GET /a",
            vec!["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
            401,
        ),
        ("POST /a", page.to_vec(), 401),
        (
            "GET /a",
            vec![page[0], page[1], "Authorization: Bearer x.y.z"],
            401,
        ),
        ("GET /owners/a", vec![page[0], page[1], &bearer], 403),
        ("GET /a//b", page.to_vec(), 400),
    ] {
        let answer = send(&scene, line, "gw.test", &lines);
        assert_eq!(status_of(&answer), status, "{line} {lines:?}");
        let content_type = header(&answer, "content-type");
        assert_eq!(content_type, Some("application/problem+json"));
        assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_gets_its_own_status_and_no_body() {
    let scene = scene().await;
    let bearer = scene.bearer();
    for (path, lines, status, reason) in [
        ("/pkg.Service/Call", vec![], "16", "session-token-missing"),
        ("/owners/x", vec![bearer.as_str()], "7", "role-missing"),
        ("/a//b", vec![], "3", "request-ambiguous-path"),
    ] {
        let lines = [&lines[..], &["Content-Type: application/grpc+proto"]].concat();
        let answer = send(&scene, &format!("POST {path}"), "gw.test", &lines);
        assert_eq!(status_of(&answer), 200, "{answer}");
        assert_eq!(header(&answer, "grpc-status"), Some(status), "{path}");
        assert_eq!(header(&answer, "grpc-message"), Some(reason));
        assert_eq!(
            header(&answer, "content-type"),
            Some("application/grpc+proto")
        );
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_upstream_is_unavailable_to_grpc() {
    let scene = Scene::with(Upstream::start(), "http://127.0.0.1:9", "5s").await;
    let lines = ["Content-Type: application/grpc"];
    let answer = send(&scene, "POST /public/x", "gw.test", &lines);
    assert_eq!(header(&answer, "grpc-status"), Some("14"), "{answer}");
    assert_eq!(
        header(&answer, "grpc-message"),
        Some("upstream-unreachable")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl"]
async fn grpc_over_http2_is_told_in_the_head() {
    let scene = scene().await;
    let url = format!("http://{}/pkg.Service/Call", scene.address);
    let (done, said) = curl(&[
        "-i",
        "--http2-prior-knowledge",
        "-H",
        "Content-Type: application/grpc",
        "-d",
        "",
        &url,
    ]);
    assert!(done, "{said}");
    assert!(said.starts_with("HTTP/2 200"), "{said}");
    assert!(said.contains("grpc-status: 16"), "{said}");
}
