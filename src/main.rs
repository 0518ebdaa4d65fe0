//! The binary: hands over to the command line.

use std::process::ExitCode;

// The C library's own takes a tenth of a request's time, and gives little back of what busy connections have used.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    clerk_gateway::cli::main()
}
