//! What `check` says of routes that work and may not be meant.

use crate::config::check;

fn warnings(name: &str, routes: &[&str]) -> String {
    let upstream = "[clerk]\nauthorized_parties = [\"https://app.test\"]\n\
                    [[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000\"\n";
    let routes: String = routes
        .iter()
        .map(|lines| format!("[[route]]\n{lines}\n"))
        .collect();
    let (_, run) = check(&format!("warn-{name}.toml"), &format!("{upstream}{routes}"));
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.stderr
}

const ROOT: &str = "path = \"/*\"";
const OPEN_ROOT: &str = "path = \"/*\"\nauth = \"none\"";

#[test]
fn a_path_without_its_twin_with_a_slash_is_warned_of() {
    let alone = warnings("slash-alone", &["path = \"/a\""]);
    assert!(
        alone.contains("route[0].path: takes \"/a\" and not \"/a/\""),
        "{alone}"
    );
    let weaker = warnings("slash-weaker", &["path = \"/a/\"", OPEN_ROOT]);
    assert!(
        weaker.contains("does not take \"/a\", which route[1]"),
        "{weaker}"
    );
    for (name, routes) in [
        ("slash-both", &["path = \"/a\"", "path = \"/a/\""][..]),
        ("slash-below", &["path = \"/a/*\""]),
        ("slash-root", &["path = \"/a\"", ROOT]),
        ("slash-only", &["path = \"/\""]),
    ] {
        let said = warnings(name, routes);
        assert!(!said.contains("route["), "{name}: {said}");
    }
}

#[test]
fn public_ground_around_a_stricter_route_is_warned_of() {
    let open = warnings("open", &["path = \"/admin/*\"", OPEN_ROOT]);
    assert!(
        open.contains("route[1].path: is public and surrounds route[0]"),
        "{open}"
    );
    for (name, routes) in [
        (
            "open-beside",
            [
                "path = \"/admin/*\"",
                "path = \"/public/*\"\nauth = \"none\"",
            ],
        ),
        (
            "open-within",
            ["path = \"/*\"", "path = \"/public/*\"\nauth = \"none\""],
        ),
        (
            "open-host",
            [
                "path = \"/admin/*\"",
                "path = \"/*\"\nhost = \"a.test\"\nauth = \"none\"",
            ],
        ),
    ] {
        let said = warnings(name, &routes);
        assert!(!said.contains("surrounds"), "{name}: {said}");
    }
}

#[test]
fn a_route_that_no_request_meets_is_warned_of() {
    let routes = [
        "path = \"/a/*\"",
        "path = \"/a\"",
        "path = \"/a/\"",
        "path = \"/a/{x}/*\"",
    ];
    let said = warnings("unreachable", &routes);
    assert!(
        said.contains("route[0].path: \"/a/*\" is never met"),
        "{said}"
    );
    assert_eq!(said.matches("never met").count(), 1, "{said}");
}

#[test]
fn a_page_that_may_send_cookies_and_not_write_is_warned_of() {
    let cors = |origin: &str, more: &str| {
        format!("path = \"/*\"\ncors = {{ origins = [\"{origin}\"], credentials = true }}\n{more}")
    };
    let stranger = cors("https://page.test", "");
    let said = warnings("cors-stranger", &[&stranger]);
    assert!(
        said.contains("route[0].cors: \"https://page.test\" may send cookies"),
        "{said}"
    );
    for (name, route) in [
        ("cors-party", cors("https://app.test", "")),
        (
            "cors-bearer",
            cors("https://page.test", "credentials = [\"bearer\"]"),
        ),
        ("cors-csrf", cors("https://page.test", "csrf = false")),
    ] {
        let said = warnings(name, &[&route]);
        assert!(!said.contains("may send cookies"), "{name}: {said}");
    }
}
