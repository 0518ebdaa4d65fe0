//! Takes a route's prefix off the path that the upstream gets.

use std::borrow::Cow;

use http::{Uri, uri::PathAndQuery};

use crate::request::{PathError, RequestError, canonical_path, decoded_bytes};

/// A prefix of whole segments, each decoded as routes compare them.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(Vec<Box<[u8]>>);

impl Prefix {
    /// Takes a path without a final slash, as in `/api/v1`.
    pub(crate) fn new(path: &str) -> Self {
        let segments = path.trim_start_matches('/').split('/');
        Self(
            segments
                .map(|segment| decoded_bytes(segment).collect())
                .collect(),
        )
    }

    /// Returns the target without the prefix; `/` where nothing is left.
    ///
    /// # Errors
    ///
    /// A [`RequestError`] where the prefix is absent, or where what is left is not canonical.
    pub(crate) fn strip(&self, uri: &Uri) -> Result<Uri, RequestError> {
        let rest = self.rest(uri.path()).ok_or(RequestError::Target)?;
        let path = ["/", rest].concat();
        match canonical_path(&path).map_err(RequestError::Path)? {
            Cow::Borrowed(_) => {}
            Cow::Owned(_) => return Err(RequestError::Path(PathError::Escape)),
        }
        let target = match uri.query() {
            Some(query) => [path.as_str(), "?", query].concat(),
            None => path,
        };
        let target = PathAndQuery::try_from(target).map_err(|_| RequestError::Target)?;
        Ok(Uri::from(target))
    }

    /// Returns what follows the prefix and its slash; empty where nothing does.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut rest = path.strip_prefix('/');
        for wanted in &self.0 {
            let (segment, next) = match rest?.split_once('/') {
                Some((segment, next)) => (segment, Some(next)),
                None => (rest?, None),
            };
            if !decoded_bytes(segment).eq(wanted.iter().copied()) {
                return None;
            }
            rest = next;
        }
        Some(rest.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_segments_are_taken_off() {
        for (prefix, target, stripped) in [
            ("/api", "/api/users", Some("/users")),
            ("/api", "/api/users/", Some("/users/")),
            ("/api", "/api/", Some("/")),
            ("/api", "/api", Some("/")),
            ("/api", "/api?a=b", Some("/?a=b")),
            ("/api", "/api/a?b=/api", Some("/a?b=/api")),
            ("/api/v1", "/api/v1/api/v1", Some("/api/v1")),
            ("/@me", "/%40me/x", Some("/x")),
            ("/api", "/apix/users", None),
            ("/api", "/Api/users", None),
            ("/api", "/", None),
            ("/api/v1", "/api", None),
        ] {
            let uri = target.parse().unwrap();
            let got = Prefix::new(prefix).strip(&uri).ok();
            assert_eq!(
                got.map(|uri| uri.to_string()).as_deref(),
                stripped,
                "{prefix} {target}"
            );
        }
    }

    #[test]
    fn what_is_left_must_be_canonical_by_itself() {
        for target in ["/api//admin", "/api//", "/api/../x", "/api/%61"] {
            let uri = target.parse().unwrap();
            assert!(Prefix::new("/api").strip(&uri).is_err(), "{target}");
        }
    }
}
