//! Taking credentials out of what is forwarded, so that no upstream sees or logs them.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE, Entry, HeaderName},
};

use super::{Source, Sources, session_cookie::cookie_name, session_id::is_named};

/// Removes every configured carrier and all of Clerk's cookies; other cookies keep their bytes.
pub(crate) fn remove_credentials(headers: &mut HeaderMap, sources: &Sources) {
    for source in sources.iter() {
        match source {
            Source::Bearer => {
                headers.remove(AUTHORIZATION);
            }
            Source::SessionIdHeader(name) => remove_any_spelling(headers, name),
            // Clerk's cookies go in any case, below; the query has a function of its own.
            Source::Cookie | Source::SessionIdQuery(_) => {}
        }
    }
    remove_clerk_cookies(headers);
}

/// Removes the configured session-ID parameters; the other parameters keep their bytes.
pub(crate) fn strip_query<'q>(query: &'q str, sources: &Sources) -> Cow<'q, str> {
    let is_carrier = |parameter: &str| {
        sources.iter().any(|source| match source {
            Source::SessionIdQuery(name) => is_named(parameter, name),
            _ => false,
        })
    };
    if !query.split('&').any(is_carrier) {
        return Cow::Borrowed(query);
    }
    let kept: Vec<&str> = query
        .split('&')
        .filter(|parameter| !is_carrier(parameter))
        .collect();
    Cow::Owned(kept.join("&"))
}

/// Some servers read `X_Session_Id` and `X.Session.Id` as `X-Session-Id`.
fn remove_any_spelling(headers: &mut HeaderMap, name: &HeaderName) {
    let dashed = |byte: u8| {
        if matches!(byte, b'_' | b'.') {
            b'-'
        } else {
            byte
        }
    };
    let spellings: Vec<HeaderName> = headers
        .keys()
        .filter(|key| {
            key.as_str()
                .bytes()
                .map(dashed)
                .eq(name.as_str().bytes().map(dashed))
        })
        .cloned()
        .collect();
    for spelling in spellings {
        headers.remove(spelling);
    }
}

fn remove_clerk_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(entry) = headers.entry(COOKIE) else {
        return;
    };
    if !entry.iter().any(|field| pairs(field).any(is_clerks)) {
        return;
    }
    let (_, fields) = entry.remove_entry_mult();
    let kept: Vec<HeaderValue> = fields.filter_map(|field| without_clerks(&field)).collect();
    for field in kept {
        headers.append(COOKIE, field);
    }
}

fn without_clerks(field: &HeaderValue) -> Option<HeaderValue> {
    let kept: Vec<&[u8]> = pairs(field).filter(|pair| !is_clerks(pair)).collect();
    let joined = kept.join(&b';');
    let trimmed = joined.trim_ascii();
    if trimmed
        .iter()
        .all(|byte| *byte == b';' || byte.is_ascii_whitespace())
    {
        return None;
    }
    // Bytes of a header value make a header value again.
    HeaderValue::from_bytes(trimmed).ok()
}

fn pairs(field: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    field.as_bytes().split(|byte| *byte == b';')
}

/// <https://clerk.com/docs/guides/how-clerk-works/cookies>
fn is_clerks(pair: &[u8]) -> bool {
    let name = cookie_name(pair);
    name == b"__client"
        || [
            &b"__session"[..],
            b"__refresh",
            b"__clerk_",
            b"__client_uat",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
