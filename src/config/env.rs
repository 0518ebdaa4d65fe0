//! The environment: Clerk's own names, and `CLERK_GATEWAY__SECTION__KEY` for every key.

use std::collections::BTreeMap;

use super::{
    error::Problem,
    nearest::nearest,
    overlay::{Form, Overlay},
    source::Source,
};

/// What every variable of ours begins with.
pub(crate) const PREFIX: &str = "CLERK_GATEWAY__";
/// The variable that stands for `--upstream`.
pub(crate) const UPSTREAM: &str = "CLERK_GATEWAY__UPSTREAM";

/// Clerk's own names, as its SDKs read them; empty ones count as not set.
const CLERKS: [(&str, &str, &str); 5] = [
    ("CLERK_API_URL", "clerk", "api_url"),
    ("CLERK_JWT_KEY", "clerk", "jwt_key"),
    ("CLERK_PUBLISHABLE_KEY", "clerk", "publishable_key"),
    ("CLERK_SECRET_KEY", "clerk", "secret_key"),
    ("CLERK_WEBHOOK_SIGNING_SECRET", "webhooks", "secret"),
];

/// The sections that have keys outside `[[…]]`, with their keys.
pub(crate) type KnownKeys = BTreeMap<&'static str, Vec<String>>;

/// Reads the process's environment.
pub(crate) fn process() -> BTreeMap<String, String> {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .collect()
}

/// Returns what the environment says: Clerk's names first, so that ours beat them.
pub(crate) fn overlays(
    env: &BTreeMap<String, String>,
    known: &KnownKeys,
) -> (Vec<Overlay>, Vec<Problem>) {
    let mut overlays = Vec::new();
    let mut problems = Vec::new();
    for (name, section, key) in CLERKS {
        if let Some(text) = env.get(name).filter(|text| !text.trim().is_empty()) {
            overlays.push(overlay(section, key, name, text, Form::Text));
        }
    }
    for (name, text) in env.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        if name == UPSTREAM {
            continue;
        }
        match locate(name, known) {
            Some((section, key)) => {
                overlays.push(overlay(section, &key, name, text, Form::Toml));
            }
            None => problems.push(unknown(name, known)),
        }
    }
    (overlays, problems)
}

fn overlay(section: &'static str, key: &str, name: &str, text: &str, form: Form) -> Overlay {
    Overlay {
        section,
        key: key.to_owned(),
        text: text.to_owned(),
        form,
        source: Source::Env(name.to_owned()),
    }
}

fn locate(name: &str, known: &KnownKeys) -> Option<(&'static str, String)> {
    known.iter().find_map(|(section, keys)| {
        let key = keys.iter().find(|key| env_name(section, key) == name)?;
        Some((*section, key.clone()))
    })
}

fn unknown(name: &str, known: &KnownKeys) -> Problem {
    let names: Vec<String> = known
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(move |key| env_name(section, key)))
        .chain([UPSTREAM.to_owned()])
        .collect();
    let fix = match nearest(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "run `clerk-gateway check` without it to see the keys".to_owned(),
    };
    Problem {
        source: Source::Env(name.to_owned()),
        key: String::new(),
        what: "names no key of the configuration".to_owned(),
        fix,
    }
}

/// Returns the variable for a key.
pub(crate) fn env_name(section: &str, key: &str) -> String {
    format!("{PREFIX}{section}__{key}").to_ascii_uppercase()
}
