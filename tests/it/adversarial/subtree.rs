//! An open root with a protected part, and a stricter route inside a laxer one: no spelling leads past the route.

use std::collections::BTreeSet;

use super::{
    gate::{Gate, request},
    http2::{self, ask},
};
use crate::support::{scene::Setting, upstream::Upstream};

const ROUTES: &str = r#"
[[route]]
path = "/*"
auth = "none"

[[route]]
path = "/admin/*"
require = { role = "org:admin" }

[[route]]
path = "/admin/keys/*"
require = { role = "org:owner" }
"#;

/// What is put before a byte of the path, or in its place.
const PIECES: [&str; 34] = [
    "/",
    "//",
    "\\",
    "%2f",
    "%2F",
    "%5c",
    "%252f",
    ".",
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
    ";/",
    "%3b",
    "%00",
    "\0",
    "%0a",
    "%20",
    "%09",
    "#",
    "%23",
    "?",
    "%3f",
    "%",
    "%25",
    "%c0%af",
    "%c0%ae",
    "%ef%bc%8f",
];

/// Every path that one edit makes of `path`: a piece put in or in a byte's place, or a byte escaped.
fn spellings(path: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for at in 0..=path.len() {
        let (before, after) = path.split_at(at);
        for piece in PIECES {
            all.insert(format!("{before}{piece}{after}"));
            if let Some(rest) = after.get(1..) {
                all.insert(format!("{before}{piece}{rest}"));
            }
        }
        let Some(&byte) = after.as_bytes().first() else {
            continue;
        };
        for escape in [
            format!("%{byte:02x}"),
            format!("%{byte:02X}"),
            format!("%25{byte:02x}"),
            format!("%u00{byte:02x}"),
        ] {
            all.insert(format!("{before}{escape}{}", &after[1..]));
        }
    }
    for (at, byte) in path.bytes().enumerate() {
        let mut other = path.to_owned();
        other.replace_range(at..=at, &char::from(byte).to_ascii_uppercase().to_string());
        all.insert(other);
    }
    all.insert(path.to_ascii_uppercase());
    all.insert(path.bytes().map(|byte| format!("%{byte:02x}")).collect());
    all.insert(format!("/public/..{path}"));
    all.insert(format!("/public/%2e%2e{path}"));
    all.insert(format!("/%2e{path}"));
    all
}

/// The path as a lenient server reads it: escapes decoded to the end, parameters cut off, every slash one, dots walked,
/// case folded, dots and blanks at the ends of names cut off.
fn leniently(target: &str, cuts_parameters: bool) -> String {
    let mut path = target.split('?').next().unwrap().as_bytes().to_vec();
    loop {
        let decoded = decoded(&path);
        if decoded == path {
            break;
        }
        path = decoded;
    }
    let text = String::from_utf8_lossy(&path).replace('\\', "/");
    let text = text.split(['\0', '#']).next().unwrap().to_owned();
    let mut walked: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        let name = match cuts_parameters {
            true => segment.split(';').next().unwrap(),
            false => segment,
        };
        match name {
            "" | "." => {}
            ".." => drop(walked.pop()),
            name => match name.trim_end_matches(['.', ' ']) {
                "" => {}
                name => walked.push(name),
            },
        }
    }
    format!("/{}", walked.join("/")).to_ascii_lowercase()
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let hex = path
            .get(at + 1..at + 3)
            .and_then(|hex| str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if path[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

fn is_within(path: &str, part: &str) -> bool {
    path.strip_prefix(part)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Sends every spelling by every form of target, and checks each that arrived.
async fn nothing_leads_to(part: &str, bearer: impl Fn(&Gate) -> Option<String>) {
    let setting = Setting {
        routes: ROUTES,
        ..Setting::default()
    };
    let gate = Gate::set(Upstream::start(), setting).await;
    let line = bearer(&gate);
    let lines: Vec<&str> = line.iter().map(String::as_str).collect();
    let value = line
        .as_deref()
        .and_then(|line| line.strip_prefix("Authorization: "));
    let mut sent = 0;
    for path in spellings(&format!("{part}/x")) {
        for target in [path.clone(), format!("http://gw.test{path}")] {
            gate.send(request("GET", &target, &lines));
            sent += 1;
        }
        let mut fields = http2::get(&path);
        fields.extend(value.map(|value| ("authorization", value)));
        ask(gate.0.address, &fields, None);
    }
    assert!(sent > 500);
    for arrived in gate.upstream().all() {
        let target = arrived.split(' ').nth(1).unwrap();
        for cuts_parameters in [true, false] {
            let read = leniently(target, cuts_parameters);
            assert!(!is_within(&read, part), "{target} is {read}");
        }
    }
    // The open part was reached all the while, or this proves nothing.
    assert!(gate.upstream().hits() > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_protected_part_is_taken_for_the_open_root() {
    nothing_leads_to("/admin", |_| None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_stricter_route_is_taken_for_the_laxer_one_around_it() {
    nothing_leads_to("/admin/keys", |gate| Some(gate.admin())).await;
}

/// What an upstream on Windows folds is refused where it would be another route's, and passes where it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_a_server_folds_into_a_stricter_route_is_refused() {
    let setting = Setting {
        routes: r#"
[[route]]
path = "/*"
auth = "none"

[[route]]
path = "/admin/*"

[[route]]
path = "/admin/keys/*"
require = { role = "org:owner" }

[[route]]
path = "/admin/status"
auth = "none"

[[route]]
path = "/Reports/*"

[[route]]
path = "/files/Admin/*"
auth = "none"

[[route]]
path = "/files/admin/*"
"#,
        ..Setting::default()
    };
    let gate = Gate::set(Upstream::start(), setting).await;
    let bearer = gate.admin();
    for (target, signed_out, signed_in) in [
        ("/ADMIN/x", 400, 400),
        ("/Admin", 400, 400),
        ("/%41dmin/x", 400, 400),
        ("/admin./x", 400, 400),
        ("/admin%20/x", 400, 400),
        ("/admin%20.%20/x", 400, 400),
        ("/%20/admin/x", 400, 400),
        ("/reports/x", 400, 400),
        ("/admin/KEYS/x", 400, 400),
        ("/admin/keys./x", 400, 400),
        // Its own route's in every reading.
        ("/admin/X", 401, 200),
        ("/admin/x.", 401, 200),
        ("/Reports/X", 401, 200),
        // The other reading is open to all.
        ("/admin/Status", 401, 200),
        ("/Admin-guide", 200, 200),
        ("/users/Admin", 200, 200),
        ("/x/ADMIN/x", 200, 200),
        ("/a.b/C%20/x", 200, 200),
        // Both are written down: the upstream tells them apart.
        ("/files/Admin/x", 200, 200),
        ("/files/admin/x", 401, 200),
        ("/files/ADMIN/x", 400, 400),
    ] {
        for (lines, status) in [(&[][..], signed_out), (&[bearer.as_str()], signed_in)] {
            let answer = gate.one(request("GET", target, lines));
            assert_eq!(answer.status, status, "{target} {}", lines.len());
        }
    }
}

#[test]
fn the_lenient_reading_is_lenient() {
    for (target, read) in [
        ("/public/..%2fadmin/x", "/admin/x"),
        ("//admin//x?y", "/admin/x"),
        ("/%252561dmin;a/x", "/admin/x"),
        ("/a\\..\\admin", "/admin"),
        ("/a/..;/admin", "/admin"),
        ("/ADMIN./x", "/admin/x"),
        ("/admin%20/x.", "/admin/x"),
        ("/%20/admin", "/admin"),
    ] {
        assert_eq!(leniently(target, true), read, "{target}");
    }
}
