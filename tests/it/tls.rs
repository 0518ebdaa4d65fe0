//! TLS on the public listener, as curl and openssl see it.

use std::process::Command;

use crate::{
    cli_check::{file, run},
    support::{
        programs::{Certificate, curl, output, text},
        scene::{Scene, Setting},
        upstream::Upstream,
    },
};

async fn scene(server: &str) -> Scene {
    let setting = Setting {
        server,
        ..Setting::default()
    };
    Scene::set(Upstream::start(), setting).await
}

/// Asks for `name` with curl, which trusts `authority` only.
fn ask(scene: &Scene, name: &str, authority: &Certificate, more: &[&str]) -> (bool, String) {
    let port = scene.address.port();
    let resolve = format!("{name}:{port}:127.0.0.1");
    let url = format!("https://{name}:{port}/public/x");
    let written = "%{http_version} %{response_code}";
    let mut arguments = vec![
        "--resolve",
        &resolve,
        "--cacert",
        text(&authority.cert),
        "-o",
        "/dev/null",
        "-w",
        written,
    ];
    arguments.extend_from_slice(more);
    arguments.push(&url);
    curl(&arguments)
}

fn passed(version: &str) -> (bool, String) {
    (true, format!("{version} 200"))
}

#[tokio::test(flavor = "multi_thread")]
async fn alpn_settles_http2_or_http1_and_both_tls_versions_are_spoken() {
    let certificate = Certificate::for_name("gw.test");
    let scene = scene(&certificate.section()).await;
    assert_eq!(ask(&scene, "gw.test", &certificate, &[]), passed("2"));
    for flags in [
        &["--http1.1"][..],
        &["--http1.1", "--tls-max", "1.2"],
        &["--http1.1", "--tlsv1.3"],
        &["--no-alpn"],
    ] {
        assert_eq!(
            ask(&scene, "gw.test", &certificate, flags),
            passed("1.1"),
            "{flags:?}"
        );
    }
    let (accepted, _) = ask(&scene, "gw.test", &certificate, &["--tls-max", "1.1"]);
    assert!(!accepted, "TLS 1.1 is spoken");
    assert_eq!(scene.upstream.header("x-forwarded-proto"), ["https"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_gets_its_own_certificate_and_unknown_ones_the_first() {
    let one = Certificate::for_name("gw.test");
    let two = Certificate::for_name("*.other.test");
    let scene = scene(&(one.section() + &two.section())).await;
    assert_eq!(ask(&scene, "gw.test", &one, &[]), passed("2"));
    assert_eq!(ask(&scene, "a.other.test", &two, &[]), passed("2"));
    assert!(!ask(&scene, "a.other.test", &one, &[]).0);
    let (_, said) = output(
        Command::new("openssl")
            .args(["s_client", "-noservername", "-connect"])
            .arg(scene.address.to_string()),
    );
    assert!(said.contains("subject=CN = gw.test"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_asked_for_and_judged() {
    let server = Certificate::for_name("gw.test");
    let authority = Certificate::for_name("clients.test");
    let client = Certificate::signed_by("client.test", &authority);
    let stranger = Certificate::for_name("stranger.test");
    let present = |certificate: &Certificate| {
        [
            "--cert".to_owned(),
            text(&certificate.cert).to_owned(),
            "--key".to_owned(),
            text(&certificate.key).to_owned(),
        ]
    };
    for (presence, without) in [("required", false), ("optional", true)] {
        let lines = format!(
            "client_ca = \"{}\"\nclient_auth = \"{presence}\"\n{}",
            authority.cert.display(),
            server.section()
        );
        let scene = scene(&lines).await;
        assert_eq!(
            ask(&scene, "gw.test", &server, &[]).0,
            without,
            "{presence}"
        );
        let good = present(&client);
        let good: Vec<&str> = good.iter().map(String::as_str).collect();
        assert_eq!(
            ask(&scene, "gw.test", &server, &good),
            passed("2"),
            "{presence}"
        );
        let bad = present(&stranger);
        let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
        assert!(!ask(&scene, "gw.test", &server, &bad).0, "{presence}");
    }
}

#[test]
fn a_certificate_in_its_last_two_weeks_is_warned_of() {
    let certificate = Certificate::for_name("gw.test");
    let file = file(
        "tls-expires.toml",
        &format!(
            "[clerk]\nissuer = \"https://a.example\"\n{}[[route]]\npath = \"/*\"\nauth = \"none\"\n\
             [[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000\"\n",
            certificate.section()
        ),
    );
    let run = run(&["check", "-c", &file], &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let warning = format!(
        "server.tls[0].cert: {} expires at 2",
        certificate.cert.display()
    );
    assert!(run.stderr.contains(&warning), "{}", run.stderr);
}
