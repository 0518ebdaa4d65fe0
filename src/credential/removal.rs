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
    // An entry makes room for itself even where none is.
    if !headers.contains_key(COOKIE) {
        return;
    }
    let Entry::Occupied(entry) = headers.entry(COOKIE) else {
        return;
    };
    if !entry.iter().any(|field| pairs(field).any(has_clerks)) {
        return;
    }
    let (_, fields) = entry.remove_entry_mult();
    let kept: Vec<HeaderValue> = fields.filter_map(|field| without_clerks(&field)).collect();
    for field in kept {
        headers.append(COOKIE, field);
    }
}

fn without_clerks(field: &HeaderValue) -> Option<HeaderValue> {
    let kept = pairs(field).filter(|pair| !is_clerks(pair));
    let kept: Vec<_> = kept.map(without_joined_clerks).collect();
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

fn has_clerks(pair: &[u8]) -> bool {
    joined(pair).any(is_clerks)
}

/// Takes off what a proxy has joined to another's cookie.
fn without_joined_clerks(pair: &[u8]) -> Vec<u8> {
    let kept: Vec<_> = joined(pair).filter(|part| !is_clerks(part)).collect();
    kept.join(&b',')
}

/// Some proxies join `Cookie` lines by commas, as they do with other headers (RFC 9110 §5.3).
fn joined(pair: &[u8]) -> impl Iterator<Item = &[u8]> {
    pair.split(|byte| *byte == b',')
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::credential::tests::{headers, ids, tokens};

    #[test]
    fn removal_takes_clerks_cookies_and_leaves_the_others_bytes() {
        for (before, after) in [
            ("a=1; __session=t; b=\"2\"", Some("a=1; b=\"2\"")),
            ("__session=t; a=1;b=2", Some("a=1;b=2")),
            ("a=1; __session=t", Some("a=1")),
            ("a=1;  b ;=c", Some("a=1;  b ;=c")),
            ("a=1,2, __session=t,b=3; c=4,5", Some("a=1,2,b=3; c=4,5")),
            ("__session=t,a=1; b=2", Some("b=2")),
            ("__session=t", None),
            (" __session = t ;; ", None),
            (" ;; ", Some(" ;; ")),
            (
                "__session_x=1; __refresh_x=2; __client=3; __client_uat=4; __client_uat_x=5; __clerk_db_jwt=6",
                None,
            ),
            (
                "__clients=1; __Session=2; _session=3",
                Some("__clients=1; __Session=2; _session=3"),
            ),
        ] {
            let mut headers = headers(&[("cookie", before)]);
            remove_credentials(&mut headers, &tokens());
            let left = headers.get("cookie").map(|value| value.to_str().unwrap());
            assert_eq!(left, after, "{before}");
        }
    }

    #[test]
    fn removal_goes_through_every_cookie_field() {
        let mut headers = headers(&[
            ("cookie", "a=1"),
            ("cookie", "__session=t"),
            ("cookie", "b=2"),
        ]);
        remove_credentials(&mut headers, &tokens());
        let left: Vec<_> = headers.get_all("cookie").iter().collect();
        assert_eq!(left, ["a=1", "b=2"]);
    }

    #[test]
    fn removal_takes_configured_carriers_in_any_spelling_and_nothing_else() {
        let fields = [
            ("authorization", "Basic x"),
            ("x-session-id", "sess_1"),
            ("x_session_id", "sess_1"),
            ("x-session-id-2", "kept"),
        ];
        for (sources, left) in [
            (ids(), &["authorization", "x-session-id-2"][..]),
            (
                tokens(),
                &["x-session-id", "x_session_id", "x-session-id-2"],
            ),
        ] {
            let mut headers = headers(&fields);
            remove_credentials(&mut headers, &sources);
            let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
            assert_eq!(names.len(), left.len());
            assert!(left.iter().all(|name| names.contains(name)), "{names:?}");
        }
    }

    #[test]
    fn the_session_id_leaves_the_query_and_the_rest_keeps_its_bytes() {
        for (before, after) in [
            ("a=%31&_clerk_session_id=sess_1&b", "a=%31&b"),
            ("_clerk_session_id=sess_1", ""),
            ("%5fclerk_session_id=sess_1&a", "a"),
            ("a=1&&b=2", "a=1&&b=2"),
            ("x=_clerk_session_id", "x=_clerk_session_id"),
            ("", ""),
        ] {
            assert_eq!(strip_query(before, &ids()), after, "{before}");
        }
    }

    proptest! {
        #[test]
        fn after_removal_no_session_cookie_is_left_and_the_others_are(
            others in prop::collection::vec("[a-z]{1,4}=[a-z0-9\"% ]{0,6}[a-z]", 0..5),
            suffix in "(_[A-Za-z0-9]{1,8})?",
            at in 0_usize..6,
            separator in prop_oneof![Just("; "), Just(";"), Just(" ;  ")],
        ) {
            let mut pairs = others.clone();
            pairs.insert(at.min(others.len()), format!("__session{suffix}=secret"));
            let mut headers = headers(&[("cookie", &pairs.join(separator))]);
            remove_credentials(&mut headers, &tokens());
            let left = headers.get("cookie").map_or("", |value| value.to_str().unwrap());
            prop_assert!(!left.contains("secret"));
            let kept: Vec<_> = left.split(';').map(str::trim).filter(|pair| !pair.is_empty()).collect();
            prop_assert_eq!(kept, others);
        }
    }
}
