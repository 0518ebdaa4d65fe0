//! The examples run and show what they say; the example configurations are accepted.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::cli_check::run;

/// `cargo test` builds the examples beside the tests: target/<profile>/examples.
fn example(name: &str) -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_clerk-gateway"));
    binary.parent().unwrap().join("examples").join(name)
}

fn output(name: &str) -> String {
    let path = example(name);
    let output = Command::new(&path)
        .output()
        .unwrap_or_else(|error| panic!("{} (cargo build --examples): {error}", path.display()));
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn shows(name: &str, parts: &[&str]) {
    let shown = output(name);
    for part in parts {
        assert!(shown.contains(part), "{name} lacks {part:?}:\n{shown}");
    }
}

#[test]
fn axum_router_shows_who_may_see_what() {
    let parts = ["hello, stranger", "401 ", "you are user_", "may change the settings"];
    shows("axum_router", &parts);
}

#[test]
fn plain_tower_service_shows_the_session() {
    let parts = ["401 Unauthorized", "200 OK session sess_"];
    shows("plain_tower_service", &parts);
}

#[test]
fn behind_gateway_shows_that_the_app_verifies_for_itself() {
    let parts = [
        "signed out: 401",
        "signed in: 200",
        "the gateway says user_",
        "the token proves user_",
        "past the gateway, with a forged header: 401",
    ];
    shows("behind_gateway", &parts);
}

#[test]
fn hasura_gateway_shows_the_claims_of_one_minted_token() {
    let parts = [
        "signed out: 401",
        "signed in: 200",
        "\"x-hasura-default-role\": \"user\"",
        "\"x-hasura-user-id\": \"user_",
        "tokens minted for three requests: 1",
    ];
    shows("hasura_gateway", &parts);
}

#[test]
fn sessions_api_shows_a_sessions_life() {
    let parts = ["created sess_", "revoked sess_", "resource_not_found"];
    shows("sessions_api", &parts);
}

#[test]
fn sandbox_prints_its_keys_and_serves() {
    let mut child = Command::new(example("sandbox"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let address = line.trim_end_matches("'\n").rsplit('/').next().unwrap();
    let connected = std::net::TcpStream::connect(address);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(connected.is_ok(), "{line}");
}

#[test]
fn example_configurations_are_accepted_without_a_warning() {
    let key = [("CLERK_SECRET_KEY", "sk_test_example")];
    for name in ["hasura", "postgrest", "supabase"] {
        let file = format!("config/{name}.toml");
        let run = run(&["check", "-c", &file], &key);
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        assert_eq!(run.stderr, "", "{name}");
        let template = format!("route[0].token.template = \"{name}\" # {file}:");
        let line = run.line("route[0].token.template");
        assert!(line.starts_with(&template) || line.contains(name), "{line}");
    }
}
