use http::Request;

use super::*;

fn resolved(peer: &str, headers: &[(&str, &str)]) -> (ForwardedFor, HeaderMap) {
    let mut builder = Request::get("/x").header("host", "gw.test:8080");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let (mut parts, ()) = builder.body(()).unwrap().into_parts();
    let request = CanonicalRequest::parse(&parts).unwrap();
    let peer = Peer::new(format!("{peer}:4711").parse().unwrap(), Scheme::Http);
    let networks = ["127.0.0.2/32", "10.0.0.0/8"].map(|network| network.parse().unwrap());
    let trusted = TrustedProxies::new(networks.to_vec()).unwrap();
    let forwarded = ForwardedFor::resolve(&peer, &request, &parts.headers, &trusted);
    forwarded.write(&mut parts.headers);
    (forwarded, parts.headers)
}

fn client(peer: &str, headers: &[(&str, &str)]) -> String {
    resolved(peer, headers).0.client().to_string()
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_says() {
    let said = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.test"),
        ("forwarded", "for=1.2.3.4;proto=https;host=evil.test"),
        ("x-forwarded-port", "443"),
        ("x_forwarded_proto", "https"),
    ];
    let (forwarded, headers) = resolved("127.0.0.1", &said);
    assert_eq!(forwarded.client().to_string(), "127.0.0.1");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "gw.test:8080");
    assert_eq!(
        headers["forwarded"],
        "for=127.0.0.1;host=\"gw.test:8080\";proto=http"
    );
    // These four and `Host`: nothing else is left, and nothing twice.
    assert_eq!(headers.len(), 5);
}

#[test]
fn the_client_is_the_rightmost_untrusted_address() {
    for (line, expected) in [
        ("1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.1.1.1", "1.2.3.4"),
        ("10.9.9.9, 10.1.1.1", "10.9.9.9"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("9.9.9.9, ::ffff:10.0.0.1", "9.9.9.9"),
        ("2001:db8::1", "2001:db8::1"),
    ] {
        assert_eq!(
            client("127.0.0.2", &[("x-forwarded-for", line)]),
            expected,
            "{line}"
        );
    }
}

#[test]
fn junk_ends_the_walk() {
    for line in [
        "junk",
        "1.2.3.4, junk",
        "1.2.3.4:99",
        "\"unknown\"",
        "",
        "1.2.3.4,",
        "1.2.3.4 5.6.7.8",
        "[::1]",
    ] {
        assert_eq!(
            client("127.0.0.2", &[("x-forwarded-for", line)]),
            "127.0.0.2",
            "{line}"
        );
    }
    assert_eq!(
        client(
            "127.0.0.2",
            &[("x-forwarded-for", "1.2.3.4, junk, 10.1.1.1")]
        ),
        "10.1.1.1"
    );
}

#[test]
fn several_lines_are_one_list() {
    let lines = [
        ("x-forwarded-for", "6.6.6.6, 1.2.3.4"),
        ("x-forwarded-for", "10.1.1.1"),
    ];
    let (forwarded, headers) = resolved("127.0.0.2", &lines);
    assert_eq!(forwarded.client().to_string(), "1.2.3.4");
    assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 10.1.1.1, 127.0.0.2");
    assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
}

#[test]
fn a_trusted_proxy_tells_scheme_and_host() {
    let told = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "HTTPS"),
        ("x-forwarded-host", "App.test"),
    ];
    let (forwarded, headers) = resolved("127.0.0.2", &told);
    assert_eq!(forwarded.scheme(), Scheme::Https);
    assert_eq!(forwarded.host().unwrap().name(), "app.test");
    assert_eq!(
        headers["forwarded"],
        "for=1.2.3.4;host=\"app.test\";proto=https"
    );
}

#[test]
fn doubtful_scheme_and_host_are_ignored() {
    for told in [
        [
            ("x-forwarded-proto", "https,http"),
            ("x-forwarded-host", "a, b"),
        ],
        [
            ("x-forwarded-proto", "ftp"),
            ("x-forwarded-host", "a;for=1.2.3.4"),
        ],
        [
            ("x-forwarded-host", "a.test"),
            ("x-forwarded-host", "b.test"),
        ],
    ] {
        let (forwarded, _) = resolved("127.0.0.2", &told);
        assert_eq!(forwarded.scheme(), Scheme::Http);
        assert_eq!(forwarded.host().unwrap().name(), "gw.test");
    }
}

#[test]
fn forwarded_counts_where_x_forwarded_for_is_absent() {
    let line =
        "for=6.6.6.6;proto=http, for=1.2.3.4;proto=https;host=app.test, for=10.1.1.1;proto=http";
    let (forwarded, headers) = resolved("127.0.0.2", &[("forwarded", line)]);
    assert_eq!(forwarded.client().to_string(), "1.2.3.4");
    assert_eq!(
        (forwarded.scheme(), forwarded.host().unwrap().name()),
        (Scheme::Https, "app.test")
    );
    assert_eq!(headers["x-forwarded-for"], "1.2.3.4, 10.1.1.1, 127.0.0.2");
    let both = [("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "1.2.3.4")];
    assert_eq!(client("127.0.0.2", &both), "1.2.3.4");
}

#[test]
fn broken_forwarded_is_ignored() {
    for line in [
        "for=\"_x;host=evil\"",
        "for=unknown",
        "for=1.2.3.4;;",
        "for=1.2.3.4,",
        "for",
    ] {
        let (forwarded, _) = resolved("127.0.0.2", &[("forwarded", line)]);
        assert_eq!(forwarded.client().to_string(), "127.0.0.2", "{line}");
        assert_eq!(forwarded.host().unwrap().name(), "gw.test");
    }
}

#[test]
fn an_ipv6_client_is_quoted_in_forwarded() {
    let (_, headers) = resolved("[2001:db8::1]", &[]);
    assert_eq!(headers["x-forwarded-for"], "2001:db8::1");
    assert_eq!(
        headers["forwarded"],
        "for=\"[2001:db8::1]\";host=\"gw.test:8080\";proto=http"
    );
}

#[test]
fn forwarding_names_are_known_in_every_spelling() {
    for name in [
        "forwarded",
        "x-forwarded-for",
        "X_Forwarded_Proto",
        "x.forwarded.host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-uri",
        "x-forwarded-method",
        "x-forwarded-server",
        "x-real-ip",
        "x_real_ip",
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
        "x-envoy-original-path",
        "proxy",
        "x-http-method-override",
        "x_http_method",
        "x-method-override",
        "x-middleware-subrequest",
    ] {
        assert!(is_forwarding_name(name), "{name}");
    }
    for name in [
        "x-forward",
        "proxy-status",
        "x-request-id",
        "accept",
        "x-clerk-user-id",
        "priority",
        "from",
    ] {
        assert!(!is_forwarding_name(name), "{name}");
    }
}
