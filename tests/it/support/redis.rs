//! A Redis of the test's own, which keeps nothing on disk.

use std::{net::SocketAddr, path::PathBuf, process::Command};

use super::{
    process::{Running, folder, free_address},
    programs::{output, program},
};

pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    server: Option<Running>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let mut redis = Self {
            address: free_address(),
            folder: folder(),
            server: None,
        };
        redis.start_again();
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Starts it where it was, with nothing in it.
    pub(crate) fn start_again(&mut self) {
        let mut server = program("redis-server");
        let port = self.address.port().to_string();
        server.args(["--bind", "127.0.0.1", "--port", &port]);
        server.args(["--save", "", "--appendonly", "no", "--dir"]);
        server.arg(&self.folder);
        server.arg("--logfile").arg(self.folder.join("log"));
        self.server = Some(Running::start(server, self.address));
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.signal("KILL");
        assert_eq!(server.status(), None);
    }

    /// Stops it without closing its connections, or has it go on.
    pub(crate) fn signal(&self, name: &str) {
        self.server.as_ref().unwrap().signal(name);
    }

    /// What redis-cli prints, without the last line's end.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &self.address.port().to_string()]);
        let (good, said) = output(cli.args(arguments));
        assert!(good, "{said}");
        said.trim_end().to_owned()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = self.cli(&["--scan"]);
        keys.lines().map(str::to_owned).collect()
    }
}
