//! The configuration replaced while requests run.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::support::{
    meanwhile::meanwhile,
    process::{get, raw, status_of},
    programs::{Certificate, curl, text},
    scene::{Scene, Setting},
    upstream::Upstream,
};

/// No watching but where a test says so: each reload has one cause.
const QUIET: Setting<'_> = Setting {
    clerk: "",
    server: "watch_interval = \"0s\"",
    upstream: "",
    routes: "[[route]]\npath = \"/public/*\"\nauth = \"none\"\n",
};

async fn scene(server: &str) -> Scene {
    let setting = Setting { server, ..QUIET };
    Scene::set(Upstream::start(), setting).await
}

impl Scene {
    fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(&self.file).unwrap();
        // As a careful editor does it: whole, by rename.
        let new = self.file.with_extension("new");
        fs::write(&new, change(text)).unwrap();
        fs::rename(&new, &self.file).unwrap();
    }

    fn post(&self, target: &str, lines: &str) -> String {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 0\r\n{lines}\r\n",
            self.admin
        );
        raw(self.admin, request.as_bytes())
    }
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

const MORE: &str = "\n[[route]]\npath = \"/more\"\nauth = \"none\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_brings_new_routes() {
    let scene = scene(QUIET.server).await;
    assert_eq!(status_of(&scene.get("/more", &[])), 404);
    scene.rewrite(|text| text + MORE);
    scene.gateway.signal("HUP");
    eventually("the new route", || {
        status_of(&scene.get("/more", &[])) == 200
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_worker_serves_reloads_and_drains() {
    let mut scene = scene("watch_interval = \"0s\"\nworkers = 1").await;
    scene.rewrite(|text| text + MORE);
    assert_eq!(status_of(&scene.post("/reload", "")), 200);
    assert_eq!(status_of(&scene.get("/more", &[])), 200);
    scene.gateway.signal("TERM");
    assert_eq!(scene.gateway.status(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_seen_without_being_told() {
    let scene = scene("watch_interval = \"50ms\"").await;
    scene.rewrite(|text| text + MORE);
    eventually("the new route", || {
        status_of(&scene.get("/more", &[])) == 200
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_told_and_changes_nothing() {
    let scene = scene(QUIET.server).await;
    scene.rewrite(|text| text + MORE + "upsteam = \"app\"\n");
    let answer = scene.post("/reload", "");
    assert_eq!(status_of(&answer), 422, "{answer}");
    assert!(
        answer.contains("upsteam") && answer.contains("unknown key"),
        "{answer}"
    );
    assert_eq!(status_of(&scene.get("/public/x", &[])), 200);
    assert_eq!(status_of(&scene.get("/more", &[])), 404);
    let metrics = scene.metrics();
    assert!(
        metrics.contains("clerk_gateway_config_reloads_total{outcome=\"bad\"} 1"),
        "{metrics}"
    );
    assert!(
        scene.gateway.stderr().contains("upsteam"),
        "{}",
        scene.gateway.stderr()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_restart_can_change_is_named() {
    let scene = scene(QUIET.server).await;
    scene.rewrite(|text| {
        text.replace(
            "watch_interval = \"0s\"",
            "watch_interval = \"0s\"\nmax_streams = 7",
        )
    });
    assert_eq!(status_of(&scene.post("/reload", "")), 200);
    assert!(
        scene.gateway.stderr().contains("server.max_streams"),
        "{}",
        scene.gateway.stderr()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_the_configuration_is_replaced_a_hundred_times() {
    let scene = scene(QUIET.server).await;
    let served = AtomicUsize::new(0);
    let ask = |_| {
        let answer = get(scene.address, "/public/x", &[]);
        assert_eq!(status_of(&answer), 200, "{answer}");
        served.fetch_add(1, Ordering::Relaxed);
    };
    let good = fs::read_to_string(&scene.file).unwrap();
    meanwhile(4, ask, || {
        for round in 0..100 {
            let (change, status) = match round % 4 {
                0 => (MORE, 200),
                1 => ("\n[nonsense", 422),
                2 => ("\n[session]\nnegative_ttl = \"1s\"\n", 422),
                _ => ("\n[cache]\nsession_ttl = \"14s\"\n", 200),
            };
            scene.rewrite(|_| good.clone() + change);
            assert_eq!(status_of(&scene.post("/reload", "")), status, "{round}");
        }
    });
    assert!(served.load(Ordering::Relaxed) > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_to_new_connections_and_a_bad_one_to_nobody() {
    let (one, two) = (
        Certificate::for_name("gw.test"),
        Certificate::for_name("gw.test"),
    );
    let scene = scene(&format!("{}\n{}", QUIET.server, one.section())).await;
    let ask = |authority: &Certificate| {
        let port = scene.address.port();
        let (resolve, url) = (
            format!("gw.test:{port}:127.0.0.1"),
            format!("https://gw.test:{port}/public/x"),
        );
        curl(&[
            "--resolve",
            &resolve,
            "--cacert",
            text(&authority.cert),
            "-o",
            "/dev/null",
            &url,
        ])
        .0
    };
    assert!(ask(&one) && !ask(&two));
    let first = fs::read(&one.cert).unwrap();
    let trusted = Certificate {
        cert: one.cert.with_extension("first"),
        key: one.key.clone(),
    };
    fs::write(&trusted.cert, &first).unwrap();
    fs::copy(&two.cert, &one.cert).unwrap();
    // The certificate without its key.
    assert_eq!(status_of(&scene.post("/reload", "")), 422);
    assert!(ask(&trusted) && !ask(&two));
    fs::copy(&two.key, &one.key).unwrap();
    assert_eq!(status_of(&scene.post("/reload", "")), 200);
    assert!(ask(&two) && !ask(&trusted));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_say_when_the_certificates_that_are_served_expire() {
    let one = Certificate::for_name("gw.test");
    let two = Certificate::for_days("other.test", 90);
    let scene = scene(&format!("{}\n{}", QUIET.server, one.section())).await;
    let expires = |certificate: &Certificate| {
        let metrics = scene.metrics();
        let start = format!(
            "clerk_gateway_certificate_expiry_timestamp_seconds{{file=\"{}\"}} ",
            certificate.cert.display()
        );
        let value = metrics.lines().find_map(|line| line.strip_prefix(&start));
        value.map(|value| value.parse::<f64>().unwrap())
    };
    let (first, none) = (expires(&one).unwrap(), expires(&two));
    assert_eq!(none, None);
    let days = |later: f64, earlier: f64| ((later - earlier) / 86_400.0).round();
    // The same file, renewed; another beside it.
    fs::copy(&two.cert, &one.cert).unwrap();
    fs::copy(&two.key, &one.key).unwrap();
    scene.rewrite(|text| text.replace(&one.section(), &(one.section() + &two.section())));
    assert_eq!(status_of(&scene.post("/reload", "")), 200);
    assert_eq!(days(expires(&one).unwrap(), first), 88.0);
    assert_eq!(expires(&two), expires(&one));
    // One that is served no more raises no alert.
    scene.rewrite(|text| text.replace(&two.section(), ""));
    assert_eq!(status_of(&scene.post("/reload", "")), 200);
    assert!(expires(&two).unwrap().is_nan());
    assert_eq!(days(expires(&one).unwrap(), first), 88.0);
}
