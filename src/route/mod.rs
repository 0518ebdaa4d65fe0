//! Which rule a request meets: a matcher of host, path and method.

mod fold;
mod pattern;
mod trie;

use std::{borrow::Cow, collections::HashMap};

use http::Method;

use fold::folded_path;
use pattern::Segment;
pub(crate) use pattern::{Pattern, PatternError};
use trie::{Place, Rule, Trie};

/// Finds what stands for a request's host, path and method.
///
/// A rule for the host beats one for any host, then the most specific path wins (segment by segment from the left:
/// a literal, then `{name}`, then `/*`), then a rule that names the method beats one for any method. Where a rule does
/// not take the method, the next in this order is asked.
#[derive(Debug)]
pub(crate) struct Table<T> {
    values: Vec<T>,
    hosts: HashMap<Box<str>, Trees, foldhash::fast::RandomState>,
    any_host: Trees,
    /// Whether some route's own literals can be folded.
    folds: bool,
}

/// A host's routes: as they are, and with their literals folded.
#[derive(Debug, Default)]
struct Trees {
    exact: Trie,
    folded: Trie,
}

/// Collects patterns until [`TableBuilder::build`] orders them.
#[derive(Debug)]
pub(crate) struct TableBuilder<T> {
    entries: Vec<(Pattern, T)>,
}

/// Why routes do not make a table.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RouteError {
    /// Two routes take the same requests, and neither is the more specific one.
    #[error(
        "routes `{first}` and `{second}` take the same requests: give them different methods, paths or hosts"
    )]
    Overlap {
        /// The earlier route.
        first: String,
        /// The later route.
        second: String,
    },
    /// A pattern is malformed.
    #[error("route `{pattern}`: {reason}")]
    Pattern {
        /// The route as it was written.
        pattern: String,
        /// What is wrong with it.
        #[source]
        reason: PatternError,
    },
}

impl<T> Table<T> {
    /// Returns a builder without routes.
    pub(crate) fn builder() -> TableBuilder<T> {
        TableBuilder {
            entries: Vec::new(),
        }
    }

    /// Finds the value of the most specific route for a canonical path; `None` where there is none.
    ///
    /// Literals are compared percent-decoded, so that `/%40me` meets the rule for `/@me`. Each node of the table is
    /// visited at most once, whatever the path.
    pub(crate) fn find(&self, host: Option<&str>, path: &str, method: &Method) -> Option<&T> {
        let of_host = host.and_then(|host| self.hosts.get(host));
        let index = of_host
            .and_then(|trees| trees.exact.find(path, method))
            .or_else(|| self.any_host.exact.find(path, method))?;
        self.values.get(index)
    }

    /// Finds the values of all routes that a server may meet for a canonical path which folds case and cuts trailing
    /// dots and blanks off segments; none where neither the path nor the routes have anything of the kind, or there is one route.
    pub(crate) fn find_folded(
        &self,
        host: Option<&str>,
        path: &str,
        method: &Method,
    ) -> impl Iterator<Item = &T> {
        let place = self.folded_place(host, path, method);
        let rules = place.into_iter().flat_map(|place| place.all(method));
        rules.filter_map(|index| self.values.get(index))
    }

    fn folded_place(&self, host: Option<&str>, path: &str, method: &Method) -> Option<&Place> {
        if self.values.len() < 2 {
            return None;
        }
        let path = folded_path(path);
        if matches!(path, Cow::Borrowed(_)) && !self.folds {
            return None;
        }
        let of_host = host.and_then(|host| self.hosts.get(host));
        of_host
            .and_then(|trees| trees.folded.find_place(&path, method))
            .or_else(|| self.any_host.folded.find_place(&path, method))
    }
}

impl<T> TableBuilder<T> {
    /// Adds a route.
    #[must_use]
    pub(crate) fn insert(mut self, pattern: Pattern, value: T) -> Self {
        self.entries.push((pattern, value));
        self
    }

    /// Orders the routes.
    ///
    /// # Errors
    ///
    /// [`RouteError::Pattern`] for a malformed one, [`RouteError::Overlap`] for two that cannot be ordered.
    pub(crate) fn build(self) -> Result<Table<T>, RouteError> {
        let mut table = Table {
            values: Vec::with_capacity(self.entries.len()),
            hosts: HashMap::default(),
            any_host: Trees::default(),
            folds: false,
        };
        let mut names: Vec<String> = Vec::with_capacity(self.entries.len());
        for (pattern, value) in self.entries {
            let name = pattern.to_string();
            let malformed = |reason| RouteError::Pattern {
                pattern: name.clone(),
                reason,
            };
            let trees = match pattern.host().map_err(malformed)? {
                Some(host) => table.hosts.entry(host).or_default(),
                None => &mut table.any_host,
            };
            let segments = pattern.segments().map_err(malformed)?;
            let folded: Vec<Segment> = segments.iter().map(Segment::folded).collect();
            table.folds |= folded != segments;
            let rule = Rule {
                methods: pattern.methods().map_err(malformed)?,
                index: names.len(),
            };
            trees.folded.place(&folded).add(rule.clone());
            if let Some(other) = trees.exact.place(&segments).insert(rule) {
                return Err(RouteError::Overlap {
                    first: names.get(other).cloned().unwrap_or_default(),
                    second: name,
                });
            }
            names.push(name);
            table.values.push(value);
        }
        Ok(table)
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
