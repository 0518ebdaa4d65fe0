//! The command line: a file a command.

mod build;
mod build_hasura;
mod build_own;
mod build_route;
mod build_shared;
mod certificates;
mod check;
mod check_online;
mod completions;
mod config_args;
mod dev;
mod explain;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod runtime;
mod sandbox;
mod schema;
mod serve;
mod sessions;
mod setup;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry::{
    logs::{self, Format},
    trace,
};

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
    /// Run sandbox, demo upstream and gateway in one process, and print lines to try it with.
    Dev(dev::Args),
    /// Say which route a request meets, what it presents, and which check decides.
    Explain(Box<explain::Args>),
    /// Run an in-memory Clerk for SDKs, tests and local work.
    Sandbox(Box<sandbox::SandboxArgs>),
    /// Print the JSON schema of the configuration file.
    Schema,
    /// Run the gateway.
    Serve(Box<serve::Args>),
    /// Use the Sessions API from a shell, with CLERK_SECRET_KEY (and CLERK_API_URL).
    Sessions(Box<sessions::SessionsArgs>),
}

/// Runs the program that the process's arguments ask for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = logs::init(cli.log_format) {
        eprintln!("error: {error}");
        return ExitCode::from(BAD_USAGE);
    }
    if let Err(error) = trace::init() {
        eprintln!("error: {error}");
        return ExitCode::from(BAD_USAGE);
    }
    let status = run(cli.command);
    trace::shut_down();
    status
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Check(args) => check::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Dev(args) => dev::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Sandbox(args) => run_sandbox(*args),
        Command::Schema => schema::run(),
        Command::Serve(args) => serve::run(&args),
        Command::Sessions(args) => run_sessions(*args),
    }
}

fn run_sandbox(args: sandbox::SandboxArgs) -> ExitCode {
    let runtime = match runtime::runtime(0) {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    match runtime.block_on(sandbox::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(BAD_USAGE)
        }
    }
}

fn run_sessions(args: sessions::SessionsArgs) -> ExitCode {
    let runtime = match runtime::runtime(1) {
        Ok(runtime) => runtime,
        Err(status) => return status,
    };
    let out = &mut std::io::stdout();
    let outcome = if args.is_for_a_gateway() {
        runtime.block_on(sessions::run_on_gateway(args, out))
    } else {
        let client = match sessions::client_from_env() {
            Ok(client) => client,
            Err(message) => {
                eprintln!("error: {message}");
                return ExitCode::from(BAD_USAGE);
            }
        };
        runtime.block_on(sessions::run(args, client, out))
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
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
