//! Targets that the policy and the upstream could read differently.

use super::{
    gate::{Gate, gets, request},
    http2::{self, Outcome, ask},
};
use crate::support::{scene::Setting, upstream::Upstream};

async fn refuses_all(statuses: &[u16], targets: &[&str]) {
    let gate = Gate::start().await;
    gate.refuses(statuses, &gets(targets));
}

#[tokio::test(flavor = "multi_thread")]
async fn p01_dot_segments_lead_nowhere() {
    let targets = [
        "/public/../admin/secrets",
        "/public/./../admin",
        "/public/x/../../admin",
        "/./admin",
        "/../admin",
        "/public/..",
        "/public/.",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p02_encoded_dot_segments_are_refused_in_either_case() {
    let targets = [
        "/public/%2e%2e/admin/secrets",
        "/public/%2E%2e/admin",
        "/public/%2E%2E/admin",
        "/public/.%2e/admin",
        "/public/%2e./admin",
        "/public/%2e/admin",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p03_an_encoded_slash_behind_dots_is_refused() {
    let targets = [
        "/public/..%2fadmin/secrets",
        "/public/..%2Fadmin",
        "/public/%2e%2e%2fadmin",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p04_nothing_is_encoded_twice() {
    let targets = [
        "/public/%252e%252e%252fadmin",
        "/public/%25",
        "/%2561dmin",
        "/public/%25252e",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p05_an_encoded_slash_is_refused_in_either_case() {
    refuses_all(
        &[400],
        &[
            "/admin%2Fusers",
            "/admin%2fusers",
            "/public/a%2fb",
            "/%2fadmin",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p06_an_encoded_letter_is_the_letter() {
    let gate = Gate::start().await;
    gate.refuses(
        &[401],
        &gets(&["/%61dmin/users", "/a%64min/users", "/%61%64%6d%69%6e/users"]),
    );
    let member = gate.member();
    assert_eq!(gate.get("/%61dmin/users", &[&member]).status, 403);
    assert_eq!(gate.get("/%61dmin/users", &[&gate.admin()]).status, 200);
    assert!(
        gate.upstream()
            .last()
            .starts_with("GET /admin/users HTTP/1.1\r\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p07_empty_segments_are_refused() {
    let targets = [
        "//admin/users",
        "///admin",
        "/x//../admin",
        "/public//x",
        "/admin//",
        "//",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p08_another_case_is_another_path() {
    refuses_all(
        &[404],
        &[
            "/ADMIN/users",
            "/Admin",
            "/aDMIN/x",
            "/PUBLIC/x",
            "/%41DMIN",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p09_path_parameters_are_refused() {
    let targets = [
        "/public/..;/admin/secrets",
        "/admin;x=1",
        "/admin;/users",
        "/public/..%3b/admin",
        "/admin%3Bx",
        "/;/admin",
        "/public/;/../admin",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_backslashes_are_refused() {
    let targets = [
        "/public\\..\\admin",
        "/public%5c..%5cadmin",
        "/public/..%5Cadmin",
        "\\admin",
        "/\\admin",
        "/public/a\\b",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_a_fragment_is_refused_and_cuts_nothing_off() {
    let targets = [
        "/admin/x#/public/",
        "/public/x#",
        "/public/#/../admin",
        "/public/x?a#b",
        "#/public",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_encoded_delimiters_are_refused() {
    refuses_all(
        &[400],
        &["/admin%23/public/x", "/admin%3f/public", "/admin%3F/public"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_nul_truncates_nothing() {
    let gate = Gate::start().await;
    gate.refuses(
        &[400],
        &gets(&[
            "/public/%00/../admin",
            "/admin%00/public",
            "/public/%00",
            "/public/a\0b",
        ]),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_the_query_takes_no_part_in_matching() {
    let targets = [
        "/admin/x?next=/public/status",
        "/admin?/public/",
        "/admin/?x=%2fpublic%2f",
    ];
    refuses_all(&[401], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_malformed_escape_is_refused() {
    let targets = [
        "/public/%zz",
        "/%",
        "/public/%2",
        "/public/%c0%af",
        "/public/%c0%ae%c0%ae/admin",
        "/public/%e0%80%af",
        "/public/%u002e",
        "/public/%ff",
        "/public/% 61",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_letters_of_other_widths_are_not_ours() {
    refuses_all(
        &[404],
        &["/%EF%BD%81dmin/users", "/%C4%B0dmin", "/adm%C4%B1n/users"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_a_prefix_taken_off_leaves_no_other_path() {
    let gate = Gate::start().await;
    let targets = [
        "/strip../admin",
        "/strip/..%2fadmin",
        "/strip/../admin",
        "/strip/.%2e/admin",
        "/strip//admin",
        "/strip/%2fadmin",
    ];
    gate.refuses(&[400], &gets(&targets));
    gate.refuses(&[404], &gets(&["/stripadmin", "/strip."]));
    for (sent, arrived) in [
        ("/strip/x", "/x"),
        ("/%73trip/%61", "/a"),
        ("/strip", "/"),
        ("/strip/", "/"),
    ] {
        assert_eq!(gate.get(sent, &[]).status, 200, "{sent}");
        let line = format!("GET {arrived} HTTP/1.1\r\n");
        assert!(
            gate.upstream().last().starts_with(&line),
            "{sent}: {}",
            gate.upstream().last()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_what_was_decided_on_is_what_is_sent_on() {
    let gate = Gate::start().await;
    for (sent, decided) in [
        ("/%70ublic/x", "/public/x"),
        ("/public/%7e%2D%5f%2e", "/public/~-_."),
        (
            "/public/caf%c3%a9?q=%2e%2e/%2f",
            "/public/caf%C3%A9?q=%2e%2e/%2f",
        ),
        ("/public/a%20b", "/public/a%20b"),
    ] {
        assert_eq!(gate.get(sent, &[]).status, 200, "{sent}");
        let line = format!("GET {decided} HTTP/1.1\r\n");
        assert!(
            gate.upstream().last().starts_with(&line),
            "{sent}: {}",
            gate.upstream().last()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p19_an_absolute_target_names_the_same_host_or_is_refused() {
    let gate = Gate::start().await;
    gate.refuses(
        &[400],
        &gets(&[
            "http://internal.test/admin/x",
            "http://internal.test/public/x",
            "ftp://gw.test/public/x",
        ]),
    );
    gate.refuses(
        &[401],
        &gets(&["http://gw.test/admin/x", "HTTP://GW.test/admin"]),
    );
    assert_eq!(gate.get("http://gw.test/public/x?y", &[]).status, 200);
    assert!(
        gate.upstream()
            .last()
            .starts_with("GET /public/x?y HTTP/1.1\r\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p20_credentials_in_an_absolute_target_are_refused() {
    let targets = [
        "http://gw.test@evil.test/",
        "http://user:pw@gw.test/public/x",
        "http://gw.test%40evil.test/public/",
    ];
    refuses_all(&[400], &targets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p21_an_asterisk_is_never_sent_on() {
    let gate = Gate::start().await;
    let asked = ["GET", "OPTIONS", "POST"].map(|method| request(method, "*", &[]));
    gate.refuses(&[400], &asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn p22_connect_opens_no_tunnel() {
    let gate = Gate::start().await;
    let tunnel = "CONNECT internal.test:22 HTTP/1.1\r\nHost: internal.test:22\r\n\r\nGET /public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    gate.refuses(
        &[405],
        &[tunnel, &request("CONNECT", "/public/x", &[])][..1],
    );
    gate.refuses(&[400, 405], &[request("CONNECT", "/public/x", &[])]);
    let fields = [(":method", "CONNECT"), (":authority", "internal.test:22")];
    let outcome = ask(gate.0.address, &fields, None);
    assert!(
        outcome == Outcome::Status(405) || outcome.is_refusal(),
        "{outcome:?}"
    );
    assert_eq!(gate.upstream().hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p23_an_http2_path_begins_with_a_slash() {
    let gate = Gate::start().await;
    for path in [
        "public.Svc/Delete",
        "admin/x",
        "",
        "*",
        "http://gw.test/public/x",
        "?x",
    ] {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "gw.test"),
            (":path", path),
        ];
        let outcome = ask(gate.0.address, &fields, None);
        assert!(outcome.is_refusal(), "{path:?}: {outcome:?}");
    }
    assert_eq!(gate.upstream().hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p24_malformed_pseudo_headers_are_refused() {
    let gate = Gate::start().await;
    assert_eq!(
        ask(gate.0.address, &http2::get("/public/x"), None),
        Outcome::Status(200)
    );
    let hits = gate.upstream().hits();
    let with = |at: usize, name: &'static str, value: &'static str| {
        let mut fields = http2::get("/public/x");
        fields[at] = (name, value);
        fields
    };
    let and = |name: &'static str, value: &'static str| {
        let mut fields = http2::get("/public/x");
        fields.push((name, value));
        fields
    };
    let mut late = http2::get("/public/x");
    late.insert(1, ("x-early", "1"));
    for fields in [
        with(1, ":scheme", "htTps "),
        with(1, ":scheme", "ftp"),
        and(":path", "/admin"),
        and(":method", "POST"),
        and(":status", "200"),
        and(":unknown", "1"),
        with(3, ":path", "/public/ x"),
        with(3, ":path", "/public/\r\nX: y"),
        with(3, ":path", "/public/../admin"),
        with(0, ":method", "GET /x"),
        with(0, ":method", "get"),
        with(0, ":method", ""),
        and("X-Upper", "1"),
        and("x:y", "1"),
        and("", "1"),
        http2::get("/public/x")[..3].to_vec(),
        http2::get("/public/x")[1..].to_vec(),
        late,
    ] {
        let outcome = ask(gate.0.address, &fields, None);
        assert!(outcome.is_refusal(), "{fields:?}: {outcome:?}");
        assert_eq!(gate.upstream().hits(), hits, "{fields:?}");
    }
    // Our HTTP/2 library cuts a fragment off unseen: neither the policy nor the upstream can be led by it.
    let fields = with(3, ":path", "/public/x#/../admin");
    assert_eq!(ask(gate.0.address, &fields, None), Outcome::Status(200));
    assert!(
        gate.upstream()
            .last()
            .starts_with("GET /public/x HTTP/1.1\r\n")
    );
    let fields = with(3, ":path", "/admin/x#/public");
    assert_eq!(ask(gate.0.address, &fields, None), Outcome::Status(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn p25_authority_and_host_are_one() {
    let gate = Gate::start().await;
    for host in [
        "admin.internal",
        "gw.test:81",
        "gw.test, x",
        "",
        "gw.test@evil.test",
    ] {
        let mut fields = http2::get("/public/x");
        fields.push(("host", host));
        let outcome = ask(gate.0.address, &fields, None);
        assert!(outcome.is_refusal(), "{host:?}: {outcome:?}");
    }
    assert_eq!(gate.upstream().hits(), 0);
    let mut fields = http2::get("/public/x");
    fields.push(("host", "gw.test"));
    assert_eq!(ask(gate.0.address, &fields, None), Outcome::Status(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn p26_a_hosts_case_dot_and_port_change_no_policy() {
    let routes =
        "[[route]]\nhost = \"gw.test\"\npath = \"/*\"\n[[route]]\npath = \"/*\"\nauth = \"none\"";
    let setting = Setting {
        routes,
        ..Setting::default()
    };
    let gate = Gate::set(Upstream::start(), setting).await;
    for host in [
        "gw.test",
        "GW.TEST",
        "Gw.Test.",
        "gw.test.",
        "gw.test:443",
        "GW.test.:80",
    ] {
        let text = format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        gate.refuses(&[401], &[text]);
    }
    let other = "GET /x HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n";
    assert_eq!(gate.one(other).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn p27_a_host_holds_nothing_but_a_host() {
    let gate = Gate::start().await;
    for host in [
        "a;for=1.2.3.4,b",
        "a b",
        "a/b",
        "user@a",
        "a:b",
        "a:80:80",
        "a,b",
        "",
        "a\"",
        "[::1",
        "a:99999",
        "a#b",
        "a?b",
    ] {
        gate.refuses(
            &[400],
            &[format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\n\r\n")],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p28_there_is_exactly_one_host() {
    let gate = Gate::start().await;
    gate.refuses(
        &[400],
        &[
            "GET /public/x HTTP/1.1\r\n\r\n",
            "GET /public/x HTTP/1.1\r\nHost: gw.test\r\nHost: gw.test\r\n\r\n",
            "GET /public/x HTTP/1.1\r\nHost: gw.test\r\nhost: evil.test\r\n\r\n",
            "GET http://gw.test/public/x HTTP/1.1\r\n\r\n",
            "GET /public/x HTTP/1.0\r\nHost: gw.test\r\nHost: gw.test\r\n\r\n",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p29_matching_has_no_patterns_to_backtrack_in() {
    let gate = Gate::start().await;
    let long = format!("/{}!", "a".repeat(8 * 1024));
    let deep = format!("/public{}", "/a".repeat(4 * 1024));
    let endless = format!("/{}", "a".repeat(17 * 1024));
    gate.refuses(&[404], &gets(&[&long]));
    gate.refuses(&[414], &gets(&[&endless]));
    assert_eq!(gate.get(&deep, &[]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn p30_the_method_is_what_the_line_says() {
    let gate = Gate::start().await;
    let methods = ["get", "Get", "GE T", "GET\t", "", "G\u{e9}T", "GE,T"];
    gate.refuses(
        &[400],
        &methods.map(|method| request(method, "/public/x", &[])),
    );
    let overrides = [
        "X-HTTP-Method-Override: GET",
        "X-HTTP-Method: GET",
        "X-Method-Override: GET",
        "X_HTTP_Method_Override: GET",
    ];
    gate.refuses(&[401], &[request("POST", "/admin/x", &overrides)]);
    assert_eq!(
        gate.one(request("POST", "/public/x?_method=DELETE", &overrides))
            .status,
        200
    );
    assert!(!gate.upstream().last().to_lowercase().contains("override"));
    assert!(
        !gate
            .upstream()
            .last()
            .to_lowercase()
            .contains("http-method")
    );
}
