//! Where each value came from: a default, the file, an environment variable, a flag.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

/// Where a value came from; later ones beat earlier ones.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// Nobody said anything.
    Default,
    /// The configuration file, where known by line (from 1).
    File {
        path: Arc<Path>,
        line: Option<usize>,
    },
    /// An environment variable.
    Env(String),
    /// A command-line flag, as in `--issuer`.
    Flag(&'static str),
}

/// The source of every key that somebody set, by its path, as in `route[0].token.template`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    file: Option<Arc<Path>>,
    by_key: BTreeMap<String, Source>,
}

impl Source {
    /// Tells whether both are of one layer: file, environment or flags.
    pub(crate) fn same_layer(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Origins {
    pub(crate) fn new(file: Option<Arc<Path>>) -> Self {
        Self {
            file,
            by_key: BTreeMap::new(),
        }
    }

    /// Notes where `key` was set.
    pub(crate) fn insert(&mut self, key: impl Into<String>, source: Source) {
        self.by_key.insert(key.into(), source);
    }

    /// Returns where `key`'s value came from.
    pub(crate) fn of(&self, key: &str) -> Source {
        self.by_key.get(key).cloned().unwrap_or(Source::Default)
    }

    /// Returns where a reader should look to mend `key`: itself, else what encloses it in the file,
    /// else the file.
    pub(crate) fn nearest(&self, key: &str) -> Source {
        if let Some(source) = self.by_key.get(key) {
            return source.clone();
        }
        let mut path = key;
        while let Some(end) = path.rfind(['.', '[']) {
            path = &path[..end];
            if let Some(source @ Source::File { .. }) = self.by_key.get(path) {
                return source.clone();
            }
        }
        match &self.file {
            Some(path) => Source::File {
                path: path.clone(),
                line: None,
            },
            None => Source::Default,
        }
    }

    /// Returns the directory that relative paths in `key` start from: the file's, for what it says.
    pub(crate) fn base(&self, key: &str) -> Option<&Path> {
        match self.by_key.get(key) {
            Some(Source::File { path, .. }) => path.parent(),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_looked_for_where_its_section_stands() {
        let path: Arc<Path> = Path::new("a.toml").into();
        let mut origins = Origins::new(Some(path.clone()));
        let section = Source::File {
            path,
            line: Some(7),
        };
        origins.insert("route[1]", section.clone());
        assert_eq!(origins.nearest("route[1].token.template"), section);
        assert_eq!(origins.nearest("clerk.issuer").to_string(), "a.toml");
        assert_eq!(origins.of("clerk.issuer"), Source::Default);
    }
}
