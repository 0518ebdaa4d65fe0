//! Clerk's own SDKs and an OpenAPI tester find nothing wrong with the sandbox.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clerk_gateway::sandbox::Sandbox;

fn strangers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/strangers")
}

fn python(program: &str) -> Command {
    Command::new(strangers().join(".venv/bin").join(program))
}

fn environment(sandbox: &Sandbox) -> [(&'static str, String); 7] {
    [
        ("CLERK_API_URL", sandbox.url().to_owned()),
        ("CLERK_SECRET_KEY", sandbox.secret_key().to_owned()),
        (
            "CLERK_PUBLISHABLE_KEY",
            sandbox.publishable_key().to_owned(),
        ),
        ("CLERK_JWT_KEY", sandbox.jwt_key()),
        ("CLERK_USER_ID", sandbox.user_id().to_owned()),
        ("CLERK_SESSION_ID", sandbox.session_id().to_owned()),
        ("CLERK_SESSION_TOKEN", sandbox.session_token().to_owned()),
    ]
}

/// Runs a stranger's program to its end, and fails with all it said.
async fn run(sandbox: &Sandbox, mut command: Command) {
    let shown = format!("{command:?}");
    command.envs(environment(sandbox));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap();
    let output = output.unwrap_or_else(|error| panic!("{shown}: {error}: tests/run installs it"));
    assert!(
        output.status.success(),
        "{shown}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Clerk's SDKs; tests/run installs them"]
async fn clerks_javascript_sdk_works_unchanged() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut command = Command::new("node");
    command.arg(strangers().join("clerk_backend.mjs"));
    run(&sandbox, command).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Clerk's SDKs; tests/run installs them"]
async fn clerks_python_sdk_works_unchanged() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut command = python("python");
    command.arg(strangers().join("clerk_backend_api.py"));
    run(&sandbox, command).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Clerk's SDKs; tests/run installs them"]
async fn schemathesis_finds_no_error_and_no_violation() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let mut command = python("schemathesis");
    command
        // It leaves a cache where it runs.
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .arg("run")
        .arg(format!("{}/openapi.json", sandbox.url()))
        .arg(format!(
            "--header=Authorization: Bearer {}",
            sandbox.secret_key()
        ))
        .args([
            "--max-examples=25",
            "--no-color",
            "--generation-database=none",
            "--seed=1",
        ])
        // A name that is taken is a valid request, refused all the same.
        .arg("--exclude-checks=positive_data_acceptance");
    run(&sandbox, command).await;
}
