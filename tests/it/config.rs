//! The configuration: what wins, where values came from, and what is said about bad ones.

use clerk_gateway::sandbox::Sandbox;

use crate::cli_check::{PUBLISHABLE_KEY, Run, file, run};

pub(crate) const GOOD_ENV: [(&str, &str); 2] = [
    ("CLERK_SECRET_KEY", "sk_test_abc"),
    ("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY),
];
const UPSTREAM: &str = "[[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000\"\n";

/// Checks a file with a good environment.
pub(crate) fn check(name: &str, text: &str) -> (String, Run) {
    let file = file(name, text);
    let run = run(&["check", "-c", &file], &GOOD_ENV);
    (file, run)
}

/// Checks flags and environment alone.
pub(crate) fn check_env(env: &[(&str, &str)], args: &[&str]) -> Run {
    let args: Vec<&str> = [&["check", "--upstream", "http://127.0.0.1:3000"], args].concat();
    run(&args, &[&GOOD_ENV, env].concat())
}

#[test]
fn bad_toml_names_its_line_and_not_its_text() {
    let (file, run) = check(
        "syntax.toml",
        "[clerk]\nsecret_key = \"sk_test_hidden\n[cache]\n",
    );
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains(&format!("{file}:2: is not TOML")),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("hidden"), "{}", run.stderr);
}

#[test]
fn a_secret_under_a_wrong_key_is_not_repeated() {
    let (_, run) = check("wrong.toml", "[session]\nverify = \"sk_test_hidden\"\n");
    assert_eq!(run.status, 2);
    assert!(!run.stderr.contains("hidden"), "{}", run.stderr);
}

#[test]
fn an_unreadable_file_is_an_error() {
    let run = run(&["check", "-c", "/nowhere/gateway.toml"], &[]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains("/nowhere/gateway.toml: cannot be read"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("--config"), "{}", run.stderr);
}

#[test]
fn no_key_at_all_names_both_things_to_set() {
    let run = run(&["check", "--upstream", "http://127.0.0.1:3000"], &[]);
    assert_eq!(run.status, 2);
    for part in [
        "CLERK_PUBLISHABLE_KEY",
        "clerk.issuer",
        "CLERK_SECRET_KEY",
        "networkless",
    ] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
}

#[test]
fn a_secret_key_alone_does_not_tell_the_issuer() {
    let args = ["check", "--upstream", "http://127.0.0.1:3000"];
    let run = run(&args, &[("CLERK_SECRET_KEY", "sk_test_abc")]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("clerk.issuer"), "{}", run.stderr);
    assert!(!run.stderr.contains("clerk.secret_key:"), "{}", run.stderr);
}

#[test]
fn a_template_token_needs_a_secret_key() {
    let text = format!(
        "[session]\nverify = \"networkless\"\n{UPSTREAM}[[route]]\npath = \"/*\"\ntoken = {{ template = \"a\" }}\n"
    );
    let file = file("needs-key.toml", &text);
    let run = run(
        &["check", "-c", &file],
        &[("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY)],
    );
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains("template token of route[0]"),
        "{}",
        run.stderr
    );
}

#[test]
fn networkless_needs_no_secret_key() {
    let args = [
        "check",
        "--upstream",
        "http://127.0.0.1:3000",
        "--verify",
        "networkless",
    ];
    let run = run(&args, &[("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY)]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn a_production_key_never_travels_over_plain_http() {
    let env = [
        ("CLERK_SECRET_KEY", "sk_live_abc"),
        ("CLERK_API_URL", "http://127.0.0.1:4000"),
    ];
    let run = check_env(&env, &[]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains("env CLERK_API_URL: clerk.api_url: "),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("sk_live_"), "{}", run.stderr);
}

#[test]
fn flags_beat_env_beats_file_beats_default() {
    let file = file(
        "precedence.toml",
        &format!("[server]\nlisten = \"127.0.0.1:1\"\n{UPSTREAM}"),
    );
    let ours = ("CLERK_GATEWAY__SERVER__LISTEN", "127.0.0.1:2");
    let env = [&GOOD_ENV[..], &[ours]].concat();
    let plain = ["check", "-c", &file];
    let flagged = ["check", "-c", &file, "--listen", "127.0.0.1:3"];
    let unset = check_env(&[], &[]);
    for (run, value, source) in [
        (
            run(&flagged, &env),
            "127.0.0.1:3",
            "flag --listen".to_owned(),
        ),
        (run(&plain, &env), "127.0.0.1:2", format!("env {}", ours.0)),
        (run(&plain, &GOOD_ENV), "127.0.0.1:1", format!("{file}:2")),
        (unset, "127.0.0.1:8080", "default".to_owned()),
    ] {
        let expected = format!("server.listen = \"{value}\" # {source}");
        assert_eq!(run.line("server.listen"), expected);
    }
}

#[test]
fn variables_hold_toml_or_plain_text() {
    let run = check_env(
        &[
            ("CLERK_GATEWAY__CACHE__SESSIONS", "5"),
            ("CLERK_GATEWAY__CACHE__SESSION_TTL", "30s"),
            ("CLERK_GATEWAY__CLERK__ALLOW_MISSING_AZP", "true"),
            ("CLERK_GATEWAY__SESSION__CREDENTIALS", "[\"bearer\"]"),
            ("CLERK_GATEWAY__SESSION__ON_UNAVAILABLE", "\"networkless\""),
        ],
        &[],
    );
    assert_eq!(run.status, 0, "{}", run.stderr);
    for (key, value) in [
        ("cache.sessions", "5"),
        ("cache.session_ttl", "\"30s\""),
        ("clerk.allow_missing_azp", "true"),
        ("session.credentials", "[\"bearer\"]"),
        ("session.on_unavailable", "\"networkless\""),
    ] {
        assert!(
            run.line(key)
                .starts_with(&format!("{key} = {value} # env ")),
            "{key}"
        );
    }
}

#[test]
fn bad_variables_are_named() {
    for (name, value, said) in [
        (
            "CLERK_GATEWAY__CACHE__SESSION",
            "5",
            "did you mean CLERK_GATEWAY__CACHE__SESSIONS?",
        ),
        ("CLERK_GATEWAY__CLERK", "5", "names no key"),
        (
            "CLERK_GATEWAY__clerk__ISSUER",
            "x",
            "did you mean CLERK_GATEWAY__CLERK__ISSUER?",
        ),
        ("CLERK_GATEWAY__CACHE__SESSIONS", "many", "cache.sessions: "),
        (
            "CLERK_GATEWAY__CLERK__AUTHORIZED_PARTIES",
            "",
            "clerk.authorized_parties: ",
        ),
        ("CLERK_GATEWAY__CLERK__AUTHORIZED_PARTIES", "[]", "is empty"),
        (
            "CLERK_GATEWAY__SESSION__CREDENTIALS",
            "[{ headr = \"x\" }]",
            "unknown value",
        ),
    ] {
        let run = check_env(&[(name, value)], &[]);
        assert_eq!(run.status, 2, "{name}={value}\n{}", run.stderr);
        let line = run.stderr.lines().find(|line| line.contains(said));
        let line = line.unwrap_or_else(|| panic!("{said} in {}", run.stderr));
        assert!(line.starts_with(&format!("error: env {name}: ")), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pem_with_escapes_is_taken_as_it_is() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let pem = sandbox.jwt_key().trim().replace('\n', r"\n");
    let pem = pem.as_str();
    for name in ["CLERK_JWT_KEY", "CLERK_GATEWAY__CLERK__JWT_KEY"] {
        let run = check_env(&[(name, pem)], &[]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert_eq!(
            run.line("clerk.jwt_key"),
            format!("clerk.jwt_key = (set) # env {name}")
        );
    }
}

#[test]
fn clerks_empty_variables_are_not_set() {
    let run = check_env(&[("CLERK_JWT_KEY", ""), ("CLERK_API_URL", " ")], &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.line("clerk.api_url").ends_with("# default"));
}

#[test]
fn secret_files_are_read_beside_the_configuration_that_names_them() {
    file("beside.key", "sk_test_abc\n");
    let text = format!("[clerk]\nsecret_key_file = \"beside.key\"\n{UPSTREAM}");
    let file = file("beside.toml", &text);
    let run = run(
        &["check", "-c", &file],
        &[("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY)],
    );
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn bad_secret_files_name_path_and_fix() {
    let empty = file("empty.key", " \n");
    for (path, what) in [
        (empty.as_str(), "is empty"),
        ("/nowhere/key", "cannot be read"),
    ] {
        let run = check_env(&[], &["--secret-key-file", path]);
        assert_eq!(run.status, 2);
        let said = format!("flag --secret-key-file: clerk.secret_key_file: {path} {what}");
        assert!(run.stderr.contains(&said), "{}", run.stderr);
        assert!(run.stderr.contains("; "), "{}", run.stderr);
    }
}

#[test]
fn a_secret_given_twice_in_one_place_is_an_error() {
    let run = check_env(
        &[("CLERK_GATEWAY__CLERK__SECRET_KEY_FILE", "/run/key")],
        &[],
    );
    assert_eq!(run.status, 2);
    assert!(
        run.stderr
            .contains("both clerk.secret_key and clerk.secret_key_file"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_secret_from_a_stronger_place_beats_the_other_form() {
    let (_, run) = check(
        "weaker.toml",
        &format!("[clerk]\nsecret_key_file = \"/nowhere\"\n{UPSTREAM}"),
    );
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.line("clerk.secret_key")
            .ends_with("# env CLERK_SECRET_KEY")
    );
}

#[test]
fn cookies_without_parties_or_suffix_are_warned_about() {
    let args = [
        "check",
        "--upstream",
        "http://127.0.0.1:3000",
        "--issuer",
        "https://clerk.example.com",
    ];
    let warned = run(&args, &GOOD_ENV[..1]);
    assert_eq!(warned.status, 0);
    assert!(
        warned
            .stderr
            .contains("warning: clerk.authorized_parties: "),
        "{}",
        warned.stderr
    );
    assert!(
        warned.stderr.contains("warning: clerk.publishable_key: "),
        "{}",
        warned.stderr
    );
    let bearer = ("CLERK_GATEWAY__SESSION__CREDENTIALS", "[\"bearer\"]");
    let quiet = run(&args, &[GOOD_ENV[0], bearer]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn an_upstream_flag_and_upstreams_in_the_file_are_an_error() {
    let file = file("two-upstreams.toml", UPSTREAM);
    let run = run(&["check", "-c", &file, "--upstream", "http://b"], &GOOD_ENV);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("flag --upstream"), "{}", run.stderr);
}

#[test]
fn one_bad_entry_does_not_hide_or_invent_other_problems() {
    let text = "[[upstream]]\nurl = \"http://a\"\n[[route]]\nauth = \"none\"\n[[route]]\npath = \"/*\"\nupstream = \"app\"\ncolour = 1\nhost = \"a b\"\n";
    let (file, run) = check("entries.toml", text);
    let said: Vec<&str> = run.stderr.lines().collect();
    let starts = [
        "1: upstream[0]: name",
        "3: route[0]: path",
        "8: route[1].colour: unknown",
        "9: route[1].host: ",
    ];
    assert_eq!(said.len(), starts.len(), "{}", run.stderr);
    for (said, start) in said.iter().zip(starts) {
        assert!(
            said.starts_with(&format!("error: {file}:{start}")),
            "{said}"
        );
    }
}

#[test]
fn a_mistyped_mode_is_not_taken_for_a_missing_key() {
    let args = ["check", "--upstream", "http://a", "--verify", "networkles"];
    let run = run(&args, &[("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY)]);
    let said = "error: flag --verify: session.verify: unknown value \"networkles\"; did you mean networkless?\n";
    assert_eq!(run.stderr, said);
}
