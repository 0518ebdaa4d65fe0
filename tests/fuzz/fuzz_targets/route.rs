//! No spelling of a protected path reaches the upstream by an open route, nor a header that only the gateway sets.
//!
//! The path's bytes stand for themselves, but that a few stand for the pieces that attacks are made of.
#![no_main]

use std::{net::SocketAddr, sync::LazyLock};

use clerk_gateway::fuzzing::{Decided, Gateway};
use clerk_gateway_fuzz::{assert_canonical_path, folds_to, parts, readings};
use http::header::{COOKIE, HOST};
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = r#"
[clerk]
issuer = "https://clerk.example.com"
jwt_key_file = "KEY"

[session]
verify = "networkless"

[[upstream]]
name = "app"
url = "http://127.0.0.1:1"

[[route]]
path = "/*"
auth = "none"

[[route]]
path = "/admin/*"

[[route]]
path = "/{tenant}/private/*"

[[route]]
path = "/api/*"
methods = ["GET"]
auth = "none"

[[route]]
path = "/api/*"

[[route]]
path = "/*"
host = "internal.test"
"#;

static GATEWAY: LazyLock<Gateway> = LazyLock::new(|| {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/keys/rsa_3072.pem");
    Gateway::new(&CONFIG.replace("KEY", key)).expect("a gateway")
});

/// What the bytes from 128 on stand for.
const PIECES: &[&str] = &[
    "admin",
    "ADMIN",
    "Admin",
    "%61dmin",
    "adm%69n",
    "private",
    "PRIVATE",
    "api",
    "x",
    "//",
    "\\",
    "%2f",
    "%2F",
    "%5c",
    "%252f",
    "./",
    "/./",
    "/../",
    "../",
    "x/../",
    "%2e/",
    "%2e%2e/",
    "..;/",
    ";",
    ";a=b",
    "%3b",
    "%00",
    "%0a",
    "%20",
    "%09",
    "#",
    "%23",
    "?",
    "%3f",
    "%25",
    "%c0%af",
    "%c0%ae",
    "%ef%bc%8f",
    "...",
    ".%20",
    "%20.",
    "%7e1",
    "http://a.test/",
    "https://internal.test/",
    "keys",
    "*",
    "{tenant}",
    "%ef%bd%81dmin",
];

fuzz_target!(|input: &[u8]| {
    let text: Vec<u8> = input.iter().flat_map(|byte| spelled(*byte)).collect();
    let Some(asked) = parts(&text) else {
        return;
    };
    let hosts = asked.headers.get_all(HOST).iter().count();
    let decided = GATEWAY.decide(SocketAddr::from(([203, 0, 113, 9], 1)), asked.clone());
    let Decided::Forwarded {
        route,
        session,
        parts,
    } = decided
    else {
        return;
    };
    assert_eq!(session, None, "nobody can sign");
    assert!(hosts <= 1);
    let path = parts.uri.path();
    assert_canonical_path(path);
    assert!(
        route.starts_with("route[0] ") || route.starts_with("route[3] "),
        "{route}"
    );
    for reading in readings(path) {
        let mut segments = reading.split('/');
        assert_ne!(segments.next(), Some("admin"), "{path} by {route}");
        assert_ne!(segments.next(), Some("private"), "{path} by {route}");
        if reading == "api" || reading.starts_with("api/") {
            assert!(
                matches!(parts.method.as_str(), "GET" | "HEAD"),
                "{path} by {route}"
            );
        }
    }
    if let Some(host) = parts.headers.get(HOST) {
        let host = host.to_str().expect("text").to_ascii_lowercase();
        let name = host
            .split(':')
            .next()
            .unwrap_or_default()
            .trim_end_matches('.');
        assert_ne!(name, "internal.test", "{path} by {route}");
    }
    for name in parts.headers.keys() {
        let managed = ["x-clerk-", "x-hasura-"];
        assert!(
            !managed.iter().any(|prefix| folds_to(name.as_str(), prefix)),
            "{name}"
        );
    }
    assert_eq!(parts.headers["x-forwarded-for"], "203.0.113.9");
    assert!(parts.headers.get_all(COOKIE).iter().count() <= 1);
    // What goes up is understood as it was here.
    match GATEWAY.decide(SocketAddr::from(([203, 0, 113, 9], 1)), *parts.clone()) {
        Decided::Forwarded {
            route: again,
            parts: same,
            ..
        } => {
            assert_eq!((again, &same.uri), (route, &parts.uri));
        }
        other => panic!("{other:?}"),
    }
});

fn spelled(byte: u8) -> Vec<u8> {
    let at = usize::from(byte).checked_sub(128);
    match at.and_then(|at| PIECES.get(at)) {
        Some(piece) => piece.as_bytes().to_vec(),
        None => vec![byte],
    }
}
