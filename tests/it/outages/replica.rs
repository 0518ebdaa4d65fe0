//! One gateway of a row: where it is, and its process, which may go and come back.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::support::process::{Running, command, folder, get, raw, shift_clock, status_of};

pub(super) struct Replica {
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) file: PathBuf,
    secret_key: String,
    clock: Option<&'static str>,
    process: Mutex<Running>,
}

impl Replica {
    /// Starts a gateway whose configuration names these addresses; its clock is shifted by what a file of libfaketime says.
    pub(super) fn start(
        (address, admin): (SocketAddr, SocketAddr),
        text: &str,
        secret_key: &str,
        clock: Option<&'static str>,
    ) -> Self {
        let file = folder().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let running = Running::start(serve(&file, secret_key, clock), address);
        Self {
            address,
            admin,
            file,
            secret_key: secret_key.to_owned(),
            clock,
            process: Mutex::new(running),
        }
    }

    pub(super) fn kill(&self) {
        let mut process = self.process();
        process.signal("KILL");
        assert_eq!(process.status(), None, "it ended by itself");
    }

    pub(super) fn start_again(&self) {
        let command = serve(&self.file, &self.secret_key, self.clock);
        let next = Running::start(command, self.address);
        let last = std::mem::replace(&mut *self.process(), next);
        let stderr = last.stderr();
        assert!(!stderr.contains("panicked"), "{stderr}");
    }

    pub(super) fn hang_up(&self) {
        self.process().signal("HUP");
    }

    pub(super) fn resident_kib(&self) -> u64 {
        self.process().resident_kib()
    }

    pub(super) fn stderr(&self) -> String {
        self.process().stderr()
    }

    /// Waits until it has, or has not, the Redis that it shares.
    pub(super) async fn finds_redis(&self, there: bool) {
        let line = format!("clerk_gateway_shared_up {}\n", u8::from(there));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !get(self.admin, "/metrics", &[]).contains(&line) {
            assert!(Instant::now() < deadline, "never: {line}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it refuses a token by itself.
    pub(super) async fn comes_to_refuse(&self, token: &str) {
        let bearer = format!("Authorization: Bearer {token}");
        let deadline = Instant::now() + Duration::from_secs(20);
        // None of the load's requests has this number.
        let number = format!("X-Number: {}", u64::MAX);
        let ask = || get(self.address, "/networkless/x", &[&bearer, &number]);
        while status_of(&ask()) != 401 {
            assert!(Instant::now() < deadline, "never refused");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Revokes a session by the admin port.
    pub(super) fn revoke(&self, session: &str) {
        let request = format!(
            "POST /sessions/{session}/revoke HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let answer = raw(self.admin, request.as_bytes());
        assert_eq!(status_of(&answer), 200, "{answer}");
    }

    fn process(&self) -> MutexGuard<'_, Running> {
        self.process.lock().unwrap()
    }
}

fn serve(file: &Path, secret_key: &str, clock: Option<&str>) -> Command {
    let mut command = command();
    command.args(["serve", "-c"]).arg(file);
    command.env("CLERK_SECRET_KEY", secret_key);
    if let Some(file) = clock {
        shift_clock(&mut command, file);
    }
    command
}
