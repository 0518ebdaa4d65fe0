//! The tokens that are sent, and the stand-in for Clerk that knows their sessions.

use std::{fs, path::PathBuf, time::Duration};

use clerk_gateway::sandbox::Sandbox;

/// One token alone, and many in turn, in files.
pub(crate) struct Tokens {
    pub(crate) sandbox: Sandbox,
    pub(crate) same: PathBuf,
    pub(crate) many: PathBuf,
    pub(crate) count: usize,
}

impl Tokens {
    pub(crate) async fn mint(directory: &std::path::Path, count: usize) -> Self {
        let sandbox = Sandbox::builder()
            .token_lifetime(Duration::from_secs(6 * 60 * 60))
            .start()
            .await
            .unwrap();
        let (same, many) = (directory.join("same.txt"), directory.join("many.txt"));
        fs::write(&same, sandbox.session_token()).unwrap();
        let lines = (0..count).map(|_| sandbox.mint(&sandbox.create_session(sandbox.user_id())));
        fs::write(&many, lines.collect::<Vec<_>>().join("\n")).unwrap();
        Self {
            sandbox,
            same,
            many,
            count,
        }
    }
}
