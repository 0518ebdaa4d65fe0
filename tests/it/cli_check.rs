//! The command line: `check`, `schema`, `completions`, and their exit statuses.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

pub(crate) const PUBLISHABLE_KEY: &str = "pk_test_Y2xlcmsuZXhhbXBsZS5jb20k";

/// One run of the binary, with nothing in its environment but what is given.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(args: &[&str], env: &[(&str, &str)]) -> Run {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_clerk-gateway"))
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .unwrap();
    Run {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Writes a file of this test's own, and returns where.
pub(crate) fn file(name: &str, text: &str) -> String {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("config");
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

impl Run {
    /// Returns the line of `check`'s table that is about `key`, its blanks folded.
    pub(crate) fn line(&self, key: &str) -> String {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        self.stdout
            .lines()
            .map(words)
            .find(|line| line.split(' ').next() == Some(key))
            .unwrap_or_else(|| panic!("no {key} in\n{}\n{}", self.stdout, self.stderr))
    }
}

#[test]
fn a_good_configuration_is_status_0_with_a_table() {
    let file = file(
        "good.toml",
        "[server]\nlisten = \"127.0.0.1:9000\"\n[[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000\"\n",
    );
    let env = [
        ("CLERK_SECRET_KEY", "sk_test_abc"),
        ("CLERK_PUBLISHABLE_KEY", PUBLISHABLE_KEY),
    ];
    let run = run(&["check", "-c", &file, "--admin", "127.0.0.1:0"], &env);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let listen = format!("server.listen = \"127.0.0.1:9000\" # {file}:2");
    assert_eq!(run.line("server.listen"), listen);
    let admin = "server.admin = \"127.0.0.1:0\" # flag --admin";
    assert_eq!(run.line("server.admin"), admin);
    let secret = "clerk.secret_key = (set) # env CLERK_SECRET_KEY";
    assert_eq!(run.line("clerk.secret_key"), secret);
    assert_eq!(
        run.line("cache.session_ttl"),
        "cache.session_ttl = \"15s\" # default"
    );
    assert_eq!(
        run.line("route[0].path"),
        "route[0].path = \"/*\" # default"
    );
    assert!(!run.stdout.contains("sk_test_abc"));
}

#[test]
fn a_bad_configuration_is_status_2_with_every_problem_on_stderr() {
    let file = file(
        "bad.toml",
        "[clerk]\nisuer = \"https://a.example\"\n[cache]\nsession_ttl = 15\n[server]\nlisten = \"here\"\n",
    );
    let run = run(&["check", "-c", &file], &[]);
    assert_eq!(run.status, 2);
    assert_eq!(run.stdout, "");
    for part in [
        format!("{file}:2: clerk.isuer: unknown key \"isuer\"; did you mean issuer?"),
        format!("{file}:4: cache.session_ttl: "),
        format!("{file}:6: server.listen: \"here\" is not an address"),
        format!("{file}:1: clerk.issuer: neither a publishable key nor an issuer"),
        "route: there is neither a route nor an upstream".to_owned(),
    ] {
        assert!(run.stderr.contains(&part), "{part}\n{}", run.stderr);
    }
}

#[test]
fn bad_usage_is_status_2() {
    for args in [
        &[][..],
        &["chek"],
        &["check", "--colour"],
        &["completions", "dos"],
    ] {
        let run = run(args, &[]);
        assert_eq!(run.status, 2, "{args:?}");
        assert!(!run.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_bad_log_filter_is_status_2() {
    let run = run(&["schema"], &[("CLERK_GATEWAY_LOG", "a=b=c")]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("CLERK_GATEWAY_LOG"), "{}", run.stderr);
}

#[test]
fn the_schema_is_closed_at_every_level() {
    let run = run(&["schema"], &[]);
    assert_eq!(run.status, 0);
    let schema: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let definitions = schema["$defs"].as_object().unwrap();
    for (name, definition) in definitions {
        if definition["type"] == "object" {
            assert_eq!(definition["additionalProperties"], false, "{name}");
        }
    }
    assert!(definitions.len() > 8);
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "fish", "zsh"] {
        let run = run(&["completions", shell], &[]);
        assert_eq!(run.status, 0);
        assert!(run.stdout.contains("check"), "{shell}");
    }
}
