//! Runs the sandbox in-process: `cargo run --example sandbox`.

use clerk_gateway::sandbox::{Sandbox, SandboxError};

#[tokio::main]
async fn main() -> Result<(), SandboxError> {
    let sandbox = Sandbox::builder().start().await?;
    print!("{}", sandbox.env_lines());
    eprintln!(
        "an in-memory Clerk for development at {}; Ctrl-C ends it",
        sandbox.url()
    );
    // Only a missing signal handler is an error here, and then the sandbox just ends.
    let _ = tokio::signal::ctrl_c().await;
    sandbox.shutdown().await;
    Ok(())
}
