//! Which rule a request meets: a matcher of host, path and method.

mod pattern;
mod trie;

use std::collections::HashMap;

use http::Method;

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
    hosts: HashMap<Box<str>, Trie, foldhash::fast::RandomState>,
    any_host: Trie,
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
            .and_then(|trie| trie.find(path, method))
            .or_else(|| self.any_host.find(path, method))?;
        self.values.get(index)
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
            any_host: Trie::default(),
        };
        let mut names: Vec<String> = Vec::with_capacity(self.entries.len());
        for (pattern, value) in self.entries {
            let name = pattern.to_string();
            let malformed = |reason| RouteError::Pattern {
                pattern: name.clone(),
                reason,
            };
            let trie = match pattern.host().map_err(malformed)? {
                Some(host) => table.hosts.entry(host).or_default(),
                None => &mut table.any_host,
            };
            let place = trie.place(&pattern.segments().map_err(malformed)?);
            let rule = Rule {
                methods: pattern.methods().map_err(malformed)?,
                index: names.len(),
            };
            if let Some(other) = Place::insert(place, rule) {
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
