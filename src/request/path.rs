//! The canonical path: one spelling for one resource, and no spelling that an upstream may read as another.

use std::borrow::Cow;

/// What makes a path ambiguous.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PathError {
    /// Another route is meant where case, trailing dots and trailing blanks do not count.
    #[error(
        "the path is another route's for a server that folds case, or cuts dots and blanks off"
    )]
    AnotherRoute,
    /// A control, blank or non-ASCII byte stands in it as it is.
    #[error("the path holds a byte that must be percent-encoded")]
    Byte,
    /// A segment is `.`, or ends in `..`: upstreams collapse the one and cut the other.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// A segment other than the last is empty.
    #[error("the path holds an empty segment")]
    EmptySegment,
    /// A delimiter, a `%` or a control byte is percent-encoded.
    #[error("the path holds an encoded delimiter")]
    EncodedDelimiter,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("the path holds a malformed escape")]
    Escape,
    /// The decoded bytes are not UTF-8, as in an overlong `/`.
    #[error("the path does not decode to utf-8")]
    NotUtf8,
    /// It does not begin with `/`.
    #[error("the path does not begin with a slash")]
    Relative,
    /// A `\`, `#` or `;` stands in it.
    #[error("the path holds a backslash, a `#` or a `;`")]
    Reserved,
}

/// Returns the canonical form of a path: unreserved characters decoded, other escapes in capitals (RFC 3986 §6.2.2).
///
/// An empty path is `/`. A path in canonical form is returned as it is, without copying.
///
/// # Errors
///
/// A [`PathError`] where an upstream could read the path differently than the gateway.
pub(crate) fn canonical_path(raw: &str) -> Result<Cow<'_, str>, PathError> {
    if is_plain(raw.as_bytes()) {
        return Ok(Cow::Borrowed(raw));
    }
    if raw.is_empty() {
        return Ok(Cow::Borrowed("/"));
    }
    let path = normalized(raw)?;
    check_segments(&path)?;
    check_decoded(&path)?;
    Ok(path)
}

/// Tells whether there is nothing to decode or to refuse; a few harmless paths take the long way too.
fn is_plain(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        let ordinary = byte.is_ascii_graphic() && !matches!(byte, b'%' | b'\\' | b'#' | b';');
        let doubtful = matches!((previous, byte), (b'/' | b'.', b'.') | (b'/', b'/'));
        if !ordinary || doubtful {
            return false;
        }
        previous = byte;
    }
    path.first() == Some(&b'/')
}

fn normalized(raw: &str) -> Result<Cow<'_, str>, PathError> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => push_escaped(&mut out, escaped(rest.next(), rest.next())?)?,
            b'\\' | b'#' | b';' => return Err(PathError::Reserved),
            _ if byte.is_ascii_graphic() => out.push(char::from(byte)),
            _ => return Err(PathError::Byte),
        }
    }
    Ok(if out == raw {
        Cow::Borrowed(raw)
    } else {
        Cow::Owned(out)
    })
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Result<u8, PathError> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let (high, low) = digit(high).zip(digit(low)).ok_or(PathError::Escape)?;
    u8::try_from(high * 16 + low).map_err(|_| PathError::Escape)
}

fn push_escaped(out: &mut String, byte: u8) -> Result<(), PathError> {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            out.push(char::from(byte))
        }
        b'/' | b'\\' | b'%' | b'#' | b'?' | b';' => return Err(PathError::EncodedDelimiter),
        _ if byte.is_ascii_control() => return Err(PathError::EncodedDelimiter),
        _ => {
            let hex = |nibble: u8| {
                char::from_digit(nibble.into(), 16)
                    .unwrap_or_default()
                    .to_ascii_uppercase()
            };
            out.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    Ok(())
}

fn check_segments(path: &str) -> Result<(), PathError> {
    let mut segments = path
        .strip_prefix('/')
        .ok_or(PathError::Relative)?
        .split('/')
        .peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err(PathError::EmptySegment);
        }
        if segment == "." || segment.ends_with("..") {
            return Err(PathError::DotSegment);
        }
    }
    Ok(())
}

fn check_decoded(path: &str) -> Result<(), PathError> {
    if !path.contains('%') {
        return Ok(());
    }
    let decoded: Vec<u8> = decoded_bytes(path).collect();
    str::from_utf8(&decoded)
        .map(drop)
        .map_err(|_| PathError::NotUtf8)
}

/// Decodes every escape of a canonical path or segment.
pub(crate) fn decoded_bytes(path: &str) -> impl Iterator<Item = u8> {
    let mut rest = path.bytes();
    std::iter::from_fn(move || match rest.next()? {
        b'%' => escaped(rest.next(), rest.next()).ok(),
        byte => Some(byte),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unreserved_characters_are_decoded_and_escapes_capitalized() {
        for (raw, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("/%61dmin/users", "/admin/users"),
            ("/%73trip/x", "/strip/x"),
            ("/a%7eb%2Dc", "/a~b-c"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/%EF%BD%81dmin", "/%EF%BD%81dmin"),
            ("/a%20b", "/a%20b"),
            ("/%40me", "/%40me"),
        ] {
            assert_eq!(canonical_path(raw).as_deref(), Ok(canonical), "{raw}");
        }
    }

    #[test]
    fn ordinary_paths_are_not_copied() {
        for raw in [
            "/",
            "/a/b",
            "/a/",
            "/.well-known/x",
            "/a.b/c..d",
            "/@me/a+b:c=d,e",
            "/a%20b",
            "/ADMIN",
        ] {
            assert!(
                matches!(canonical_path(raw), Ok(Cow::Borrowed(same)) if same == raw),
                "{raw}"
            );
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for (raw, error) in [
            ("/public/../admin", PathError::DotSegment),
            ("/public/.", PathError::DotSegment),
            ("/public/%2e%2e/admin", PathError::DotSegment),
            ("/public/%2E%2e/admin", PathError::DotSegment),
            ("/public/.%2e/admin", PathError::DotSegment),
            ("/public/.../admin", PathError::DotSegment),
            ("/strip../admin", PathError::DotSegment),
            ("/public/..%2fadmin", PathError::EncodedDelimiter),
            ("/public/%252e%252e%252fadmin", PathError::EncodedDelimiter),
            ("/admin%2Fusers", PathError::EncodedDelimiter),
            ("/admin%2fusers", PathError::EncodedDelimiter),
            ("/public%5c..%5cadmin", PathError::EncodedDelimiter),
            ("/admin%23/public/x", PathError::EncodedDelimiter),
            ("/admin%3f/public", PathError::EncodedDelimiter),
            ("/admin%3b/public", PathError::EncodedDelimiter),
            ("/public/%00/x", PathError::EncodedDelimiter),
            ("/public/%0d%0ax", PathError::EncodedDelimiter),
            ("/public/%7f", PathError::EncodedDelimiter),
            ("//admin/users", PathError::EmptySegment),
            ("///admin", PathError::EmptySegment),
            ("/a//", PathError::EmptySegment),
            ("/x//../admin", PathError::EmptySegment),
            ("/public/..;/admin", PathError::Reserved),
            ("/admin;x=1", PathError::Reserved),
            ("/public\\..\\admin", PathError::Reserved),
            ("/admin/x#/public/", PathError::Reserved),
            ("/public/%zz", PathError::Escape),
            ("/%", PathError::Escape),
            ("/%4", PathError::Escape),
            ("/%+4", PathError::Escape),
            ("/public/%c0%af", PathError::NotUtf8),
            ("/public/%ff", PathError::NotUtf8),
            ("/caf\u{e9}", PathError::Byte),
            ("/a b", PathError::Byte),
            ("/a\u{1}b", PathError::Byte),
            ("admin", PathError::Relative),
            ("*", PathError::Relative),
        ] {
            assert_eq!(canonical_path(raw), Err(error), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(raw in ".{0,64}") {
            let _ = canonical_path(&raw);
        }

        #[test]
        fn the_canonical_form_is_its_own_canonical_form(raw in "/([a-zA-Z.%~/+@]|%[0-9a-fA-F]{2}){0,24}") {
            if let Ok(once) = canonical_path(&raw) {
                let twice = canonical_path(&once);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
            }
        }

        #[test]
        fn no_canonical_path_decodes_to_another_structure(raw in "/([a-z./\\\\;#]|%[0-9a-fA-F]{2}){0,24}") {
            if let Ok(path) = canonical_path(&raw) {
                let decoded: Vec<u8> = decoded_bytes(&path).collect();
                let slashes = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'/').count();
                prop_assert_eq!(slashes(&decoded), slashes(path.as_bytes()));
                prop_assert!(!decoded.iter().any(|byte| matches!(byte, 0..=31 | 127 | b'\\' | b'?' | b'#' | b';' | b'%')));
                prop_assert!(!decoded.split(|&byte| byte == b'/').any(|segment| segment == b"." || segment == b".."));
            }
        }
    }
}
