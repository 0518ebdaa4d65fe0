//! Logs on stderr: the filter and the form.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt};

/// The variable that says what is logged, in `RUST_LOG`'s language; it beats `RUST_LOG`.
const VARIABLES: [&str; 2] = ["CLERK_GATEWAY_LOG", "RUST_LOG"];

/// How log lines are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LogError {
    /// A variable does not hold a filter.
    #[error("{name} is not a log filter: {source}; write it as in info,clerk_gateway=debug")]
    Filter {
        name: &'static str,
        source: tracing_subscriber::filter::ParseError,
    },
    /// There is a subscriber already.
    #[error("logs are set up already")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends the process's logs to stderr, from `info` on unless a variable says otherwise.
///
/// # Errors
///
/// [`LogError`] where a variable holds no filter, or where it was called before.
pub(crate) fn init(format: Format) -> Result<(), LogError> {
    let given = VARIABLES.iter().find_map(|name| {
        let text = std::env::var(name).ok()?;
        (!text.trim().is_empty()).then_some((*name, text))
    });
    let filter = match given {
        Some((name, text)) => {
            EnvFilter::try_new(text).map_err(|source| LogError::Filter { name, source })?
        }
        None => EnvFilter::new("info"),
    };
    let lines = fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr);
    match format {
        Format::Json => lines.json().flatten_event(true).finish().try_init()?,
        Format::Text => lines.finish().try_init()?,
    }
    Ok(())
}
