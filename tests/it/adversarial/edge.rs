//! CORS, refusals, limits and operations.

use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use clerk_gateway::sandbox::Outage;

use super::{
    gate::{Gate, request},
    http2::{self, Outcome, ask, connect, frame, outcome},
};
use crate::{
    ext_authz::{Asked, Question},
    support::{
        process::{command, folder, get, raw, run, status_of},
        scene::Setting,
        upstream::Upstream,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn e01_options_is_no_way_past() {
    let gate = Gate::start().await;
    for lines in [
        &["X-Clerk-User-Id: a"][..],
        &["Origin: https://evil.test"],
        &["Access-Control-Request-Method: GET"],
        &[],
    ] {
        gate.refuses(&[401], &[request("OPTIONS", "/admin/x", lines)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e04_challenges_say_what_is_missing() {
    let gate = Gate::start().await;
    let member = gate.member();
    for (target, lines, status, wanted) in [
        ("/app/x", &[][..], 401, "Bearer"),
        (
            "/app/x",
            &["Authorization: Bearer bad"],
            401,
            "error=\"invalid_token\"",
        ),
        (
            "/admin/x",
            &[member.as_str()],
            403,
            "error=\"insufficient_scope\"",
        ),
    ] {
        let answer = gate.get(target, lines);
        assert_eq!(answer.status, status);
        let challenge = answer.header("www-authenticate").concat();
        assert!(
            challenge.starts_with("Bearer") && challenge.contains(wanted),
            "{answer:?}"
        );
        assert!(!challenge.contains("eyJ"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e05_no_cache_keeps_a_refusal() {
    let gate = Gate::start().await;
    let member = gate.member();
    for (target, lines) in [
        ("/app/x", &[][..]),
        ("/app/x", &["Authorization: Bearer x"]),
        ("/admin/x", &[member.as_str()]),
        ("/nowhere", &[]),
    ] {
        let answer = gate.get(target, lines);
        assert!(answer.status >= 400);
        assert_eq!(answer.header("cache-control"), ["no-store"], "{target}");
    }
    let vary = gate
        .get("/app/x", &[])
        .header("vary")
        .concat()
        .to_lowercase();
    for name in ["authorization", "cookie", "accept"] {
        assert!(vary.contains(name), "{vary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e07_a_request_writes_no_log_line_of_its_own() {
    let gate = Gate::start().await;
    let agent = "User-Agent: x\x1b[31m\u{2028}FORGED";
    gate.get("/public/%0aFORGED", &[]);
    gate.get("/nowhere?%0d%0aFORGED", &[agent]);
    gate.get(
        "/app/x?a=%0aFORGED",
        &[agent, "Authorization: Bearer \u{1b}FORGED"],
    );
    let log = gate.0.gateway.stderr();
    assert!(log.lines().count() > 0);
    assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
    assert!(!log.contains("\x1b[31m"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn e14_heads_and_bodies_have_their_size_and_time() {
    let setting = Setting {
        server: "header_read_timeout = \"1s\"\nmax_body_bytes = 1000",
        ..Setting::default()
    };
    let gate = Gate::set(Upstream::start(), setting).await;
    let many: Vec<_> = (0..101).map(|number| format!("X-{number}: 1")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let large = format!("X-A: {}", "a".repeat(64 * 1024));
    gate.refuses(
        &[431],
        &[
            request("GET", "/public/x", &many),
            request("GET", "/public/x", &[&large]),
        ],
    );
    gate.refuses(
        &[413],
        &[request(
            "POST",
            "/public/x",
            &["Content-Length: 10737418240"],
        )],
    );
    assert_eq!(
        status_of(&raw(gate.0.address, b"GET /public/x HTTP/1.1\r\nHost: ")),
        408
    );
    assert_eq!(gate.upstream().hits(), 0);
}

const CONTINUATION: u8 = 9;
const PING: u8 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn e15_a_flood_of_frames_ends_its_connection_and_no_other() {
    let gate = Gate::start().await;
    let headers = http2::block(&http2::get("/public/x"));
    let reset = |stream: u32| {
        [
            frame(1, 4 | 1, stream, &headers),
            frame(3, 0, stream, &[0, 0, 0, 8]),
        ]
        .concat()
    };
    let resets: Vec<u8> = (0..50_000)
        .flat_map(|number| reset(number * 2 + 1))
        .collect();
    let field = http2::block(&[("x-a", "b")]);
    let mut endless = frame(1, 1, 1, &headers);
    endless.extend((0..100_000).flat_map(|_| frame(CONTINUATION, 0, 1, &field)));
    let mut empty = frame(1, 4, 1, &http2::block(&http2::get("/public/x")));
    empty.extend((0..200_000).flat_map(|_| frame(0, 0, 1, &[])));
    let settings: Vec<u8> = (0..100_000).flat_map(|_| frame(4, 0, 0, &[])).collect();
    for (name, flood) in [
        ("resets", resets),
        ("continuations", endless),
        ("empty data", empty),
        ("settings", settings),
    ] {
        let mut stream = connect(gate.0.address);
        let mut reader = stream.try_clone().unwrap();
        // Nothing is read meanwhile, so that answers pile up too.
        let _ = stream.write_all(&flood);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let ended = loop {
            match outcome(&mut reader) {
                Outcome::Error(code) => break code,
                Outcome::Status(_) => {}
            }
        };
        assert_ne!(ended, 0, "{name}");
        assert_eq!(
            ask(gate.0.address, &http2::get("/public/x"), None),
            Outcome::Status(200),
            "{name}"
        );
    }
    let mut stream = connect(gate.0.address);
    stream.write_all(&frame(PING, 0, 0, &[0; 8])).unwrap();
    assert_eq!(gate.get("/public/x", &[]).status, 200);
    assert!(
        gate.0.gateway.resident_kib() < 200 * 1024,
        "{} KiB",
        gate.0.gateway.resident_kib()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn e16_the_admin_surface_is_on_its_own_port() {
    let gate = Gate::start().await;
    for target in [
        "/metrics",
        "/livez",
        "/readyz",
        "/config",
        "/reload",
        "/-/config",
        "/debug",
    ] {
        gate.refuses(
            &[404],
            &[request("GET", target, &[]), request("POST", target, &[])],
        );
    }
    let metrics = get(gate.0.admin, "/metrics", &[]);
    assert_eq!(status_of(&metrics), 200);
    let key = gate.sandbox().secret_key();
    assert!(!metrics.contains(key));
    for (method, target) in [
        ("POST", "/reload"),
        ("POST", "/config"),
        ("PUT", "/config"),
        ("DELETE", "/sessions/sess_1"),
    ] {
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nOrigin: https://evil.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            gate.0.admin
        );
        let status = status_of(&raw(gate.0.admin, text.as_bytes()));
        assert!(
            [401, 403, 404, 405].contains(&status),
            "{method} {target}: {status}"
        );
    }
}

#[test]
fn e17_what_is_unsafe_is_not_run() {
    let good = "[clerk]\npublishable_key = \"pk_test_Y2xlcmsuZXhhbXBsZS5jb20k\"\nsecret_key = \"sk_test_x\"\n\
                [[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:1\"\n[[route]]\npath = \"/*\"\n";
    let check = |text: &str| {
        let file = folder().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        run(command().args(["check", "-c"]).arg(&file))
    };
    let (code, out, err) = check(good);
    assert_eq!(code, Some(0), "{out}{err}");
    for (from, to) in [
        ("path = \"/*\"", "path = \"/*\"\nauth = \"\""),
        ("path = \"/*\"", "path = \"/*\"\nauth = \"maybe\""),
        (
            "path = \"/*\"",
            "path = \"/*\"\nrequired = { role = \"org:admin\" }",
        ),
        (
            "path = \"/*\"",
            "path = \"/*\"\nauth = \"none\"\nrequire = { role = \"org:admin\" }",
        ),
        (
            "[[upstream]]",
            "[server]\ntrusted_proxies = [\"0.0.0.0/0\"]\n[[upstream]]",
        ),
        (
            "[[upstream]]",
            "[server]\ntrusted_proxies = [\"::/0\"]\n[[upstream]]",
        ),
        ("[[upstream]]", "[servers]\n[[upstream]]"),
        ("secret_key", "api_url = \"http://evil.test\"\nsecret_key"),
    ] {
        let (code, out, _) = check(&good.replacen(from, to, 1));
        assert_ne!(code, Some(0), "{to}: {out}");
    }
    // A key that everybody may read runs, as mounts of secrets often are so, and is warned of.
    let key = folder().join("secret_key");
    std::fs::write(&key, "sk_test_x").unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let file = format!("secret_key_file = \"{}\"", key.display());
    let (code, _, err) = check(&good.replacen("secret_key = \"sk_test_x\"", &file, 1));
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("has mode 0644"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn e19_a_post_that_was_cut_off_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("url = \"http://{}\"", listener.local_addr().unwrap());
    let posts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&posts);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap_or(0);
            if bytes[..read].starts_with(b"POST ") {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        }
    });
    let setting = Setting {
        upstream: &url,
        ..Setting::default()
    };
    let gate = Gate::set(Upstream::start(), setting).await;
    let text = "POST /public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    assert_eq!(gate.one(text).status, 502);
    assert_eq!(posts.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn e21_while_clerk_is_gone_nobody_unknown_passes() {
    let gate = Gate::start().await;
    let known = gate.member();
    assert_eq!(gate.get("/app/x", &[&known]).status, 200);
    for outage in [Outage::Dropped, Outage::Unavailable] {
        gate.sandbox().faults().outage(Some(outage));
        let user = gate.sandbox().user_id().to_owned();
        let id = gate.sandbox().create_session(&user);
        let line = format!("Authorization: Bearer {}", gate.sandbox().mint(&id));
        let hits = gate.upstream().hits();
        assert_eq!(gate.get("/app/x", &[&line]).status, 503, "{outage:?}");
        assert_eq!(gate.upstream().hits(), hits, "{outage:?}");
        gate.sandbox().faults().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e11_a_question_mark_parts_path_and_query_once() {
    let asked = Asked::start().await;
    for path in [
        "/admin?x=/public",
        "/admin/x?/../../public/a",
        "/admin/x?a?/public/b",
    ] {
        let told = asked.check(&Question::about(path)).await;
        assert_ne!(told.code, 0, "{path}: {told:?}");
    }
    let told = asked.check(&Question::about("/public/a?b")).await;
    assert_eq!(told.code, 0, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn e12_a_credential_that_comes_twice_is_refused_and_a_managed_header_removed() {
    let asked = Asked::start().await;
    let good = format!("Bearer {}", asked.scene.sandbox.session_token());
    for (first, second) in [
        (good.as_str(), "Bearer x.y.z"),
        ("Bearer x.y.z", good.as_str()),
    ] {
        let twice = Question::about("/app/a")
            .line("authorization", first)
            .line("authorization", second);
        let joined = Question::about("/app/a").line("authorization", &format!("{first},{second}"));
        for question in [twice.clone().raw(), twice, joined.clone().raw(), joined] {
            let told = asked.check(&question).await;
            assert_eq!(told.status, 401, "{told:?}");
        }
    }
    let forged = Question::about("/public/a")
        .line("x-clerk-user-id", "user_a")
        .line("x-clerk-user-id", "user_b");
    let told = asked.check(&forged.raw()).await;
    assert_eq!(told.removed, ["x-clerk-user-id"]);
    assert!(!told.headers.contains_key("x-clerk-user-id"));
}
