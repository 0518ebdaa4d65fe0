//! The flags that say or override what the configuration file says.

use std::{path::PathBuf, process::ExitCode};

use crate::config::{self, ConfigError, Flag, Loaded, Problem, Sources};

use super::BAD_USAGE;

/// Where the configuration comes from, beside the environment.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub(super) struct ConfigArgs {
    /// The configuration file (TOML).
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Protect the service at this URL, without a file that names it.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where requests come in, as in 127.0.0.1:8080.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// The instance's publishable key.
    #[arg(long, value_name = "KEY")]
    publishable_key: Option<String>,
    /// The issuer that tokens must name.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The file that holds the instance's secret key.
    #[arg(long, value_name = "FILE")]
    secret_key_file: Option<String>,
    /// The file that holds the instance's public key (PEM).
    #[arg(long, value_name = "FILE")]
    jwt_key_file: Option<String>,
    /// Clerk's Backend API.
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// How sessions are proven: sessions-api or networkless.
    #[arg(long, value_name = "MODE")]
    verify: Option<String>,
}

impl ConfigArgs {
    /// Loads the configuration from file, environment and flags.
    ///
    /// # Errors
    ///
    /// The exit status, after every problem was written to stderr.
    pub(super) fn load(&self) -> Result<Loaded, ExitCode> {
        let loaded = self.read().map_err(|error| report(&error))?;
        warn(&loaded.warnings);
        Ok(loaded)
    }

    /// Loads it without a word.
    ///
    /// # Errors
    ///
    /// Every problem.
    pub(super) fn read(&self) -> Result<Loaded, ConfigError> {
        config::load(&self.sources())
    }

    fn sources(&self) -> Sources {
        let flags = [
            ("--listen", "server", "listen", &self.listen),
            ("--admin", "server", "admin", &self.admin),
            (
                "--publishable-key",
                "clerk",
                "publishable_key",
                &self.publishable_key,
            ),
            ("--issuer", "clerk", "issuer", &self.issuer),
            (
                "--secret-key-file",
                "clerk",
                "secret_key_file",
                &self.secret_key_file,
            ),
            (
                "--jwt-key-file",
                "clerk",
                "jwt_key_file",
                &self.jwt_key_file,
            ),
            ("--api-url", "clerk", "api_url", &self.api_url),
            ("--verify", "session", "verify", &self.verify),
        ];
        let given = |(name, section, key, value): (_, _, _, &Option<String>)| {
            let value = value.clone()?;
            Some(Flag {
                name,
                section,
                key,
                value,
            })
        };
        Sources {
            file: self.config.clone(),
            env: config::process_env(),
            flags: flags.into_iter().filter_map(given).collect(),
            upstream: self.upstream.clone(),
            built_in: None,
        }
    }
}

/// Writes warnings to stderr.
pub(super) fn warn(warnings: &[Problem]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// Writes every problem to stderr, and returns the status to exit with.
pub(super) fn report(error: &ConfigError) -> ExitCode {
    for problem in &error.problems {
        eprintln!("error: {problem}");
    }
    ExitCode::from(BAD_USAGE)
}
