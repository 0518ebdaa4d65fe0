//! The README tells the truth about keys, defaults, files, commands and figures.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

use crate::cli_check::run;

const README: &str = include_str!("../../README.md");
const FULL_FILE: &str = include_str!("../../config/clerk-gateway.toml");
const SECTIONS: [&str; 6] = ["clerk", "session", "cache", "server", "upstream", "route"];

/// The rows of the README's table under a heading: each key, and the default that is shown.
fn shown(section: &str) -> BTreeMap<String, String> {
    let headings = [
        format!("### `[{section}]`\n"),
        format!("### `[[{section}]]`\n"),
    ];
    let rest = headings
        .iter()
        .find_map(|heading| README.split_once(heading.as_str()));
    let table = rest.unwrap().1.split("\n#").next().unwrap();
    let mut rows = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split(" | ").collect();
        let default = cells[1].trim_matches([' ', '`', '|']).to_owned();
        for key in cells[0].trim_start_matches("| ").split(", ") {
            rows.insert(key.trim_matches(['`', ' ', '|']).to_owned(), default.clone());
        }
    }
    rows
}

/// The schema's keys of a section, those of inline tables as in `token.template`.
fn keys(section: &str) -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(&run(&["schema"], &[]).stdout).unwrap();
    let property = &schema["properties"][section];
    let reference = property["$ref"].as_str().or(property["items"]["$ref"].as_str());
    let name = reference.unwrap().strip_prefix("#/$defs/").unwrap();
    let names = |name: &str| -> BTreeSet<String> {
        let properties = schema["$defs"][name]["properties"].as_object().unwrap();
        properties.keys().cloned().collect()
    };
    let mut keys = names(name);
    for (key, inner) in [("require", "RequireSection"), ("token", "TokenSection")] {
        if keys.remove(key) {
            keys.extend(names(inner).iter().map(|name| format!("{key}.{name}")));
        }
    }
    keys
}

/// The defaults in the full file: what is set there, or commented out and called the default.
fn defaults(section: &str) -> BTreeMap<String, toml::Value> {
    let heading = format!("[{section}]");
    let begin = FULL_FILE.lines().skip_while(|line| !line.contains(&heading));
    let lines = begin.skip(1).take_while(|line| !line.contains("[["));
    let lines = lines.take_while(|line| !line.starts_with('['));
    let is_default = |line: &str| !line.starts_with('#') || line.contains("   # default");
    let text: Vec<&str> = lines
        .filter(|line| is_default(line))
        .map(|line| line.trim_start_matches('#'))
        .collect();
    toml::from_str(&text.join("\n")).unwrap()
}

#[test]
fn every_key_of_the_configuration_is_in_the_readme_and_no_other() {
    for section in SECTIONS {
        let shown: BTreeSet<String> = shown(section).into_keys().collect();
        assert_eq!(shown, keys(section), "[{section}]");
    }
}

#[test]
fn the_defaults_in_the_readme_are_those_of_the_full_file() {
    let mut count = 0;
    for section in SECTIONS {
        let defaults = defaults(section);
        for (key, shown) in shown(section) {
            if key.contains('.') {
                continue;
            }
            let shown = match shown.as_str() {
                "" => None,
                text => {
                    count += 1;
                    let table: toml::Table = toml::from_str(&format!("key = {text}")).unwrap();
                    Some(table["key"].clone())
                }
            };
            assert_eq!(shown.as_ref(), defaults.get(&key), "{section}.{key}");
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn the_defaults_of_inline_tables_are_those_of_the_schema() {
    let schema: Value = serde_json::from_str(&run(&["schema"], &[]).stdout).unwrap();
    for (key, shown) in shown("route") {
        let Some((table, name)) = key.split_once('.') else {
            continue;
        };
        let section = match table {
            "require" => "RequireSection",
            _ => "TokenSection",
        };
        let property = &schema["$defs"][section]["properties"][name];
        let default = property.get("default").filter(|default| !default.is_null());
        let default = default.map(ToString::to_string).unwrap_or_default();
        assert_eq!(shown, default, "{key}");
    }
}

#[test]
fn every_command_of_the_program_is_in_the_readme_and_no_other() {
    let help = run(&["--help"], &[]).stdout;
    let commands = help.split_once("Commands:\n").unwrap().1;
    let commands: BTreeSet<&str> = commands
        .lines()
        .map_while(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| *name != "help")
        .collect();
    let rows = README.lines();
    let rows = rows.filter_map(|line| line.strip_prefix("| `clerk-gateway "));
    let named: BTreeSet<&str> = rows
        .map(|row| row.split([' ', '`']).next().unwrap())
        .collect();
    assert_eq!(named, commands);
}

#[test]
fn the_crate_counts_are_what_their_command_counts() {
    for (features, words) in [
        ("axum", "counts {} crates"),
        ("axum,client", "with `axum,client` it counts {}."),
    ] {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--locked", "-e", "normal"])
            .args(["--prefix", "none", "--no-default-features"])
            .args(["--features", features])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let tree = String::from_utf8(output.stdout).unwrap();
        let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        let words = words.replace("{}", &crates.len().to_string());
        assert!(README.contains(&words), "{words}");
    }
}

#[test]
fn the_rust_version_is_the_one_that_cargo_asks_for() {
    let words = format!("Rust {} ", env!("CARGO_PKG_RUST_VERSION"));
    assert!(README.contains(&words), "{words}");
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
