//! Signing out at the gateway: the caller's own session, and nobody else's.

use clerk_gateway::{SessionStatus, sandbox::Sandbox};

use crate::{
    cli_check::file,
    config::GOOD_ENV,
    support::{
        process::{raw, status_of},
        scene::{Scene, Setting},
        upstream::Upstream,
    },
};

const ROUTES: &str =
    "[[route]]\npath = \"/plain/*\"\nverify = \"networkless\"\n\n[[route]]\npath = \"/*\"\n";

async fn scene() -> Scene {
    let setting = Setting {
        clerk: "authorized_parties = [\"https://app.test\"]\nallow_missing_azp = true",
        server: "[sign_out]\npath = \"/-/sign-out\"",
        routes: ROUTES,
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

fn sign_out(scene: &Scene, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!(
        "POST /-/sign-out HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\nContent-Length: 0\r\n{lines}\r\n"
    );
    raw(scene.address, request.as_bytes())
}

fn status(sandbox: &Sandbox) -> SessionStatus {
    sandbox.session(sandbox.session_id()).unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_ends_the_session_it_presents_here_and_at_clerk() {
    let cookie = |scene: &Scene| format!("Cookie: __session={}", scene.sandbox.session_token());
    for (carrier, more) in [
        (Scene::bearer as fn(&Scene) -> String, ""),
        (cookie, "Origin: http://gw.test"),
        (cookie, "Origin: https://app.test"),
        (cookie, "Sec-Fetch-Site: same-origin"),
    ] {
        let scene = scene().await;
        assert_eq!(scene.signed_in("/x", &[]), 200);
        let carrier = carrier(&scene);
        let lines: Vec<_> = [carrier.as_str(), more]
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect();
        let answer = sign_out(&scene, &lines);
        assert_eq!(status_of(&answer), 204, "{more}: {answer}");
        assert_eq!(status(&scene.sandbox), SessionStatus::Revoked);
        for target in ["/plain/x", "/x"] {
            let answer = scene.get(target, &[&scene.bearer()]);
            assert_eq!(status_of(&answer), 401, "{answer}");
            assert!(answer.contains("session-revoked"), "{answer}");
        }
        assert_eq!(status_of(&sign_out(&scene, &lines)), 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_pages_other_methods_and_strangers_sign_nobody_out() {
    let scene = scene().await;
    let bearer = scene.bearer();
    let cookie = format!("Cookie: __session={}", scene.sandbox.session_token());
    for site in [
        "Origin: https://evil.test",
        "Sec-Fetch-Site: cross-site",
        "Origin: null",
    ] {
        for carrier in [&bearer, &cookie] {
            let answer = sign_out(&scene, &[carrier, site]);
            assert_eq!(status_of(&answer), 403, "{site}: {answer}");
        }
    }
    let answer = scene.get("/-/sign-out", &[&bearer]);
    assert_eq!(status_of(&answer), 405, "{answer}");
    assert_eq!(status_of(&sign_out(&scene, &[])), 401);
    let forged = format!("{bearer}x");
    assert_eq!(status_of(&sign_out(&scene, &[&forged])), 401);
    assert_eq!(status(&scene.sandbox), SessionStatus::Active);
    assert_eq!(scene.signed_in("/x", &[]), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_over_here_though_clerk_cannot_be_told() {
    let scene = scene().await;
    assert_eq!(scene.signed_in("/plain/x", &[]), 200);
    scene.sandbox.faults().errors(1.0, 500);
    let answer = sign_out(&scene, &[&scene.bearer()]);
    assert_eq!(status_of(&answer), 503, "{answer}");
    assert!(answer.contains("clerk-unavailable"), "{answer}");
    assert_eq!(scene.signed_in("/plain/x", &[]), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_out_unless_there_is_a_path() {
    let scene = Scene::start().await;
    assert_eq!(status_of(&sign_out(&scene, &[&scene.bearer()])), 404);
}

#[test]
fn bare_session_ids_are_no_reason_to_sign_anyone_out() {
    let text = "[session]\ncredentials = [{ header = \"x-session-id\" }]\nsession_id_callers = [\"127.0.0.1\"]\n\
                [sign_out]\npath = \"/-/sign-out\"\n[[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000\"\n";
    let file = file("sign-out.toml", text);
    let run = crate::cli_check::run(&["check", "-c", &file], &GOOD_ENV);
    assert_eq!(run.status, 2, "{}", run.stderr);
    assert!(run.stderr.contains("sign_out.path"), "{}", run.stderr);
}
