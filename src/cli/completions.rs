//! `completions`: prints a shell's completion script.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the script for the given shell.
pub(super) fn run(args: &Args) -> ExitCode {
    let mut script = Vec::new();
    let mut command = super::Cli::command();
    generate(args.shell, &mut command, "clerk-gateway", &mut script);
    super::print(&String::from_utf8_lossy(&script))
}
