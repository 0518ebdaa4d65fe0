//! `clerk-gateway sandbox`: the in-memory Clerk alone.

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use super::serve::stop_signal;
use crate::sandbox::{Outage, RateLimit, Sandbox, SandboxError, Seed};

/// Runs an in-memory Clerk for SDKs, tests and local work: a development tool, never for production.
///
/// Prints dotenv lines that point Clerk's SDKs and the gateway at it, then serves until SIGINT or
/// SIGTERM.
#[derive(Args, Debug)]
pub(crate) struct SandboxArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Allows an address that other machines can reach; whoever reaches it has every key
    #[arg(long)]
    allow_remote: bool,
    /// Limits requests as Clerk does: 100 or 1000 in 10 seconds
    #[arg(long, value_name = "KIND")]
    rate_limit: Option<Limit>,
    /// Sends signed webhooks of users, sessions, memberships and organizations there
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// The secret that signs webhooks; absent: one is made and printed
    #[arg(long, value_name = "SECRET", env = "CLERK_WEBHOOK_SIGNING_SECRET", hide_env_values = true, value_parser = secret)]
    webhook_secret: Option<SecretString>,
    /// Starts with this content: JSON, or TOML where the name ends in .toml
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Counts IDs and signs with a built-in key, so that output repeats
    #[arg(long)]
    deterministic: bool,
    /// Writes the dotenv lines to a file too, once it listens
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Delays every answer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency: u64,
    /// Answers this share of requests with 500
    #[arg(long, value_name = "0..1", default_value_t = 0.0, value_parser = share)]
    error_rate: f64,
    /// Drops every connection
    #[arg(long)]
    outage: bool,
}

/// Whose limits are imitated.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Limit {
    Development,
    Production,
}

/// Runs the sandbox until SIGINT or SIGTERM.
///
/// # Errors
///
/// [`SandboxError`] where it cannot start, or the dotenv file cannot be written.
pub(crate) async fn run(args: SandboxArgs) -> Result<(), SandboxError> {
    let mut builder = Sandbox::builder().listen(args.listen);
    if args.allow_remote {
        builder = builder.allow_remote();
    }
    if args.deterministic {
        builder = builder.deterministic();
    }
    if let Some(limit) = args.rate_limit {
        builder = builder.rate_limit(limit.into());
    }
    if let Some(path) = &args.seed {
        builder = builder.seed(Seed::read(path)?);
    }
    let mut webhook_line = String::new();
    if let Some(url) = &args.webhook {
        let secret = args
            .webhook_secret
            .as_ref()
            .map_or_else(new_signing_secret, |secret| {
                secret.expose_secret().to_owned()
            });
        webhook_line = format!("CLERK_WEBHOOK_SIGNING_SECRET='{secret}'\n");
        builder = builder.webhook(url, secret);
    }
    let sandbox = builder.start().await?;
    make_trouble(&sandbox, &args);
    let lines = sandbox.env_lines() + &webhook_line;
    if let Some(path) = &args.env_file {
        write_env_file(path, &lines)?;
    }
    let stop = stop_signal();
    // Nobody has to listen on stdout: with --env-file it may well be closed.
    let _ = std::io::stdout().write_all(lines.as_bytes());
    stop.await;
    sandbox.shutdown().await;
    Ok(())
}

/// Writes dotenv lines to a file of the user's own, by rename, so that no reader sees half of it.
///
/// # Errors
///
/// [`SandboxError::EnvFile`] where the file cannot be written.
pub(super) fn write_env_file(path: &Path, lines: &str) -> Result<(), SandboxError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let draft = path.with_file_name(name);
    write_private(&draft, lines)
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|source| SandboxError::EnvFile {
            path: path.to_owned(),
            source,
        })
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

fn make_trouble(sandbox: &Sandbox, args: &SandboxArgs) {
    let faults = sandbox.faults();
    faults.latency(Duration::from_millis(args.latency));
    faults.errors(args.error_rate, 500);
    faults.outage(args.outage.then_some(Outage::Dropped));
}

/// Makes a secret that signs webhooks.
pub(super) fn new_signing_secret() -> String {
    let mut key = [0; 32];
    // The system's generator does not fail on any platform this runs on.
    let _ = aws_lc_rs::rand::fill(&mut key);
    format!("whsec_{}", STANDARD.encode(key))
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if !(0.0..=1.0).contains(&share) {
        return Err("must be between 0 and 1".to_owned());
    }
    Ok(share)
}

fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}

impl From<Limit> for RateLimit {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Development => Self::Development,
            Limit::Production => Self::Production,
        }
    }
}
