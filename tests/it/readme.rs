//! The README tells the truth about keys and files.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

const README: &str = include_str!("../../README.md");

fn schema() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_clerk-gateway"))
        .arg("schema")
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Collects the names of all properties that the schema's sections have.
fn keys(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let definitions = schema["$defs"].as_object().unwrap();
    for (name, definition) in definitions {
        if !name.ends_with("Section") || name.starts_with("Credential") {
            continue;
        }
        let properties = definition["properties"].as_object().unwrap();
        found.extend(properties.keys().cloned());
    }
    found
}

#[test]
fn every_key_of_the_configuration_is_in_the_readme() {
    let keys = keys(&schema());
    assert!(keys.len() > 40, "the schema has changed its form: {keys:?}");
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| !README.contains(&format!("`{key}`")) && !is_in_braces(key))
        .filter(|key| !README.contains(&format!(".{key}]]`")))
        .collect();
    assert!(missing.is_empty(), "not in README.md: {missing:?}");
}

/// Keys of inline tables are named together, as in `{ template, lifetime }`.
fn is_in_braces(key: &str) -> bool {
    README
        .split("`{ ")
        .skip(1)
        .filter_map(|rest| rest.split_once(" }`"))
        .any(|(keys, _)| keys.split(", ").any(|name| name == key))
}

#[test]
fn every_file_that_the_readme_links_to_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for link in README.split("](").skip(1) {
        let target = link.split_once(')').unwrap().0;
        if !target.starts_with("http") {
            assert!(root.join(target).exists(), "{target}");
        }
    }
}

#[test]
fn every_example_is_in_the_readme_and_every_named_one_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in root.join("examples").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(README.contains(&format!("--example {name}`")), "{name}");
    }
    for rest in README.split("--example ").skip(1) {
        let name = rest.split('`').next().unwrap();
        let path = root.join("examples").join(format!("{name}.rs"));
        assert!(path.exists(), "{name}");
    }
}
