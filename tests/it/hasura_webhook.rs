//! Hasura's webhook: session variables for whom the session is, and 401 for everybody else.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    process::{free_address, raw, status_of},
    scene::{Scene, Setting},
    upstream::Upstream,
};

/// A gateway with the webhook, and where it is asked.
struct Hook {
    scene: Scene,
    address: SocketAddr,
}

/// What Hasura is told.
struct Told {
    status: u16,
    reason: String,
    head: String,
    body: String,
}

impl Hook {
    async fn start(section: &str) -> Self {
        Self::with("", section).await
    }

    async fn with(decision: &str, section: &str) -> Self {
        let address = free_address();
        let server = format!(
            "[decision]\nlisten = \"{address}\"\n{decision}\n[decision.hasura]\n{section}\n"
        );
        let setting = Setting {
            server: &server,
            ..Setting::default()
        };
        let scene = Scene::set(Upstream::start(), setting).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{}", scene.gateway.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { scene, address }
    }

    fn get(&self, lines: &[&str]) -> Told {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.ask(&format!(
            "GET /hasura HTTP/1.1\r\nHost: hook.test\r\nConnection: close\r\n{lines}\r\n"
        ))
    }

    fn post(&self, body: &str) -> Told {
        self.ask(&format!(
            "POST /hasura HTTP/1.1\r\nHost: hook.test\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn ask(&self, request: &str) -> Told {
        let answer = raw(self.address, request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let reason = head
            .lines()
            .find_map(|line| line.strip_prefix("x-clerk-auth-reason: "));
        Told {
            status: status_of(&answer),
            reason: reason.unwrap_or_default().to_owned(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// Asks both ways for the same headers, which must give the same, and returns it.
    fn both(&self, lines: &[(&str, &str)]) -> Told {
        let texts: Vec<_> = lines.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let by_get = self.get(&texts);
        let headers: serde_json::Map<_, _> = lines
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let request =
            json!({"query": "{ secret_query }", "variables": null, "operationName": null});
        let by_post = self.post(&json!({"headers": headers, "request": request}).to_string());
        assert_eq!(by_get.status, by_post.status, "{lines:?}: {}", by_post.body);
        assert_eq!(by_get.reason, by_post.reason, "{lines:?}");
        if by_get.status == 200 {
            let role = |told: &Told| told.variables()["X-Hasura-Role"].clone();
            assert_eq!(role(&by_get), role(&by_post), "{lines:?}");
        }
        by_get
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.scene.sandbox.session_token())
    }

    /// A token with claims of the test's own.
    fn token(&self, edit: impl FnOnce(&mut Value)) -> String {
        let sandbox = &self.scene.sandbox;
        let token = sandbox.mint_with(sandbox.session_id(), |_, claims| edit(claims));
        format!("Bearer {token}")
    }
}

impl Told {
    fn variables(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.head, self.body))
    }
}

fn max_age(variables: &Value) -> u64 {
    let text = variables["Cache-Control"].as_str().unwrap();
    text.strip_prefix("max-age=").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_told_in_variables_that_are_text() {
    let hook = Hook::start(
        "variables = { \"x-hasura-department\" = { claim = \"department\" }, \"X-Hasura-Level\" = { claim = \"level\" } }",
    )
    .await;
    let token = hook.token(|claims| {
        claims["department"] = json!("sales");
        claims["level"] = json!(7);
    });
    let told = hook.both(&[
        ("Authorization", &token),
        ("X-Hasura-User-Id", "user_forged"),
        ("X-Hasura-Department", "forged"),
        ("X_Hasura_Role", "forged"),
    ]);
    assert_eq!(
        (told.status, told.reason.as_str()),
        (200, "ok"),
        "{}",
        told.body
    );
    let mut variables = told.variables();
    let age = max_age(&variables);
    // The session cache's time bounds how long a revocation stays unseen.
    assert!((1..=15).contains(&age), "{age}");
    let members = variables.as_object_mut().unwrap();
    members.remove("Cache-Control");
    let organization = members.remove("X-Hasura-Org-Id").unwrap();
    assert!(organization.as_str().unwrap().starts_with("org_"));
    let expected = json!({
        "X-Hasura-User-Id": hook.scene.sandbox.user_id(),
        "X-Hasura-Role": "user",
        "X-Hasura-Department": "sales",
        "X-Hasura-Level": "7",
    });
    assert_eq!(variables, expected);
    for line in ["content-type: application/json", "cache-control: no-store"] {
        assert!(told.head.contains(line), "{}", told.head);
    }
    assert!(!told.head.contains("set-cookie"), "{}", told.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_request_id_is_not_taken_for_hasuras() {
    let hook = Hook::start("anonymous = true").await;
    let told = hook.get(&["X-Request-Id: 0123456789abcdef0123456789abcdef"]);
    assert_eq!(told.status, 200);
    assert!(told.head.contains("x-request-id: "), "{}", told.head);
    assert!(!told.head.contains("0123456789abcdef"), "{}", told.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_never_believed_for_longer_than_the_token_lives() {
    let hook = Hook::start("verify = \"networkless\"").await;
    let now = |claims: &Value| claims["iat"].as_i64().unwrap();
    let long = hook.token(|claims| claims["exp"] = json!(now(claims) + 3600));
    let short = hook.token(|claims| claims["exp"] = json!(now(claims) + 8));
    let age = |token: &str| max_age(&hook.both(&[("Authorization", token)]).variables());
    assert!((3500..=3600).contains(&age(&long)));
    assert!(age(&short) <= 8);

    let hook = Hook::start("max_age = \"20s\"").await;
    let long = hook.token(|claims| claims["exp"] = json!(now(claims) + 3600));
    assert_eq!(
        max_age(&hook.both(&[("Authorization", &long)]).variables()),
        20
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wished_role_is_given_only_where_the_session_may_have_it() {
    const NO: &str = "hasura-role-not-allowed";
    let hook =
        Hook::start("default_role = \"member\"\nroles = { claim = \"metadata.roles\" }").await;
    let token = hook.token(|claims| claims["metadata"] = json!({"roles": ["editor", "viewer"]}));
    let bad = hook.token(|claims| claims["metadata"] = json!({"roles": ["editor", 1]}));
    for (token, wish, role) in [
        (&token, None, Ok("member")),
        (&token, Some("member"), Ok("member")),
        (&token, Some("editor"), Ok("editor")),
        (&token, Some("viewer"), Ok("viewer")),
        (&token, Some("Editor"), Err(NO)),
        (&token, Some("admin"), Err(NO)),
        (&token, Some("editor,viewer"), Err(NO)),
        (&token, Some(""), Err(NO)),
        (&bad, None, Ok("member")),
        (&bad, Some("editor"), Err(NO)),
    ] {
        let mut lines = vec![("Authorization", token.as_str())];
        lines.extend(wish.map(|wish| ("X-Hasura-Role", wish)));
        let told = hook.both(&lines);
        match role {
            Ok(role) => assert_eq!(told.variables()["X-Hasura-Role"], role, "{wish:?}"),
            Err(code) => assert_eq!((told.status, told.reason.as_str()), (401, code), "{wish:?}"),
        }
    }
    let line = format!("Authorization: {token}");
    let told = hook.get(&[&line, "X-Hasura-Role: editor", "x-hasura-role: viewer"]);
    assert_eq!(
        (told.status, told.reason.as_str()),
        (401, "hasura-role-repeated")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_role_is_given_under_hasuras_name_for_it() {
    let hook =
        Hook::start("roles = { field = \"org_role\", names = { \"org:admin\" = \"manager\" } }")
            .await;
    let bearer = hook.bearer();
    let ask = |wish| hook.both(&[("Authorization", &bearer), ("X-Hasura-Role", wish)]);
    assert_eq!(ask("manager").variables()["X-Hasura-Role"], "manager");
    for wish in ["org:admin", "admin"] {
        assert_eq!(ask(wish).reason, "hasura-role-not-allowed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_401_with_its_reason() {
    let hook = Hook::start("require = { role = \"org:admin\" }").await;
    let member = hook.token(|claims| claims["o"]["rol"] = json!("member"));
    let tampered = format!("{}x", hook.bearer());
    let cookie = format!("__session={}", hook.scene.sandbox.session_token());
    let id = hook.scene.sandbox.session_id().to_owned();
    for (lines, status, reason) in [
        (vec![], 401, "session-token-missing"),
        (
            vec![("Authorization", tampered.as_str())],
            401,
            "token-invalid",
        ),
        (
            vec![("Authorization", member.as_str())],
            401,
            "role-missing",
        ),
        (
            vec![("X-Session-Id", id.as_str())],
            401,
            "session-token-missing",
        ),
        (vec![("Cookie", cookie.as_str())], 200, "ok"),
        (
            vec![("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-site")],
            200,
            "ok",
        ),
        (
            vec![
                ("Cookie", cookie.as_str()),
                ("Sec-Fetch-Site", "cross-site"),
            ],
            401,
            "cross-site-request",
        ),
    ] {
        let told = hook.both(&lines);
        assert_eq!(told.status, status, "{lines:?}: {}", told.body);
        assert!(
            told.reason.starts_with(reason),
            "{lines:?}: {}",
            told.reason
        );
    }
    let put = hook.ask("PUT /hasura HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(
        (put.status, put.reason.as_str()),
        (401, "method-not-allowed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_told_nothing() {
    let hook = Hook::start("").await;
    hook.scene.sandbox.revoke(hook.scene.sandbox.session_id());
    let told = hook.both(&[("Authorization", &hook.bearer())]);
    assert_eq!(
        (told.status, told.reason.as_str()),
        (401, "session-revoked")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_anonymous_only_where_that_is_said() {
    let hook = Hook::start("anonymous = true\nroles = [\"editor\"]").await;
    let told = hook.both(&[]);
    assert_eq!((told.status, told.reason.as_str()), (200, "signed-out"));
    assert_eq!(told.variables(), json!({"X-Hasura-Role": "anonymous"}));
    for wish in ["user", "editor", "admin"] {
        let told = hook.both(&[("X-Hasura-Role", wish)]);
        assert_eq!(
            (told.status, told.reason.as_str()),
            (401, "hasura-role-not-allowed")
        );
    }
    let garbage = hook.both(&[("Authorization", "Bearer garbage")]);
    assert_eq!(garbage.status, 401, "bad is not absent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_could_be_read_in_two_ways_is_refused() {
    let hook = Hook::start("max_body_bytes = 4096").await;
    let bearer = hook.bearer();
    let good = json!({"Authorization": bearer}).to_string();
    let good = good.trim_matches(['{', '}']);
    for (body, reason) in [
        (String::new(), "hasura-body-malformed"),
        ("{}".to_owned(), "hasura-body-malformed"),
        (
            format!("{{\"headers\":{{{good},\"X-Hasura-Role\":[\"user\"]}}}}"),
            "hasura-body-malformed",
        ),
        (
            format!(
                "{{\"headers\":{{{good},\"X-Hasura-Role\":\"user\",\"x-hasura-role\":\"admin\"}}}}"
            ),
            "hasura-header-repeated",
        ),
        (
            format!("{{\"headers\":{{{good},{good}}}}}"),
            "hasura-header-repeated",
        ),
        (
            format!(
                "{{\"headers\":{{{good}}},\"request\":\"{}\"}}",
                "a".repeat(100_000)
            ),
            "hasura-body-too-large",
        ),
    ] {
        let told = hook.post(&body);
        assert_eq!(
            (told.status, told.reason.as_str()),
            (401, reason),
            "{body:.60}"
        );
    }
    assert_eq!(
        hook.post(&format!("{{\"headers\":{{{good}}}}}")).status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clerk_being_down_is_no_verdict() {
    let hook = Hook::start("").await;
    hook.scene.sandbox.faults().errors(1.0, 500);
    let told = hook.both(&[("Authorization", &hook.bearer())]);
    assert_eq!(
        (told.status, told.reason.as_str()),
        (503, "clerk-unavailable")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_ask_is_told_so_whatever_it_sends() {
    let hook = Hook::with("trusted_callers = [\"192.0.2.0/24\"]", "anonymous = true").await;
    let told = hook.both(&[("Authorization", &hook.bearer())]);
    assert_eq!(
        (told.status, told.reason.as_str()),
        (403, "caller-not-trusted")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_hasura_is_never_logged() {
    let hook = Hook::start("").await;
    let bearer = hook.bearer();
    assert_eq!(hook.both(&[("Authorization", &bearer)]).status, 200);
    assert_eq!(
        hook.both(&[("Authorization", "Bearer a.b.secret_token")])
            .status,
        401
    );
    let log = hook.scene.gateway.stderr();
    for secret in ["secret_query", "secret_token", &bearer[7..]] {
        assert!(!log.contains(secret), "{secret}");
    }
    assert!(log.contains("request refused"), "the log is blind");
}
