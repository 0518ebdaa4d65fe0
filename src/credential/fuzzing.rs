//! The door to what requests present.

use http::{HeaderMap, HeaderName};

use super::{Credential, Extracted, SessionIds, Source, Sources};

/// What one source holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Presented {
    /// Nothing.
    Absent,
    /// A token, or a session ID.
    Found(String),
    /// What cannot be one, by this reason.
    Bad(&'static str),
}

/// Looks into `Authorization`.
pub fn presented_bearer(headers: &HeaderMap) -> Presented {
    presented(Source::Bearer, headers, None, None)
}

/// Looks into the cookies.
pub fn presented_cookie(headers: &HeaderMap, suffix: Option<&str>) -> Presented {
    presented(Source::Cookie, headers, None, suffix)
}

/// Looks for a bare session ID, in a header and in the query.
pub fn presented_id(headers: &HeaderMap, query: Option<&str>) -> [Presented; 2] {
    let header = Source::SessionIdHeader(HeaderName::from_static("x-session-id"));
    let parameter = Source::SessionIdQuery("_clerk_session_id".to_owned());
    [header, parameter].map(|source| presented(source, headers, query, None))
}

fn presented(
    source: Source,
    headers: &HeaderMap,
    query: Option<&str>,
    suffix: Option<&str>,
) -> Presented {
    let Ok(sources) = Sources::new(vec![source], suffix) else {
        return Presented::Absent;
    };
    match sources.extract(headers, query, SessionIds::Accepted) {
        Extracted::Absent => Presented::Absent,
        Extracted::Bad(error) => Presented::Bad(error.slug()),
        Extracted::Found(Credential::SessionToken { token, .. }) => match token.text() {
            Ok(text) => Presented::Found(text.to_owned()),
            Err(error) => Presented::Bad(error.slug()),
        },
        Extracted::Found(Credential::SessionId { id, .. }) => Presented::Found(id.to_owned()),
    }
}
