//! Brings file, environment and flags together.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    document::{Document, FileText},
    env,
    error::{ConfigError, Findings, Problem},
    file::{File, SECTIONS},
    overlay::{Form, Overlay},
    route::RouteSection,
    settings::Settings,
    source::{Origins, Source},
    upstream::UpstreamSection,
};

/// Where a configuration is read from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// A configuration of the program's own, in place of a file.
    pub(crate) built_in: Option<String>,
    /// The environment, usually [`env::process`].
    pub(crate) env: BTreeMap<String, String>,
    /// The flags that were given.
    pub(crate) flags: Vec<Flag>,
    /// `--upstream URL`.
    pub(crate) upstream: Option<String>,
}

/// A flag that stands for a key.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    /// As in `--issuer`.
    pub(crate) name: &'static str,
    /// The key's section.
    pub(crate) section: &'static str,
    /// The key within its section.
    pub(crate) key: &'static str,
    /// The value, as it stands.
    pub(crate) value: String,
}

/// A configuration that can be run, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// Every key that has a value, in the file's order.
    pub(crate) provenance: Vec<Provenance>,
    /// What works but may not be meant.
    pub(crate) warnings: Vec<Problem>,
    /// Every file that it was read from.
    pub(crate) files: Vec<PathBuf>,
    origins: Origins,
}

/// One key's value and where it came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Provenance {
    /// As in `clerk.issuer` or `route[0].path`.
    pub(crate) key: String,
    /// As TOML writes it; `(set)` for a secret.
    pub(crate) value: String,
    pub(crate) source: Source,
}

/// Loads and checks a configuration.
///
/// # Errors
///
/// Everything that is wrong with it, each with its place and its fix.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let text = read_file(sources)?;
    let (mut overlays, mut problems) = env::overlays(&sources.env, &File::known_keys());
    overlays.extend(sources.flags.iter().map(Flag::overlay));
    let (mut document, mut findings) = match Document::read(text.as_ref(), &overlays) {
        Ok(read) => read,
        Err(more) => {
            problems.extend(more);
            return Err(ConfigError { problems });
        }
    };
    findings.problems.append(&mut problems);
    let mut file = read_sections(&mut document, &mut findings);
    document.finish(&SECTIONS, &mut findings);
    add_upstream(sources, &mut file, &mut findings);
    fill(&mut file, &findings);
    let settings = Settings::check(&file, &mut findings);
    match settings {
        Some(settings) if findings.problems.is_empty() => Ok(Loaded {
            settings,
            provenance: provenance(&file, &findings.origins),
            warnings: findings.warnings,
            files: sources.file.iter().cloned().chain(findings.files).collect(),
            origins: findings.origins,
        }),
        _ => Err(ConfigError {
            problems: findings.problems,
        }),
    }
}

fn read_file(sources: &Sources) -> Result<Option<FileText>, ConfigError> {
    if let Some(text) = &sources.built_in {
        return Ok(Some(FileText {
            path: Path::new("built-in configuration").into(),
            text: text.clone(),
        }));
    }
    let Some(path) = &sources.file else {
        return Ok(None);
    };
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(FileText {
            path: path.as_path().into(),
            text,
        })),
        Err(error) => Err(ConfigError {
            problems: vec![Problem {
                source: Source::File {
                    path: path.as_path().into(),
                    line: None,
                },
                key: String::new(),
                what: format!("cannot be read ({error})"),
                fix: "check the path given with --config, and that this user may read it"
                    .to_owned(),
            }],
        }),
    }
}

fn read_sections(document: &mut Document<'_>, findings: &mut Findings) -> File {
    File {
        clerk: document.section("clerk", findings),
        session: document.section("session", findings),
        cache: document.section("cache", findings),
        server: document.section("server", findings),
        decision: document.section("decision", findings),
        webhooks: document.section("webhooks", findings),
        sign_out: document.section("sign_out", findings),
        shared: document.section("shared", findings),
        log: document.section("log", findings),
        upstream: document.entries("upstream", || UpstreamSection::at(""), findings),
        route: document.entries("route", RouteSection::everything, findings),
    }
}

/// Adds the upstream of `--upstream`, or of its variable.
fn add_upstream(sources: &Sources, file: &mut File, findings: &mut Findings) {
    let (url, source) = match (&sources.upstream, sources.env.get(env::UPSTREAM)) {
        (Some(url), _) => (url, Source::Flag("--upstream")),
        (None, Some(url)) => (url, Source::Env(env::UPSTREAM.to_owned())),
        (None, None) => return,
    };
    if !file.upstream.is_empty() {
        let what = format!("the file names upstreams, and {source} another");
        findings.problem("upstream", what, "use one or the other");
        return;
    }
    file.upstream.push(UpstreamSection::at(url));
    findings.origins.insert("upstream[0].url", source);
}

/// Writes down what follows from the rest: the only upstream, and the only route to it.
fn fill(file: &mut File, findings: &Findings) {
    let only = match file.upstream.as_slice() {
        [one] => Some(one.name.clone()),
        _ => None,
    };
    if file.route.is_empty() && only.is_some() && !findings.is_broken("route") {
        file.route.push(RouteSection::everything());
    }
    for route in &mut file.route {
        route.fill(only.as_deref());
    }
}

fn provenance(file: &File, origins: &Origins) -> Vec<Provenance> {
    let entry = |(key, value): (String, String)| Provenance {
        source: origins.of(&key),
        key,
        value,
    };
    file.flatten().into_iter().map(entry).collect()
}

impl Loaded {
    /// Returns the error for something that shows only when things are built from the settings.
    pub(crate) fn refuse(&self, key: &str, what: String, fix: &str) -> ConfigError {
        ConfigError {
            problems: vec![self.note(key, what, fix)],
        }
    }

    /// Returns what is to be said of a key, with its place.
    pub(crate) fn note(&self, key: &str, what: String, fix: &str) -> Problem {
        Problem {
            source: self.origins.nearest(key),
            key: key.to_owned(),
            what,
            fix: fix.to_owned(),
        }
    }
}

impl Flag {
    fn overlay(&self) -> Overlay {
        Overlay {
            section: self.section,
            key: self.key.to_owned(),
            text: self.value.clone(),
            form: Form::Text,
            source: Source::Flag(self.name),
        }
    }
}
