//! What `check` says of routes that work and may not be meant.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    cli_check::{PUBLISHABLE_KEY, run},
    config::check,
    support::{process::folder, programs::Certificate},
};

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

/// Checks a configuration whose secrets all stand in files of this mode, and returns what is said.
fn with_secrets_of(mode: u32) -> String {
    let folder = folder();
    let certificate = Certificate::for_name("gw.test");
    let config = folder.join("gateway.toml");
    for (name, text) in [
        ("secret_key", "sk_test_abc"),
        ("admin", "0123456789abcdef"),
        (
            "webhook",
            "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        ),
        ("clerk.pem", include_str!("../fixtures/keys/rsa_3072.pem")),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    let (cert, key) = (certificate.cert.display(), certificate.key.display());
    let text = format!(
        "[clerk]\nsecret_key_file = \"secret_key\"\njwt_key_file = \"clerk.pem\"\n\
         [server]\nadmin_token_file = \"admin\"\n{}\
         [webhooks]\nsecret_files = [\"{}\"]\n\
         [[upstream]]\nname = \"app\"\nurl = \"https://app.test\"\n\
         client_cert_file = \"{cert}\"\nclient_key_file = \"{key}\"\n",
        certificate.section(),
        folder.join("webhook").display(),
    );
    fs::write(&config, text).unwrap();
    let set = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let read = fs::read_dir(&folder).unwrap();
    let all = read.map(|entry| entry.unwrap().path());
    all.chain([certificate.cert, certificate.key])
        .for_each(|path| set(&path));
    let env = [("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY)];
    let run = run(&["check", "-c", config.to_str().unwrap()], &env);
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.stderr
}

#[test]
fn a_secret_in_a_file_that_everybody_may_read_is_warned_of() {
    let said = with_secrets_of(0o644);
    for key in [
        "clerk.secret_key_file",
        "server.admin_token_file",
        "server.tls[0].key",
        "upstream[0].client_key_file",
        "webhooks.secret_files[0]",
    ] {
        assert!(said.contains(&format!("{key}: /")), "{key}\n{said}");
    }
    let warning = "/secret_key has mode 0644: every user of this machine may read it; chmod 600 /";
    assert!(said.contains(warning), "{said}");
    // Public keys and certificates are for everybody.
    assert_eq!(said.matches("has mode").count(), 5, "{said}");
    // As Kubernetes mounts a secret for a group.
    let said = with_secrets_of(0o440);
    assert!(!said.contains("has mode"), "{said}");
}

#[test]
fn a_secret_in_a_configuration_that_everybody_may_read_is_warned_of() {
    let env = [("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY)];
    let config = folder().join("gateway.toml");
    for (mode, warned) in [(0o644, true), (0o600, false)] {
        let text = "[clerk]\nsecret_key = \"sk_test_abc\"\n\
                    [[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000\"\n";
        fs::write(&config, text).unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(mode)).unwrap();
        let said = run(&["check", "-c", config.to_str().unwrap()], &env).stderr;
        assert_eq!(
            said.contains("clerk.secret_key: /") && said.contains("has mode 0644"),
            warned,
            "{said}"
        );
    }
}
