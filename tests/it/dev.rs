//! `clerk-gateway dev`: every printed line does what its comment says.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::support::process::{command, folder, free_address, run, signal};

struct Dev {
    child: Child,
    lines: Vec<String>,
}

impl Dev {
    fn start() -> (Self, std::path::PathBuf) {
        let env_file = folder().join("env");
        let mut child = command()
            .args(["dev", "--listen", &free_address().to_string()])
            .arg("--env-file")
            .arg(&env_file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        for line in stdout.lines().map_while(Result::ok) {
            let last = lines
                .last()
                .is_some_and(|comment: &String| comment.starts_with("# The same token again"));
            lines.push(line);
            if last {
                break;
            }
        }
        (Self { child, lines }, env_file)
    }

    /// The curl line under the comment that begins so, run by a shell.
    fn run(&self, comment: &str) -> String {
        let starts = |line: &String| line.starts_with(&format!("# {comment}"));
        let at = self.lines.iter().position(starts);
        let at = at.unwrap_or_else(|| panic!("no line under {comment:?}"));
        let line = self.lines[at + 1].replace("curl ", "curl -s ");
        assert!(line.starts_with("curl "), "{line}");
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn variable(&self, name: &str) -> String {
        let prefix = format!("{name}='");
        let line = self.lines.iter().find(|line| line.starts_with(&prefix));
        let line = line.unwrap_or_else(|| panic!("no {name}"));
        line[prefix.len()..line.len() - 1].to_owned()
    }

    fn sessions(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        run(command()
            .arg("sessions")
            .args(arguments)
            .env("CLERK_SECRET_KEY", self.variable("CLERK_SECRET_KEY"))
            .env("CLERK_API_URL", self.variable("CLERK_API_URL")))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs curl; tests/run installs it where it is missing"]
fn every_printed_line_does_what_its_comment_says() {
    let (dev, _) = Dev::start();
    let without = dev.run("Without a session");
    assert!(without.starts_with("HTTP/1.1 401"), "{without}");
    assert!(without.contains(r#""code":"session-token-missing""#));

    let user = format!(r#""x-clerk-user-id":"{}""#, dev.variable("CLERK_USER_ID"));
    for comment in [
        "With the session token",
        "The session cookie",
        "Forged headers do not arrive",
    ] {
        let with = dev.run(comment);
        assert!(with.starts_with("HTTP/1.1 200"), "{comment}: {with}");
        assert!(with.contains(r#""signature_verified":true"#), "{with}");
        assert!(with.contains(&user), "{with}");
        assert!(!with.contains("user_admin"), "{with}");
        assert!(!with.contains("x_clerk_org_role"), "{with}");
    }

    let public = dev.run("A public route");
    assert!(public.starts_with("HTTP/1.1 200"), "{public}");
    assert!(!public.contains("x-clerk-user-id"), "{public}");

    let revoked = dev.run("Revoke the session");
    assert!(revoked.contains(r#""status":"revoked""#), "{revoked}");
    let metrics = dev.run("What the gateway has counted");
    assert!(
        metrics.contains("clerk_gateway_requests_total"),
        "{metrics}"
    );
    let again = dev.run("The same token again");
    assert!(again.starts_with("HTTP/1.1 401"), "{again}");
    assert!(again.contains(r#""code":"session-revoked""#), "{again}");
    // Not by a lookup: the session is believed for longer than this took.
    let metrics = dev.run("What the gateway has counted");
    assert!(metrics.contains(r#"reason="session-revoked""#), "{metrics}");
    let webhook = r#"event="session.revoked",outcome="applied""#;
    assert!(metrics.contains(webhook), "{metrics}");
}

#[test]
fn its_dotenv_lines_can_be_sourced_and_its_file_says_the_same() {
    let (dev, env_file) = Dev::start();
    let script = format!(
        ". {} && printf '%s' \"$CLERK_SESSION_ID\"",
        env_file.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    assert_eq!(id, dev.variable("CLERK_SESSION_ID"));
    for name in [
        "CLERK_API_URL",
        "CLERK_SECRET_KEY",
        "CLERK_PUBLISHABLE_KEY",
        "CLERK_JWT_KEY",
        "CLERK_USER_ID",
        "CLERK_SESSION_TOKEN",
    ] {
        assert!(!dev.variable(name).is_empty(), "{name}");
    }
}

#[test]
fn the_sessions_command_works_against_it() {
    let (dev, _) = Dev::start();
    let id = dev.variable("CLERK_SESSION_ID");
    let user = dev.variable("CLERK_USER_ID");
    let (status, table, _) = dev.sessions(&["list", "--user", &user]);
    assert_eq!(status, Some(0));
    assert!(table.contains(&id), "{table}");
    let (_, json, _) = dev.sessions(&["get", &id, "--json"]);
    let session: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(session["status"], "active");
    let (_, token, _) = dev.sessions(&["token", &id, "--template", "hasura"]);
    assert_eq!(token.trim().split('.').count(), 3);
    let (status, _, _) = dev.sessions(&["revoke", &id]);
    assert_eq!(status, Some(0));
    let (_, json, _) = dev.sessions(&["get", &id, "--json"]);
    let session: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(session["status"], "revoked");
    let (status, _, stderr) = dev.sessions(&["get", "sess_unknown"]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("resource_not_found"), "{stderr}");
}

#[test]
fn an_interrupt_ends_it_well() {
    let (mut dev, _) = Dev::start();
    signal("INT", dev.child.id());
    assert_eq!(dev.child.wait().unwrap().code(), Some(0));
}
