//! HTTP/2 by prior knowledge.

use crate::support::{
    process::raw,
    programs::curl,
    scene::{Scene, Setting},
    upstream::Upstream,
};

async fn scene() -> Scene {
    let setting = Setting {
        server: "h2c = true\nhandshake_timeout = \"500ms\"",
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_by_prior_knowledge_stands_beside_http1() {
    let scene = scene().await;
    let url = format!("http://{}/app/x", scene.address);
    let bearer = scene.bearer();
    for (flag, version) in [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")] {
        let written = "%{http_version} %{response_code}";
        let said = curl(&[flag, "-H", &bearer, "-o", "/dev/null", "-w", written, &url]);
        assert_eq!(said, (true, format!("{version} 200")));
        assert_eq!(scene.upstream.header("x-clerk-user-id").len(), 1);
        assert_eq!(
            scene.upstream.header("x-forwarded-host"),
            [scene.address.to_string()]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_in_several_http2_fields_are_one() {
    let scene = scene().await;
    let url = format!("http://{}/forward/x", scene.address);
    let session = format!("Cookie: __session={}", scene.sandbox.session_token());
    let flag = "--http2-prior-knowledge";
    let written = "%{response_code}";
    let said = curl(&[
        flag,
        "-H",
        "Cookie: a=b",
        "-H",
        &session,
        "-o",
        "/dev/null",
        "-w",
        written,
        &url,
    ]);
    assert_eq!(said, (true, "200".to_owned()));
    let arrived = scene.upstream.header("cookie");
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    assert!(arrived[0].starts_with("a=b; __session="), "{arrived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_says_which_protocol_is_cut() {
    let scene = scene().await;
    for first in ["", "P", "PRI * HTT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        // `raw` waits 20 s for the end at the most; what it reads can only be HTTP/2 frames.
        let answer = raw(scene.address, first.as_bytes());
        assert!(!answer.contains("HTTP/1.1 200"), "{first:?}: {answer}");
    }
    assert!(
        scene.metrics().contains("reason=\"handshake-timeout\"} 3"),
        "{}",
        scene.metrics()
    );
}
