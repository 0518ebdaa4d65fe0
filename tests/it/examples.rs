//! The examples run and show what they say; the example configurations can be run.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Examples are built beside the tests: target/<profile>/examples.
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

#[test]
fn examples_show_what_they_say() {
    for (name, lines) in [
        (
            "axum_router",
            &[
                "hello, stranger",
                "you are user_",
                "may change the settings",
            ][..],
        ),
        (
            "plain_tower_service",
            &["401 Unauthorized", "200 OK session sess_"],
        ),
        (
            "behind_gateway",
            &[
                "through the gateway: 200",
                "past the gateway: 401 Unauthorized",
            ],
        ),
        (
            "hasura_gateway",
            &["x-hasura-user-id", "three requests, 1 token minted"],
        ),
        (
            "sessions_api",
            &["created sess_", "revoked sess_", "resource_not_found"],
        ),
    ] {
        let shown = output(name);
        for line in lines {
            assert!(shown.contains(line), "{name} lacks {line:?}:\n{shown}");
        }
    }
}

#[test]
fn example_configurations_are_accepted() {
    for name in ["hasura", "minimal", "postgrest", "supabase"] {
        let file = format!("{}/config/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(env!("CARGO_BIN_EXE_clerk-gateway"))
            .args(["check", "-c", &file])
            .env("CLERK_SECRET_KEY", "sk_test_example")
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
}
