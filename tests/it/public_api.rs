//! The public API is the one that is written down, so that no change to it goes unseen.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use crate::support::{process::folder, programs::output};

const WRITTEN_DOWN: &str = "tests/public-api.txt";
/// Whose `rustdoc` it was written down by, and whose JSON can be read: the form of that changes from one to the next.
const COMPILER: &str = "rustc 1.95.";
/// With it in the environment the test writes the file anew.
const RENEW: &str = "RENEW_PUBLIC_API";

/// Documents the library as JSON, which only this compiler's `rustdoc` is asked for: what else was built is not built again.
fn rustdoc_json() -> PathBuf {
    let rustdoc = folder().join("rustdoc");
    let script = "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n";
    fs::write(&rustdoc, script).unwrap();
    fs::set_permissions(&rustdoc, PermissionsExt::from_mode(0o755)).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["rustdoc", "--quiet", "--locked", "--lib", "--all-features"])
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .env("RUSTDOC", &rustdoc);
    let (good, said) = output(&mut cargo);
    assert!(good, "{said}");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
    PathBuf::from(target).join("doc/clerk_gateway.json")
}

#[test]
#[ignore = "documents the library once more; tests/run runs it"]
fn the_public_api_is_the_one_that_is_written_down() {
    let (_, compiler) = output(Command::new("rustc").arg("--version"));
    if !compiler.starts_with(COMPILER) {
        let line = format!(
            "the public API is not compared: that takes {COMPILER}x, and this is {compiler}\n"
        );
        // Not by a macro: it is to be seen though the test passes.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    }
    let api = public_api::Builder::from_rustdoc_json(rustdoc_json())
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(false)
        .build()
        .unwrap();
    let api = api.to_string();
    if std::env::var_os(RENEW).is_some() {
        fs::write(WRITTEN_DOWN, &api).unwrap();
    }
    let written = fs::read_to_string(WRITTEN_DOWN).unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (now, before) = (lines(&api), lines(&written));
    let new: Vec<_> = now.iter().filter(|line| !before.contains(line)).collect();
    let gone: Vec<_> = before.iter().filter(|line| !now.contains(line)).collect();
    assert!(
        now == before,
        "new: {new:#?}\ngone: {gone:#?}\nif it is meant: {RENEW}=1 cargo test --all-features --test it -- --ignored the_public_api"
    );
}
