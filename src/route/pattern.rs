//! What a route is written as: a host, a path pattern and methods.

use std::fmt;

use http::Method;

use super::fold::folded_literal;
use crate::request::{Host, PathError, canonical_path, decoded_bytes};

/// A route's host, path and methods as its owner wrote them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pattern {
    /// The host without a port; absent: any.
    pub(crate) host: Option<String>,
    /// The path: exact, with `{name}` for one segment, or with a trailing `/*` for itself and all below it.
    pub(crate) path: String,
    /// The methods, where `GET` brings `HEAD`; absent: any.
    pub(crate) methods: Option<Vec<Method>>,
}

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PatternError {
    /// `{`, `}` or `*` stands elsewhere than where it means something.
    #[error("`{{name}}` must be a whole segment, and `*` the last one")]
    Brace,
    /// The host has a port, or is none.
    #[error("the host must be a name or an address without a port")]
    Host,
    /// The list of methods is empty, so that the route takes nothing.
    #[error("the list of methods is empty: leave it out for all methods")]
    NoMethods,
    /// No canonical path can ever match.
    #[error("the path is not canonical: {0}")]
    Path(#[source] PathError),
    /// The path holds a query.
    #[error("the path must not hold a `?`")]
    Query,
}

/// One segment of a path pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Segment {
    /// Exactly these bytes, after decoding.
    Literal(Box<[u8]>),
    /// One segment that is not empty.
    Any,
    /// This place and all below it.
    Below,
}

impl Segment {
    /// Returns what is left of it where a server folds names.
    pub(super) fn folded(&self) -> Self {
        match self {
            Self::Literal(literal) => Self::Literal(folded_literal(literal)),
            Self::Any => Self::Any,
            Self::Below => Self::Below,
        }
    }
}

impl Pattern {
    pub(super) fn host(&self) -> Result<Option<Box<str>>, PatternError> {
        let Some(text) = &self.host else {
            return Ok(None);
        };
        let host = Host::parse_str(text).ok_or(PatternError::Host)?;
        let without_port = host.name().len() == host.authority().len();
        without_port
            .then(|| Some(host.name().into()))
            .ok_or(PatternError::Host)
    }

    pub(super) fn methods(&self) -> Result<Option<Box<[Method]>>, PatternError> {
        let Some(methods) = &self.methods else {
            return Ok(None);
        };
        let mut methods = methods.clone();
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            methods.push(Method::HEAD);
        }
        let methods = (!methods.is_empty()).then(|| methods.into());
        methods.map(Some).ok_or(PatternError::NoMethods)
    }

    pub(super) fn segments(&self) -> Result<Vec<Segment>, PatternError> {
        if self.path.is_empty() {
            return Err(PatternError::Path(PathError::Relative));
        }
        if self.path.contains('?') {
            return Err(PatternError::Query);
        }
        let path = canonical_path(&self.path).map_err(PatternError::Path)?;
        let segments = path.trim_start_matches('/').split('/').map(segment);
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        let below = segments
            .iter()
            .position(|segment| *segment == Segment::Below);
        let last_or_none = below.is_none_or(|at| at + 1 == segments.len());
        last_or_none.then_some(segments).ok_or(PatternError::Brace)
    }
}

fn segment(text: &str) -> Result<Segment, PatternError> {
    if text == "*" {
        return Ok(Segment::Below);
    }
    if let Some(name) = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let named = !name.is_empty() && name.bytes().all(is_name);
        return named.then_some(Segment::Any).ok_or(PatternError::Brace);
    }
    if text.contains(['{', '}', '*']) {
        return Err(PatternError::Brace);
    }
    Ok(Segment::Literal(decoded_bytes(text).collect()))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.methods.iter().flatten().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(method.as_str())?;
        }
        let gap = if self.methods.as_deref().unwrap_or_default().is_empty() {
            ""
        } else {
            " "
        };
        write!(
            f,
            "{gap}{}{}",
            self.host.as_deref().unwrap_or_default(),
            self.path
        )
    }
}
