//! `clerk-gateway dev`: sandbox, demo upstream and gateway in one process, offline.

mod demo_upstream;

use std::{fmt::Write as _, io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use super::{
    config_args::{report, warn},
    runtime::runtime,
    sandbox::{new_signing_secret, write_env_file},
    serve::{self, Running, StartError},
    setup::Setup,
};
use crate::{
    config::{self, Loaded},
    sandbox::{Sandbox, SandboxError},
};

/// Runs the sandbox, a demo upstream and the gateway in front of it, and prints lines to try it with.
///
/// A development tool: everything is on loopback, in memory, and gone when it ends.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the gateway listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where /livez, /readyz and /metrics are served; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    admin: SocketAddr,
    /// Writes the dotenv lines to a file too, once all of it listens.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// Where the gateway takes webhooks unless told otherwise.
const WEBHOOKS: &str = "/-/webhooks/clerk";

/// Why `dev` cannot start.
#[derive(Debug, thiserror::Error)]
enum DevError {
    #[error("the demo upstream cannot listen: {0}")]
    DemoUpstream(#[from] std::io::Error),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Start(#[from] StartError),
    /// Already reported.
    #[error("the built-in configuration is refused")]
    Reported(ExitCode),
}

pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = match runtime(0) {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    match runtime.block_on(serve_all(args)) {
        Ok(status) | Err(DevError::Reported(status)) => status,
        Err(DevError::Start(error)) => error.report(),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve_all(args: &Args) -> Result<ExitCode, DevError> {
    let sandbox = Sandbox::builder().start().await?;
    let upstream = demo_upstream::start(&sandbox).await?;
    let secret = new_signing_secret();
    let loaded = load(args, &sandbox, upstream, &secret).map_err(DevError::Reported)?;
    let setup = Setup::new(&loaded).map_err(DevError::Reported)?;
    let running = serve::start(setup, None)?;
    let webhooks = format!("http://{}{WEBHOOKS}", running.address);
    sandbox.send_webhooks_to(&webhooks, &secret)?;
    let lines = sandbox.env_lines();
    if let Some(path) = &args.env_file {
        write_env_file(path, &lines)?;
    }
    let stop = serve::stop_signal();
    let text = lines + &guide(&sandbox, &running);
    // Nobody has to listen on stdout: with --env-file it may well be closed.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let status = running.until(stop).await;
    sandbox.shutdown().await;
    Ok(status)
}

/// Loads the built-in configuration, by the way that every other one takes.
fn load(
    args: &Args,
    sandbox: &Sandbox,
    upstream: SocketAddr,
    secret: &str,
) -> Result<Loaded, ExitCode> {
    let text = include_str!("dev.toml")
        .replace("$LISTEN", &args.listen.to_string())
        .replace("$ADMIN", &args.admin.to_string())
        .replace("$API_URL", sandbox.url())
        .replace("$SECRET_KEY", sandbox.secret_key())
        .replace("$PUBLISHABLE_KEY", sandbox.publishable_key())
        .replace("$WEBHOOK_SECRET", secret)
        .replace("$UPSTREAM", &upstream.to_string());
    let sources = config::Sources {
        built_in: Some(text),
        ..config::Sources::default()
    };
    let loaded = config::load(&sources).map_err(|error| report(&error))?;
    warn(&loaded.warnings);
    Ok(loaded)
}

/// The lines to paste: each does what its comment says, in this order.
fn guide(sandbox: &Sandbox, running: &Running) -> String {
    let gateway = format!("http://{}", running.address);
    let token = sandbox.session_token();
    let bearer = format!("-H 'Authorization: Bearer {token}'");
    let session = format!("{}/v1/sessions/{}", sandbox.url(), sandbox.session_id());
    let secret = format!("-H 'Authorization: Bearer {}'", sandbox.secret_key());
    let mut lines = vec![
        (
            "Without a session: 401, code session-token-missing",
            format!("curl -i {gateway}/hello"),
        ),
        (
            "With the session token: 200; the upstream shows the managed headers and a verified template token",
            format!("curl -i {bearer} {gateway}/hello"),
        ),
        (
            "The session cookie does as well",
            format!("curl -i -H 'Cookie: __session={token}' {gateway}/hello"),
        ),
        (
            "Forged headers do not arrive, in any spelling",
            format!(
                "curl -i {bearer} -H 'X-Clerk-User-Id: user_admin' -H 'X_Clerk_Org_Role: org:admin' {gateway}/hello"
            ),
        ),
        (
            "A public route never looks at credentials: 200, no managed headers",
            format!("curl -i -H 'X-Clerk-User-Id: user_admin' {gateway}/public/hello"),
        ),
        (
            "Revoke the session at Clerk's Sessions API, which is the sandbox here",
            format!("curl -i -X POST {secret} {session}/revoke"),
        ),
    ];
    // Between the two, so that the webhook has time to arrive.
    if let Some(admin) = running.admin {
        lines.push((
            "What the gateway has counted; meanwhile a webhook tells it of the revocation",
            format!("curl -s http://{admin}/metrics"),
        ));
    }
    lines.push((
        "The same token again: 401, code session-revoked",
        format!("curl -i {bearer} {gateway}/hello"),
    ));
    let mut text = String::new();
    for (comment, line) in lines {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n# {comment}\n{line}\n");
    }
    text
}
