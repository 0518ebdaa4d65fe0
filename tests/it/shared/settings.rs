use std::fs;

use crate::{
    cli_check::{file, run},
    config::GOOD_ENV,
};

/// What is said of these lines of `[shared]`, in a file of that name.
fn said(name: &str, lines: &str) -> String {
    let text = format!(
        "[shared]\n{lines}\n[[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000\"\n"
    );
    let run = run(&["check", "-c", &file(name, &text)], &GOOD_ENV);
    format!("{}{}", run.stdout, run.stderr)
}

#[test]
fn a_url_with_its_password_is_not_shown() {
    let said = said(
        "shared-password.toml",
        "url = \"redis://user:hunter2@127.0.0.1:6379\"",
    );
    let said: Vec<_> = said.split_whitespace().collect();
    let said = said.join(" ");
    assert!(said.contains("shared.url = (set)"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn calls_that_are_not_divided_while_redis_is_away_are_warned_of() {
    let shared = "url = \"redis://127.0.0.1\"";
    let warning = "clerk.replicas: is 1 and replicas share a redis";
    assert!(said("undivided.toml", shared).contains(warning));
    let divided = said("divided.toml", &format!("{shared}\n[clerk]\nreplicas = 2"));
    assert!(!divided.contains(warning), "{divided}");
}

#[test]
fn what_is_no_redis_or_no_key_is_refused_with_its_place() {
    let short = file("short-key", "too short");
    let no_pem = file("no-pem", "no certificate");
    for (lines, complaint) in [
        ("url = \"http://127.0.0.1\"", "shared.url: is no URL"),
        (
            "url = \"rediss://a.test/#insecure\"",
            "shared.url: has a fragment",
        ),
        ("url = \"redis://[\"", "shared.url: it is no address"),
        (
            &format!("url = \"redis://a.test\"\nkey_files = [{short:?}]"),
            "shared.key_files[0]: has 9 characters",
        ),
        (
            "url = \"redis://a.test\"\nkey_files = [\"/nowhere\"]",
            "shared.key_files[0]: /nowhere cannot be read",
        ),
        (
            &format!("url = \"redis://a.test\"\nca_file = {no_pem:?}"),
            "shared.ca_file: is for TLS, which shared.url does not ask for",
        ),
        (
            &format!("url = \"rediss://a.test\"\nca_file = {no_pem:?}"),
            "shared.ca_file: it holds no certificate that can be used",
        ),
    ] {
        let said = said("shared-wrong.toml", lines);
        assert!(said.contains(complaint), "{lines}: {said}");
    }
    for file in [short, no_pem] {
        fs::remove_file(file).unwrap();
    }
}
