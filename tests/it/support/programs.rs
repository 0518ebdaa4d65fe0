//! Programs that the tests ask from outside: curl, openssl for certificates, and other proxies.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::process::folder;

/// A key and a certificate for names, as files.
pub(crate) struct Certificate {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Runs a program to its end, and returns its output; panics where it cannot run.
pub(crate) fn output(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Runs curl quietly, and returns whether it was content and what it printed.
pub(crate) fn curl(arguments: &[&str]) -> (bool, String) {
    let mut curl = Command::new("curl");
    output(curl.args(["-sS", "--max-time", "20"]).args(arguments))
}

/// A program of Debian's, or one that pip has put beside the tests.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    // Debian puts servers where only root's PATH leads.
    let path = std::env::var("PATH").unwrap_or_default();
    let pip = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/strangers/.venv/bin");
    command.env("PATH", format!("{}:{path}:/usr/sbin", pip.display()));
    command
}

/// What Python prints that has the packages of the tests.
pub(crate) fn python(code: &str) -> String {
    let (good, said) = output(program("python").args(["-c", code]));
    assert!(good, "{said}");
    said.trim().to_owned()
}

impl Certificate {
    /// One that signs itself, for a name.
    pub(crate) fn for_name(name: &str) -> Self {
        Self::for_days(name, 2)
    }

    /// One that signs itself, and how many days it is good for.
    pub(crate) fn for_days(name: &str, days: u32) -> Self {
        Self::made(name, days, None)
    }

    /// One that `authority` signs.
    pub(crate) fn signed_by(name: &str, authority: &Self) -> Self {
        Self::made(name, 2, Some(authority))
    }

    fn made(name: &str, days: u32, authority: Option<&Self>) -> Self {
        let folder = folder();
        let made = Self {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        let mut openssl = Command::new("openssl");
        openssl
            .args(["req", "-x509", "-nodes", "-newkey", "ec"])
            .args(["-days", &days.to_string()])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-subj", &format!("/CN={name}")])
            .args(["-addext", &format!("subjectAltName=DNS:{name}")])
            .arg("-keyout")
            .arg(&made.key)
            .arg("-out")
            .arg(&made.cert);
        if let Some(authority) = authority {
            openssl.arg("-CA").arg(&authority.cert);
            openssl.arg("-CAkey").arg(&authority.key);
            openssl.args(["-addext", "basicConstraints=critical,CA:false"]);
        }
        let (done, said) = output(&mut openssl);
        assert!(done, "{said}");
        made
    }

    /// The lines of a `[[server.tls]]`.
    pub(crate) fn section(&self) -> String {
        format!(
            "[[server.tls]]\ncert = \"{}\"\nkey = \"{}\"\n",
            self.cert.display(),
            self.key.display()
        )
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
