//! The command line: a file a command.

mod check;
mod completions;
mod config_args;
mod schema;
mod sessions;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry::logs::{self, Format};

/// The exit status for bad usage and bad configuration.
const BAD_USAGE: u8 = 2;

/// Verifies Clerk sessions in front of any service.
#[derive(Debug, Parser)]
#[command(name = "clerk-gateway", version, about, arg_required_else_help = true)]
struct Cli {
    /// How logs are written on stderr.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate the configuration; print what would run and where each value came from.
    Check(Box<check::Args>),
    /// Print a shell's completion script.
    Completions(completions::Args),
    /// Print the JSON schema of the configuration file.
    Schema,
}

/// Runs the program that the process's arguments ask for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = logs::init(cli.log_format) {
        eprintln!("error: {error}");
        return ExitCode::from(BAD_USAGE);
    }
    match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Schema => schema::run(),
    }
}

/// Writes a command's answer; a reader that has gone away is no failure.
fn print(text: &str) -> ExitCode {
    use std::io::{ErrorKind, Write, stdout};

    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to stdout: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
