//! The binary: hands over to the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    clerk_gateway::cli::main()
}
