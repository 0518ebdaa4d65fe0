//! One engine: the proxy, each decision endpoint, Envoy over gRPC and the layer agree on the same request.

use clerk_gateway::{Clerk, SessionLayer};
use http::Request;
use proptest::{
    prelude::*,
    sample::{select, subsequence},
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::Value;

use crate::{
    support::{
        Body, Seen, call, code,
        process::{command, exchange, run},
        scene::{Scene, Setting},
        upstream::Upstream,
    },
    ways::{Sent, Verdict, Ways, assert_same, seen},
};

/// As many requests, each by seven ways and more.
const REQUESTS: usize = 2_000;
/// Each is a process of its own.
const EXPLAINED: usize = 200;

const METHODS: [&str; 9] = [
    "GET", "GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS", "get", "TRACE",
];
const ROOTS: [&str; 8] = [
    "/app",
    "/app",
    "/public",
    "/optional",
    "/owners",
    "/forward",
    "/admin",
    "/nowhere",
];
const PIECES: [&str; 20] = [
    "/x",
    "/x",
    "/y",
    "/%61",
    "/..",
    "/%2e%2e",
    "//",
    "/a;b",
    "/a%2fb",
    "/%00",
    "/%zz",
    "/a.",
    "/A",
    "/",
    "/../admin",
    "?a=b",
    "?a#b",
    "#",
    "/%C3%A9",
    "?x=/../admin",
];
const HOSTS: [&str; 7] = [
    "gw.test",
    "gw.test",
    "GW.test:8080",
    "gw.test.",
    "a@gw.test",
    "[::1]:80",
    "gw.test,other.test",
];
/// What clients forge, and what browsers say; none of it may count for more than it should.
const LINES: [(&str, &str); 15] = [
    ("X-Clerk-User-Id", "user_forged"),
    ("x_clerk_org_id", "org_forged"),
    ("X.Tenant", "forged"),
    ("X-Tenant", "forged"),
    ("X-Hasura-Role", "admin"),
    ("X-Upstream-Token", "forged"),
    ("X-Debug", "1"),
    ("Content_Length", "5"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("Forwarded", "for=198.51.100.9;host=evil.test"),
    ("Origin", "https://evil.test"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Cookie", "theme=dark"),
    ("Content-Type", "application/grpc"),
];

fn requests(token: &str) -> impl Strategy<Value = Sent> {
    let bearer = |value: &str| ("Authorization".to_owned(), format!("Bearer {value}"));
    let cookie = |value: &str| {
        (
            "Cookie".to_owned(),
            format!("theme=dark; __session={value}"),
        )
    };
    let spoilt = format!("{}A", &token[..token.len() - 4]);
    let credentials = [
        vec![],
        vec![bearer(token)],
        vec![bearer(token)],
        vec![cookie(token)],
        vec![bearer(token), cookie(token)],
        vec![bearer(&spoilt)],
        vec![bearer("a.b.c"), cookie(token)],
        vec![bearer(token), bearer(&spoilt)],
        vec![cookie("")],
        vec![("Authorization".to_owned(), "Basic YTpi".to_owned())],
    ];
    let target = (
        select(&ROOTS[..]),
        prop::collection::vec(select(&PIECES[..]), 0..3),
    );
    let lines = subsequence(&LINES[..], 0..4);
    let all = (
        select(&METHODS[..]),
        target,
        select(&HOSTS[..]),
        select(credentials.to_vec()),
        lines,
    );
    all.prop_map(|(method, (root, pieces), host, mut lines, more)| {
        let more = more
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        lines.extend(more);
        Sent {
            method: method.to_owned(),
            target: root.to_owned() + &pieces.concat(),
            host: host.to_owned(),
            lines,
        }
    })
}

/// Sends it through a layer that requires a session; `None` where no such request can be made.
async fn layered(sent: &Sent, layer: &SessionLayer) -> Option<Verdict> {
    let mut request = Request::builder().method(sent.method.as_str()).uri("/x");
    for (name, value) in &sent.lines {
        request = request.header(name, value);
    }
    let answer = call(layer, request.body(Body::default()).ok()?).await;
    if let Some(seen) = answer.extensions().get::<Seen>() {
        let user = seen.session.as_ref().unwrap().user_id().to_string();
        return Some(Verdict::Passes([("x-clerk-user-id", user)].into()));
    }
    let status = answer.status().as_u16();
    Some(Verdict::Refused(status, Some(code(answer).await)))
}

/// A gateway that is asked by every way.
async fn asked() -> (Scene, Ways) {
    let ways = Ways::new();
    let setting = Setting {
        server: &ways.section(),
        ..Setting::default()
    };
    (Scene::set(Upstream::start(), setting).await, ways)
}

fn proxied(sent: &Sent, scene: &Scene) -> Verdict {
    let hits = scene.upstream.hits();
    let answer = exchange(scene.address, sent.head("").as_bytes());
    Verdict::proxied(&answer, &scene.upstream, hits)
}

/// As many requests, the same at each run.
fn generated(token: &str, count: usize) -> impl Iterator<Item = Sent> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = requests(token);
    (0..count).map(move |_| strategy.new_tree(&mut runner).unwrap().current())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_gives_the_same_verdict_for_the_same_request() {
    let (scene, ways) = asked().await;
    let mut passed = 0;
    for sent in generated(scene.sandbox.session_token(), REQUESTS) {
        let proxied = proxied(&sent, &scene);
        passed += usize::from(matches!(proxied, Verdict::Passes(_)));
        ways.agree(&sent, &proxied).await;
    }
    let share = REQUESTS / 10..REQUESTS / 2;
    assert!(share.contains(&passed), "{passed} passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layer_gives_the_same_verdict_on_a_session() {
    let (scene, _) = asked().await;
    let sandbox = &scene.sandbox;
    let clerk = Clerk::builder()
        .publishable_key(sandbox.publishable_key())
        .secret_key(sandbox.secret_key())
        .api_url(sandbox.url())
        .build()
        .unwrap();
    let layer = SessionLayer::required(clerk);
    let mut compared = 0;
    for sent in generated(sandbox.session_token(), REQUESTS) {
        let proxied = proxied(&sent, &scene);
        if !is_about_the_session(&sent, &proxied) {
            continue;
        }
        if let Some(other) = layered(&sent, &layer).await {
            assert_same(&sent, "the layer", &user_alone(proxied), &other);
            compared += 1;
        }
    }
    assert!(compared > REQUESTS / 10, "{compared} compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_gives_the_same_verdict() {
    let (scene, _) = asked().await;
    for sent in generated(scene.sandbox.session_token(), EXPLAINED) {
        let proxied = proxied(&sent, &scene);
        if sent.target.contains('#') {
            // It is no URL that `explain` takes.
            assert!(matches!(proxied, Verdict::Refused(..)), "{}", sent.target);
            continue;
        }
        assert_same(
            &sent,
            "explain",
            &without_secrets(proxied),
            &explained(&sent, &scene),
        );
    }
}

fn explained(sent: &Sent, scene: &Scene) -> Verdict {
    let mut command = command();
    command.args(["explain", "--json", "-c"]).arg(&scene.file);
    command.args([&sent.method, &sent.target]);
    command.arg("-H").arg(format!("Host: {}", sent.host));
    for (name, value) in &sent.lines {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    command.env("CLERK_SECRET_KEY", scene.sandbox.secret_key());
    let (_, said, complaint) = run(&mut command);
    let said: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{complaint}"));
    let refusal = &said["refusal"];
    if let Some(code) = refusal["code"].as_str() {
        let status = refusal["status"].as_u64().unwrap().try_into().unwrap();
        return Verdict::Refused(status, Some(code.to_owned()));
    }
    let headers = said["forwarded"]["headers"].as_array().unwrap();
    let line = |pair: &Value| {
        format!(
            "{}: {}\r\n",
            pair[0].as_str().unwrap(),
            pair[1].as_str().unwrap()
        )
    };
    let lines: String = headers.iter().map(line).collect();
    without_secrets(Verdict::Passes(seen(&format!("GET\r\n{lines}"))))
}

/// `explain` shows none.
fn without_secrets(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Passes(mut seen) => {
            let secret = ["authorization", "cookie", "x-upstream-token"];
            seen.iter_mut()
                .filter(|(name, _)| secret.contains(name))
                .for_each(|(_, value)| *value = "(redacted)".to_owned());
            Verdict::Passes(seen)
        }
        refused => refused,
    }
}

/// The layer has no routes: it is asked what the routes with a session and nothing more are asked.
fn is_about_the_session(sent: &Sent, proxied: &Verdict) -> bool {
    let required = ["/app", "/forward", "/admin"]
        .iter()
        .any(|root| sent.target.starts_with(root));
    let by_session = match proxied {
        Verdict::Passes(seen) => seen.contains_key("x-clerk-user-id"),
        Verdict::Refused(_, Some(reason)) => ["session-", "token-", "credential-"]
            .iter()
            .any(|start| reason.starts_with(start)),
        Verdict::Refused(_, None) => false,
    };
    required && by_session
}

fn user_alone(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Passes(mut seen) => {
            seen.retain(|name, _| *name == "x-clerk-user-id");
            Verdict::Passes(seen)
        }
        refused => refused,
    }
}
