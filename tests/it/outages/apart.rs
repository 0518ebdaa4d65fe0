//! Clerk as a process of its own, which can be killed: a sandbox that holds what another one was seen to hold.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Mutex};

use clerk_gateway::sandbox::{Sandbox, Seed, SeedSession, SeedTemplate, SeedUser};

use crate::support::process::{Running, command, folder, free_address};

pub(super) struct Apart {
    pub(super) address: SocketAddr,
    seed: PathBuf,
    process: Mutex<Option<Running>>,
}

impl Apart {
    /// Starts with these sessions. Both sandboxes must be deterministic: then they have the same keys.
    pub(super) fn start(sandbox: &Sandbox, sessions: &[&str]) -> Self {
        let seeded = |id: &&str| {
            let session = sandbox.session(id).unwrap();
            SeedSession {
                id: Some(session.id),
                user: Some(session.user_id),
                status: Some(session.status),
                ..SeedSession::default()
            }
        };
        let sessions: Vec<_> = sessions.iter().map(seeded).collect();
        let mut users: Vec<_> = sessions
            .iter()
            .map(|session| session.user.clone())
            .collect();
        users.sort();
        users.dedup();
        let user = |id| SeedUser {
            id,
            ..SeedUser::default()
        };
        let seed = Seed {
            users: users.into_iter().map(user).collect(),
            sessions,
            templates: vec![wanted()],
            ..Seed::default()
        };
        let file = folder().join("seed.json");
        std::fs::write(&file, serde_json::to_string(&seed).unwrap()).unwrap();
        let apart = Self {
            address: free_address(),
            seed: file,
            process: Mutex::new(None),
        };
        apart.start_again();
        apart
    }

    pub(super) fn kill(&self) {
        let mut process = self.process.lock().unwrap().take().unwrap();
        process.signal("KILL");
        assert_eq!(process.status(), None, "it ended by itself");
    }

    pub(super) fn start_again(&self) {
        let mut command = command();
        command.args(["sandbox", "--deterministic", "--listen"]);
        command.arg(self.address.to_string());
        command.arg("--seed").arg(&self.seed).stdout(Stdio::null());
        let running = Running::start(command, self.address);
        *self.process.lock().unwrap() = Some(running);
    }
}

/// The template that only newcomers need.
pub(super) fn wanted() -> SeedTemplate {
    SeedTemplate {
        name: "wanted".to_owned(),
        ..SeedTemplate::default()
    }
}
