//! What is wrong with a configuration: every problem at once, each with its place and its fix.

use std::fmt;
use std::path::PathBuf;

use super::source::{Origins, Source};

/// One thing that is wrong, and how to mend it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    /// Where to look.
    pub(crate) source: Source,
    /// The key's path, as in `route[0].token.template`; empty where no key is concerned.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) fix: String,
}

/// Why a configuration cannot be used: all that is wrong with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ConfigError {
    /// The problems, in the order of the configuration's sections; never empty.
    pub(crate) problems: Vec<Problem>,
}

/// Collects problems and warnings while a configuration is read.
pub(crate) struct Findings {
    pub(crate) origins: Origins,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// The files that were read or should have been.
    pub(crate) files: Vec<PathBuf>,
    /// Keys and entries that could not be read, so that nothing follows from their absence.
    broken: Vec<String>,
}

impl Findings {
    pub(crate) fn new(origins: Origins) -> Self {
        Self {
            origins,
            problems: Vec::new(),
            warnings: Vec::new(),
            files: Vec::new(),
            broken: Vec::new(),
        }
    }

    /// Notes that a key or an entry could not be read.
    pub(crate) fn mark_broken(&mut self, key: impl Into<String>) {
        self.broken.push(key.into());
    }

    /// Tells whether `key`, something around it or something in it could not be read.
    pub(crate) fn is_broken(&self, key: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.broken
            .iter()
            .any(|broken| within(key, broken) || within(broken, key))
    }

    /// Notes a problem, unless the key is known to be broken already.
    pub(crate) fn problem(&mut self, key: &str, what: impl Into<String>, fix: impl Into<String>) {
        let known = self.problems.iter().any(|known| known.key == key);
        if !known && !self.is_broken(key) {
            let problem = self.note(key, what.into(), fix.into());
            self.problems.push(problem);
        }
    }

    /// Notes something that works but may not be meant.
    pub(crate) fn warning(&mut self, key: &str, what: impl Into<String>, fix: impl Into<String>) {
        let warning = self.note(key, what.into(), fix.into());
        self.warnings.push(warning);
    }

    fn note(&self, key: &str, what: String, fix: String) -> Problem {
        Problem {
            source: self.origins.nearest(key),
            key: key.to_owned(),
            what,
            fix,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source != Source::Default {
            write!(f, "{}: ", self.source)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&redact(&self.what))?;
        if !self.fix.is_empty() {
            write!(f, "; {}", self.fix)?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Blanks what looks like a secret: a key pasted under the wrong name must not reach the log.
fn redact(text: &str) -> String {
    let key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '/' | '=' | '-');
    let secret = ["sk_live_", "sk_test_", "whsec_"]
        .iter()
        .filter_map(|prefix| Some(text.find(prefix)? + prefix.len()))
        .min();
    let Some(start) = secret else {
        return text.to_owned();
    };
    let (shown, rest) = text.split_at(start);
    let hidden = rest.find(|c| !key(c)).unwrap_or(rest.len());
    let blank = if hidden > 0 { "…" } else { "" };
    format!("{shown}{blank}{}", redact(&rest[hidden..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blanked_wherever_they_stand() {
        assert_eq!(
            redact(r#"invalid: "sk_test_abc", "whsec_a+b=""#),
            r#"invalid: "sk_test_…", "whsec_…""#
        );
        assert_eq!(redact("a key (sk_live_)"), "a key (sk_live_)");
        assert_eq!(redact("nothing here"), "nothing here");
    }

    #[test]
    fn a_key_is_complained_about_once() {
        let mut findings = Findings::new(Origins::default());
        findings.problem("clerk.issuer", "is a number", "quote it");
        findings.problem("clerk.issuer", "is missing", "set it");
        assert_eq!(findings.problems.len(), 1);
    }
}
