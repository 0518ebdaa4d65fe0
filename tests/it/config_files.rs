//! The configuration files that come along: what they say is what holds.

use crate::{
    cli_check::{Run, file, run},
    config::{GOOD_ENV, check_env},
};

#[test]
fn the_file_for_decisions_works() {
    let run = run(&["check", "-c", "config/decision.toml"], &GOOD_ENV[..1]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

#[test]
fn the_readme_has_every_file() {
    let readme = include_str!("../../README.md");
    for entry in std::fs::read_dir("config").unwrap() {
        let path = entry.unwrap().path().display().to_string();
        assert!(readme.contains(&format!("]({path})")), "{path}");
    }
}

#[test]
fn the_minimal_file_works() {
    let run = run(&["check", "-c", "config/minimal.toml"], &GOOD_ENV[..1]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn the_files_for_neighbours_are_without_a_complaint() {
    for name in ["hasura", "hasura-webhook", "postgrest", "supabase"] {
        let file = format!("config/{name}.toml");
        let run = run(
            &["check", "-c", &file],
            &[("CLERK_SECRET_KEY", "sk_test_a")],
        );
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        assert!(!run.stderr.contains("error"), "{name}: {}", run.stderr);
    }
}

#[test]
fn the_full_file_gives_exactly_the_defaults() {
    let values = |run: &Run| -> Vec<String> {
        let value = |line: &str| line.split("  # ").next().unwrap().trim_end().to_owned();
        run.stdout.lines().map(value).collect()
    };
    let without = check_env(&[], &[]);
    let with = check_env(&[], &["-c", "config/clerk-gateway.toml"]);
    assert_eq!(with.status, 0, "{}", with.stderr);
    assert_eq!(values(&with), values(&without));
    let unsaid = with
        .stdout
        .lines()
        .filter(|line| line.ends_with("# default"));
    let unsaid: Vec<&str> = unsaid
        .filter(|line| !line.starts_with(['u', 'r']))
        .collect();
    assert_eq!(unsaid, Vec::<&str>::new());
}

#[test]
fn the_full_file_names_every_key_of_the_schema() {
    let text = std::fs::read_to_string("config/clerk-gateway.toml").unwrap();
    let schema: serde_json::Value = serde_json::from_str(&run(&["schema"], &[]).stdout).unwrap();
    let mut count = 0;
    for definition in schema["$defs"].as_object().unwrap().values() {
        let keys = definition["properties"].as_object();
        for key in keys.into_iter().flat_map(|keys| keys.keys()) {
            let named = [
                format!("\n{key} = "),
                format!("\n#{key} = "),
                format!(" {key} = "),
                format!(".{key}]]"),
            ];
            assert!(named.iter().any(|named| text.contains(named)), "{key}");
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn what_the_full_file_comments_out_is_known_and_well_formed() {
    let text = std::fs::read_to_string("config/clerk-gateway.toml").unwrap();
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(code) if !code.starts_with(' ') => code,
            _ => line,
        })
        .collect();
    let file = file("uncommented.toml", &uncommented.join("\n"));
    let run = run(&["check", "-c", &file], &[]);
    let said: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.starts_with("error"))
        .collect();
    // Nothing but what cannot stand beside its alternative, or names a file that is not here.
    let expected = [
        ("clerk.secret_key_file", "both "),
        ("clerk.jwt_key_file", "both "),
        ("server.admin_token_file", "/"),
        ("server.client_ca", "/"),
        ("server.tls[0].cert", "/"),
        ("server.tls[0].key", "/"),
        ("shared.url_file", "both "),
        ("upstream[0].urls", "both "),
        ("upstream[0].ca_file", "/"),
        ("upstream[0].client_cert_file", "/"),
        ("upstream[0].client_key_file", "/"),
    ];
    assert_eq!(said.len(), expected.len(), "{}", run.stderr);
    for (said, (key, what)) in said.iter().zip(expected) {
        assert!(said.contains(&format!(": {key}: {what}")), "{said}");
    }
}
