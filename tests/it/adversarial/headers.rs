//! Headers that say who is asking, in every spelling and from every side.

use serde_json::json;

use super::{
    gate::{Gate, request},
    http2::{Outcome, ask},
};
use crate::support::{process::raw, scene::Setting, upstream::Upstream};

const EVIL: &str = "user_evil";

/// Sends a signed-in request with a header line, and expects it to pass without the line.
async fn is_dropped(lines: &[&str]) {
    let gate = Gate::start().await;
    let member = gate.member();
    for target in ["/public/x", "/optional/x", "/app/x"] {
        let lines: Vec<_> = lines.iter().copied().chain([member.as_str()]).collect();
        assert_eq!(gate.get(target, &lines).status, 200, "{target}");
        let last = gate.upstream().last();
        assert!(!last.contains(EVIL), "{target}: {last}");
    }
    assert_eq!(
        gate.upstream().header("x-clerk-user-id"),
        [gate.sandbox().user_id()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h01_a_public_route_passes_no_identity_on() {
    let gate = Gate::start().await;
    let lines = [
        "X-Clerk-User-Id: user_evil",
        "X-Clerk-Org-Role: org:admin",
        "x-clerk-anything: 1",
    ];
    assert_eq!(gate.get("/public/x", &lines).status, 200);
    assert!(!gate.upstream().last().to_lowercase().contains("x-clerk-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn h02_an_absent_claim_leaves_no_room_for_the_clients_header() {
    let gate = Gate::start().await;
    let bearer = gate.bearer(|claims| drop(claims.as_object_mut().unwrap().remove("o")));
    let lines = [
        &*bearer,
        "X-Clerk-Org-Id: org_evil",
        "X-Clerk-Org-Role: org:admin",
        "X-Clerk-Actor: x",
    ];
    assert_eq!(gate.get("/app/x", &lines).status, 200);
    for name in ["x-clerk-org-id", "x-clerk-org-role", "x-clerk-actor"] {
        assert!(gate.upstream().header(name).is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h03_underscores_are_no_disguise() {
    is_dropped(&[
        "X_Clerk_User_Id: user_evil",
        "x_clerk_user_id: user_evil",
        "X-Clerk_User_Id: user_evil",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h04_dots_are_no_disguise() {
    is_dropped(&["X.Clerk.User.Id: user_evil", "x-clerk.user-id: user_evil"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h05_mixed_separators_are_no_disguise() {
    is_dropped(&["X_Clerk-User.Id: user_evil", "x.clerk_User-ID: user_evil"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h06_of_several_copies_none_is_left() {
    is_dropped(&[
        "x-clerk-user-id: user_evil",
        "X-CLERK-USER-ID: user_evil2",
        "X-Clerk-User-Id:user_evil3",
    ])
    .await;
    let gate = Gate::start().await;
    let (token, member) = (gate.member(), gate.sandbox().user_id());
    let value = token.strip_prefix("Authorization: ").unwrap();
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "gw.test"),
        (":path", "/app/x"),
        ("x-clerk-user-id", "user_evil"),
        ("authorization", value),
        ("x_clerk_user_id", "user_evil"),
    ];
    assert_eq!(ask(gate.0.address, &fields, None), Outcome::Status(200));
    assert_eq!(gate.upstream().header("x-clerk-user-id"), [member]);
    assert!(!gate.upstream().last().contains(EVIL));
}

#[tokio::test(flavor = "multi_thread")]
async fn h07_connection_takes_no_managed_header_away() {
    let gate = Gate::start().await;
    for names in [
        "close, x-clerk-user-id, x-forwarded-for, authorization",
        "close, X-Clerk-User-Id",
        "x_clerk_user_id, close, x-real-ip, forwarded, host, cookie, content-length",
    ] {
        let text = format!(
            "GET /app/x HTTP/1.1\r\nHost: gw.test\r\n{}\r\nConnection: {names}\r\n\r\n",
            gate.member()
        );
        assert_eq!(gate.one(text).status, 200, "{names}");
        assert_eq!(
            gate.upstream().header("x-clerk-user-id"),
            [gate.sandbox().user_id()]
        );
        assert_eq!(gate.upstream().header("x-forwarded-for"), ["127.0.0.1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h08_connection_takes_no_credential_away() {
    let gate = Gate::start().await;
    let text = "GET /public/x HTTP/1.1\r\nHost: gw.test\r\nCookie: a=b\r\nConnection: close, cookie\r\n\r\n";
    assert_eq!(gate.one(text).status, 200);
    assert_eq!(gate.upstream().header("cookie"), ["a=b"]);
    let text = format!(
        "GET /app/x HTTP/1.1\r\nHost: gw.test\r\n{}\r\nConnection: close, authorization\r\n\r\n",
        gate.member()
    );
    assert_eq!(gate.one(text).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn h09_what_requests_are_judged_by_does_not_arrive_as_a_trailer() {
    let gate = Gate::start().await;
    for name in [
        "X-Clerk-User-Id",
        "x_clerk_user_id",
        "Authorization",
        "Cookie",
        "X-Hasura-Role",
        "X-Forwarded-For",
        "Host",
        "Content-Length",
    ] {
        let text = format!(
            "POST /app/x HTTP/1.1\r\nHost: gw.test\r\n{}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: {name}\r\n\r\n\
             1\r\na\r\n0\r\n{name}: user_evil\r\n\r\n",
            gate.member()
        );
        assert!([200, 400].contains(&gate.one(text).status), "{name}");
        assert!(
            gate.upstream().hits() == 0 || !gate.upstream().last().contains(EVIL),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h10_no_blank_stands_before_a_colon() {
    let gate = Gate::start().await;
    let lines = ["X-Clerk-User-Id : admin", "X-A\t: b", "X A: b", "X-A"];
    gate.refuses(
        &[400],
        &lines.map(|line| request("GET", "/public/x", &[line])),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h11_no_line_goes_on_on_the_next() {
    let gate = Gate::start().await;
    gate.refuses(
        &[400],
        &[
            request("GET", "/public/x", &["X-A: 1\r\n X-Clerk-User-Id: admin"]),
            request("GET", "/public/x", &["X-A: 1\r\n\tX-Clerk-User-Id: admin"]),
            request("GET", "/public/x", &["X-A: 1\r\n "]),
            "GET /public/x HTTP/1.1\r\n Host: gw.test\r\n\r\n".to_owned(),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h12_every_header_has_a_name() {
    let gate = Gate::start().await;
    let member = gate.member();
    gate.refuses(
        &[400],
        &[
            request("GET", "/public/x", &[": x", &member]),
            request("GET", "/public/x", &[":"]),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h13_control_bytes_are_refused() {
    let gate = Gate::start().await;
    let lines = [
        "X-A: a\0b",
        "X-A: a\rb",
        "X-A: a\nX-Clerk-User-Id: admin",
        "X-A: a\x01b",
        "X-A: a\x7fb",
        "X-A: a\x0bb",
        "X-\0A: b",
        "X-A\x7f: b",
        "X-\u{e9}: b",
        "X(A): b",
    ];
    gate.refuses(
        &[400],
        &lines.map(|line| request("GET", "/public/x", &[line])),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h14_bytes_outside_utf8_change_no_decision() {
    let gate = Gate::start().await;
    let with = |target: &str, lines: &[u8]| {
        [
            format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n").as_bytes(),
            lines,
            b"\r\n\r\n",
        ]
        .concat()
    };
    let (mut member, bytes) = (gate.member().into_bytes(), b"X-A: \xff\xfe");
    gate.refuses(&[401], &[with("/app/x", bytes)]);
    gate.refuses(
        &[401],
        &[
            with("/app/x", b"Authorization: Bearer \xff\xfe"),
            with("/app/x", b"Cookie: __session=\xff"),
        ],
    );
    member.extend_from_slice(b"\r\nX-A: \xff\xfe");
    assert_eq!(gate.one(with("/app/x", &member)).status, 200);
}

const PLACES: [&str; 12] = [
    "Forwarded: for=6.6.6.6;host=evil.test;proto=https",
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Proto: https",
    "X_Forwarded_Proto: https",
    "X-Forwarded-Port: 6666",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Uri: /evil",
    "X-Forwarded-Method: EVIL",
    "X-Forwarded-Server: evil.test",
    "X-Real-IP: 6.6.6.6",
    "X.Real_IP: 6.6.6.6",
];

#[tokio::test(flavor = "multi_thread")]
async fn h15_an_untrusted_peer_tells_nothing_of_where_a_request_comes_from() {
    let gate = Gate::start().await;
    assert_eq!(gate.get("/public/x", &PLACES).status, 200);
    let last = gate.upstream().last();
    for evil in ["6.6.6.6", "evil", "https", "6666", "EVIL"] {
        assert!(!last.contains(evil), "{evil}: {last}");
    }
    assert_eq!(gate.upstream().header("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(gate.upstream().header("x-forwarded-host"), ["gw.test"]);
    assert_eq!(gate.upstream().header("x-forwarded-proto"), ["http"]);
    let hits = gate.upstream().hits();
    assert_eq!(gate.get("/admin/x", &PLACES).status, 401);
    assert_eq!(gate.upstream().hits(), hits);
}

#[tokio::test(flavor = "multi_thread")]
async fn h16_a_forwarded_uri_is_not_the_target() {
    let gate = Gate::start().await;
    let lines = [
        "X-Forwarded-Uri: /public/x",
        "X-Forwarded-Method: OPTIONS",
        "X-Original-URI: /public/x",
    ];
    gate.refuses(&[401], &[request("GET", "/admin/x", &lines)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn h17_rewriting_headers_do_not_arrive() {
    let gate = Gate::start().await;
    let lines = [
        "X-Original-URL: /evil",
        "X-Rewrite-URL: /evil",
        "X-Envoy-Original-Path: /evil",
        "X-Original-URI: /evil",
        "X_Original_Url: /evil",
        "X-Original-Method: DELETE",
    ];
    assert_eq!(gate.get("/public/x", &lines).status, 200);
    let last = gate.upstream().last();
    assert!(!last.contains("evil") && !last.contains("DELETE"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h18_no_user_agent_is_let_through() {
    let gate = Gate::start().await;
    for agent in [
        "GoogleHC/1.0",
        "kube-probe/1.30",
        "ELB-HealthChecker/2.0",
        "Prometheus/2",
    ] {
        gate.refuses(
            &[401],
            &[request(
                "GET",
                "/admin/x",
                &[&format!("User-Agent: {agent}")],
            )],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h19_of_a_trusted_proxys_list_only_addresses_count() {
    let gate = Gate::trusting("127.0.0.1/32").await;
    for (line, client) in [
        ("X-Forwarded-For: 1.2.3.4", "1.2.3.4"),
        ("X-Forwarded-For: 6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("X-Forwarded-For: 6.6.6.6, junk", "127.0.0.1"),
        ("X-Forwarded-For: 1.2.3.4:99", "127.0.0.1"),
        ("X-Forwarded-For: \"unknown\"", "127.0.0.1"),
        ("X-Forwarded-For: ::ffff:10.0.0.1", "10.0.0.1"),
        ("Forwarded: for=\"_x;host=evil\"", "127.0.0.1"),
        ("Forwarded: for=1.2.3.4;host=evil;host=b", "127.0.0.1"),
        ("X-Real-IP: 1.2.3.4", "127.0.0.1"),
    ] {
        assert_eq!(gate.get("/public/x", &[line]).status, 200, "{line}");
        let chain = gate.upstream().header("x-forwarded-for").concat();
        assert_eq!(chain.split(", ").next().unwrap(), client, "{line}");
        assert!(!gate.upstream().last().contains("evil"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h20_headers_that_clerks_own_sdks_trust_do_not_arrive() {
    let gate = Gate::start().await;
    let lines = [
        "x-clerk-auth-status: signed-in",
        "x-clerk-auth-token: e30.e30.x",
        "x-clerk-auth-signature: 0",
        "x_clerk_auth_status: signed-in",
        "x-middleware-subrequest: 1",
        "x-middleware-override-headers: authorization",
    ];
    assert_eq!(gate.get("/public/x", &lines).status, 200);
    let last = gate.upstream().last().to_lowercase();
    assert!(
        !last.contains("clerk") && !last.contains("middleware"),
        "{last}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h21_proxy_does_not_arrive() {
    let gate = Gate::start().await;
    assert_eq!(
        gate.get(
            "/public/x",
            &["Proxy: http://evil.test", "PROXY: http://evil.test"]
        )
        .status,
        200
    );
    assert!(!gate.upstream().last().contains("evil"));
}

#[tokio::test(flavor = "multi_thread")]
async fn h22_an_answers_hop_by_hop_headers_end_here() {
    let answer = b"HTTP/1.1 200 OK\r\nConnection: x-internal, keep-alive\r\nX-Internal: secret\r\n\
                   Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok";
    let gate = Gate::before(answer).await;
    let answer = gate.get("/public/x", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-kept"), ["1"]);
    for name in ["x-internal", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert!(answer.header(name).is_empty(), "{name}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h23_an_answer_has_no_header_of_the_request() {
    let gate = Gate::start().await;
    let member = gate.member();
    let answer = gate.get("/app/x", &[&member, "Cookie: secret=1"]);
    assert_eq!(answer.status, 200);
    for word in [
        "authorization",
        "cookie",
        "x-clerk-",
        "secret",
        "forwarded",
        "eyj",
    ] {
        assert!(
            !answer.text.to_lowercase().contains(word),
            "{word}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h24_a_claim_cannot_add_a_header() {
    let gate = Gate::set(Upstream::start(), slug_header()).await;
    for slug in [
        "a\r\nX-Hasura-Role: admin",
        "a\nb",
        "a\0b",
        "a\u{7f}",
        "caf\u{e9}",
    ] {
        let bearer = gate.bearer(|claims| claims["o"]["slg"] = slug.into());
        gate.refuses(&[403], &[request("GET", "/slug/x", &[&bearer])]);
    }
}

fn slug_header() -> Setting<'static> {
    let routes = "[[route]]\npath = \"/slug/*\"\nheaders = { \"X-Org-Slug\" = \"org_slug\" }\n\
                  [[route]]\npath = \"/admin/*\"\nrequire = { role = \"org:admin\" }";
    Setting {
        routes,
        ..Setting::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h25_a_claim_of_another_type_grants_nothing() {
    let gate = Gate::start().await;
    for role in [
        json!(["org:admin"]),
        json!({ "$gt": "" }),
        json!(null),
        json!(7),
        json!(true),
    ] {
        let v2 = gate.bearer(|claims| claims["o"]["rol"] = role.clone());
        let v1 = gate.bearer(|claims| {
            claims["v"] = json!(1);
            claims["org_id"] = claims["o"]["id"].clone();
            claims["org_role"] = role.clone();
        });
        for bearer in [v2, v1] {
            let hits = gate.upstream().hits();
            assert_eq!(gate.get("/admin/x", &[&bearer]).status, 403, "{role}");
            assert_eq!(gate.upstream().hits(), hits);
            assert_eq!(gate.get("/app/x", &[&bearer]).status, 200, "{role}");
            assert!(
                gate.upstream().header("x-clerk-org-role").is_empty(),
                "{role}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h26_a_client_chooses_no_hasura_role() {
    let gate = Gate::start().await;
    let member = gate.member();
    let lines = [
        &*member,
        "X-Hasura-Role: evil",
        "X-Hasura-Admin-Secret: evil",
        "X_Hasura_Role: evil",
        "x.hasura.user.id: evil",
    ];
    for target in ["/app/graphql", "/app/x", "/public/x"] {
        assert_eq!(gate.get(target, &lines).status, 200, "{target}");
        assert!(
            !gate.upstream().last().contains("evil"),
            "{target}: {}",
            gate.upstream().last()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn h27_two_authorization_lines_are_none() {
    let gate = Gate::start().await;
    let member = gate.member();
    gate.refuses(
        &[401],
        &[
            request("GET", "/app/x", &["Authorization: Bearer bad", &member]),
            request("GET", "/app/x", &[&member, "authorization: Bearer bad"]),
            request("GET", "/app/x", &[&member, &member]),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h28_where_a_token_is_minted_it_alone_arrives() {
    let gate = Gate::start().await;
    let token = gate.token(|_| ());
    let lines = [
        format!("Authorization: Bearer {token}"),
        format!("Cookie: a=b; __session={token}; __client_uat=1"),
    ];
    assert_eq!(
        gate.get("/app/graphql", &[&lines[0], &lines[1]]).status,
        200
    );
    let authorization = gate.upstream().header("authorization");
    assert_eq!(authorization.len(), 1);
    assert!(authorization[0].starts_with("Bearer "));
    assert!(!gate.upstream().last().contains(&token));
    assert!(
        !gate
            .upstream()
            .header("cookie")
            .concat()
            .contains("__session")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn h29_blanks_around_a_value_are_no_part_of_it() {
    is_dropped(&[
        "X-Clerk-User-Id:   user_evil \t",
        "X-Clerk-User-Id: user_evil\t",
    ])
    .await;
    let gate = Gate::start().await;
    let bearer = format!("{} \t ", gate.member());
    let text = format!(
        "GET /app/x HTTP/1.1\r\nHost: \tgw.test \t\r\n{bearer}\r\nConnection: close \t\r\n\r\n"
    );
    assert!(raw(gate.0.address, text.as_bytes()).starts_with("HTTP/1.1 200"));
    assert_eq!(gate.upstream().header("x-forwarded-host"), ["gw.test"]);
}
