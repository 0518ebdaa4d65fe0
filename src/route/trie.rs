//! The tree of path segments behind a table.

use std::cmp::Ordering;

use http::Method;

use super::pattern::Segment;
use crate::request::decoded_bytes;

/// One place in the tree: what ends here, what covers all below, and where the next segment leads.
#[derive(Debug, Default)]
pub(super) struct Trie {
    exact: Place,
    below: Place,
    /// Ordered by the decoded literal.
    literals: Vec<(Box<[u8]>, Self)>,
    any: Option<Box<Self>>,
}

/// The rules of one shape.
#[derive(Debug, Default)]
pub(super) struct Place(Vec<Rule>);

/// The methods that a value takes.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) methods: Option<Box<[Method]>>,
    pub(super) index: usize,
}

impl Trie {
    /// Returns the place of a pattern, making the way there.
    pub(super) fn place(&mut self, segments: &[Segment]) -> &mut Place {
        match segments.split_first() {
            None => &mut self.exact,
            Some((Segment::Below, _)) => &mut self.below,
            Some((Segment::Any, rest)) => self.any.get_or_insert_default().place(rest),
            Some((Segment::Literal(literal), rest)) => self.child(literal).place(rest),
        }
    }

    /// Finds the most specific rule that takes a canonical path and a method.
    pub(super) fn find(&self, path: &str, method: &Method) -> Option<usize> {
        self.find_place(path, method)?.find(method)
    }

    /// Finds the most specific place where some rule takes a canonical path and a method.
    pub(super) fn find_place(&self, path: &str, method: &Method) -> Option<&Place> {
        self.descend(path.strip_prefix('/'), method)
    }

    fn child(&mut self, literal: &[u8]) -> &mut Self {
        let found = self
            .literals
            .binary_search_by(|(known, _)| (**known).cmp(literal));
        let at = found.unwrap_or_else(|at| {
            self.literals.insert(at, (literal.into(), Self::default()));
            at
        });
        &mut self.literals[at].1
    }

    /// Depth is bounded by the patterns, not by the path; a node has one way to it, so none is visited twice.
    fn descend(&self, rest: Option<&str>, method: &Method) -> Option<&Place> {
        let Some(rest) = rest else {
            return self.exact.taking(method).or(self.below.taking(method));
        };
        let end = rest.bytes().position(|byte| byte == b'/');
        let (segment, next) = match end.and_then(|end| rest.split_at_checked(end)) {
            Some((segment, next)) => (segment, next.strip_prefix('/')),
            None => (rest, None),
        };
        let literal = self.literal(segment);
        let any = self.any.as_deref().filter(|_| !segment.is_empty());
        literal
            .and_then(|child| child.descend(next, method))
            .or_else(|| any?.descend(next, method))
            .or_else(|| self.below.taking(method))
    }

    fn literal(&self, segment: &str) -> Option<&Self> {
        let escaped = segment.bytes().any(|byte| byte == b'%');
        let found = self.literals.binary_search_by(|(known, _)| match escaped {
            false => (**known).cmp(segment.as_bytes()),
            true => decoded_order(known, segment),
        });
        found
            .ok()
            .and_then(|at| self.literals.get(at))
            .map(|(_, child)| child)
    }
}

fn decoded_order(known: &[u8], segment: &str) -> Ordering {
    known.iter().copied().cmp(decoded_bytes(segment))
}

impl Place {
    /// Adds a rule; returns the index of one that already takes some of its requests.
    pub(super) fn insert(&mut self, rule: Rule) -> Option<usize> {
        let other = self.0.iter().find(|other| other.overlaps(&rule));
        let other = other.map(|other| other.index);
        if other.is_none() {
            // Those that name methods are asked first.
            let at = if rule.methods.is_some() {
                0
            } else {
                self.0.len()
            };
            self.0.insert(at, rule);
        }
        other
    }

    /// Adds a rule, whatever others take.
    pub(super) fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    /// Returns the indices of all rules that take a method.
    pub(super) fn all(&self, method: &Method) -> impl Iterator<Item = usize> {
        let taking = self.0.iter().filter(|rule| rule.takes(method));
        taking.map(|rule| rule.index)
    }

    fn taking(&self, method: &Method) -> Option<&Self> {
        self.find(method).map(|_| self)
    }

    fn find(&self, method: &Method) -> Option<usize> {
        let rule = self.0.iter().find(|rule| rule.takes(method))?;
        Some(rule.index)
    }
}

impl Rule {
    fn takes(&self, method: &Method) -> bool {
        self.methods
            .as_ref()
            .is_none_or(|methods| methods.contains(method))
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (&self.methods, &other.methods) {
            (Some(ours), Some(theirs)) => ours.iter().any(|method| theirs.contains(method)),
            (None, None) => true,
            _ => false,
        }
    }
}
