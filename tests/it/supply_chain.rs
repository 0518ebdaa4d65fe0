//! What is built in is what the manifest says: licences, sources, versions, and the oldest Rust.

use std::{fs, process::Command};

use serde_json::Value;

use crate::support::programs::{output, program};

fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--all-features"]);
    let output = cargo.args(["--format-version", "1"]).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// As in `1.88` or `1.88.0`.
fn version(package: &Value) -> Option<(u32, u32)> {
    let mut parts = package["rust_version"].as_str()?.split('.');
    let mut part = || parts.next()?.parse().ok();
    Some((part()?, part()?))
}

#[test]
fn no_crate_needs_a_newer_rust_than_the_manifest_says() {
    let packages = packages();
    let ours = packages.iter().find(|p| p["name"] == "clerk-gateway");
    let ours = ours.and_then(version).unwrap();
    let newer: Vec<_> = packages
        .iter()
        .filter(|package| version(package) > Some(ours))
        .map(|package| (&package["name"], &package["rust_version"]))
        .collect();
    assert!(newer.is_empty(), "{newer:?}");
}

#[test]
fn the_readme_names_the_oldest_rust_that_the_manifest_does() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let (_, rest) = manifest.split_once("rust-version = \"").unwrap();
    let (oldest, _) = rest.split_once('"').unwrap();
    let readme = fs::read_to_string("README.md").unwrap();
    assert!(
        readme.contains(&format!("Rust {oldest} or later")),
        "{oldest}"
    );
}

#[test]
#[ignore = "needs cargo-deny; tests/run installs it"]
fn licences_sources_and_versions_are_those_that_are_allowed() {
    let (good, said) = output(program("cargo-deny").args([
        "--locked",
        "--config=config/deny.toml",
        "check",
        "licenses",
        "bans",
        "sources",
    ]));
    assert!(good, "{said}");
    assert!(!said.contains("warning["), "{said}");
}
