//! The files that put the gateway into production say what is so.

use std::{collections::BTreeSet, fs, process::Command};

use crate::{
    cli_check::{file, run},
    support::{process::folder, programs::output, scene::Scene},
};

const FILES: [&str; 2] = ["config/grafana.json", "config/prometheus-rules.yaml"];

/// Every name of ours in a text.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.match_indices("clerk_gateway_")
        .map(|(at, _)| {
            let rest = &text[at..];
            rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())].to_owned()
        })
        .collect()
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_there_are() {
    let folder = fs::read_dir("src/telemetry").unwrap();
    let sources = folder.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let known = names(&sources.collect::<String>());
    for file in FILES {
        let asked = names(&fs::read_to_string(file).unwrap());
        assert!(asked.len() > 5, "{file}: {asked:?}");
        for name in asked {
            let base = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(&name);
            assert!(known.contains(base), "{file} asks for {name}");
        }
    }
    let board: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(FILES[0]).unwrap()).unwrap();
    assert!(board["panels"].as_array().unwrap().len() > 10);
}

#[test]
fn the_configuration_inside_the_kubernetes_manifest_is_good() {
    let manifest = fs::read_to_string("config/kubernetes.yaml").unwrap();
    let (_, rest) = manifest.split_once("gateway.toml: |\n").unwrap();
    let (toml, _) = rest.split_once("\n---\n").unwrap();
    let secret = folder().join("secret_key");
    fs::write(&secret, "sk_test_abcdefghijklmnopqrstuvwxyz").unwrap();
    let toml: Vec<&str> = toml.lines().map(|line| line.trim_start()).collect();
    let toml = toml
        .join("\n")
        .replace("/run/secrets/clerk/secret_key", secret.to_str().unwrap());
    let run = run(&["check", "-c", &file("kubernetes.toml", &toml)], &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
#[ignore = "needs a Python package; tests/run installs it"]
fn kubernetes_knows_every_field_of_the_manifests() {
    let (good, said) = output(
        Command::new("tests/strangers/.venv/bin/kubernetes-validate")
            .args(["--strict", "config/kubernetes.yaml"]),
    );
    assert!(good, "{said}");
}

#[test]
#[ignore = "needs promtool; tests/run installs it"]
fn prometheus_understands_the_alerts() {
    let (good, said) = output(Command::new("promtool").args(["check", "rules", FILES[1]]));
    assert!(good, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs promtool; tests/run installs it"]
async fn prometheus_understands_the_metrics_page() {
    let scene = Scene::start().await;
    assert_eq!(scene.signed_in("/app/x", &[]), 200);
    let answer = scene.metrics();
    let (_, page) = answer.split_once("\r\n\r\n").unwrap();
    let path = folder().join("metrics");
    fs::write(&path, page).unwrap();
    let line = format!("promtool check metrics < {}", path.display());
    let (good, said) = output(Command::new("sh").args(["-c", &line]));
    assert!(good, "{said}");
}
