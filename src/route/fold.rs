//! Paths as servers read them that fold case and cut dots and blanks off the ends of names: Windows does both.

use std::borrow::Cow;

/// Folds a canonical path; a segment of blanks alone is gone, unless it is the last.
///
/// Nothing is copied where there is nothing to fold.
pub(super) fn folded_path(path: &str) -> Cow<'_, str> {
    if !may_fold(path) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    let mut segments = path.trim_start_matches('/').split('/').peekable();
    while let Some(segment) = segments.next() {
        let kept = cut(segment);
        if !kept.is_empty() || segments.peek().is_none() {
            out.push('/');
            out.push_str(kept);
        }
    }
    out.make_ascii_lowercase();
    Cow::Owned(out)
}

/// Folds a route's own literal.
pub(super) fn folded_literal(literal: &[u8]) -> Box<[u8]> {
    let cut = |byte: &u8| matches!(byte, b'.' | b' ');
    let kept = literal.iter().rposition(|byte| !cut(byte));
    let kept = kept.map_or(0, |last| last + 1);
    literal[..kept].to_ascii_lowercase().into()
}

/// Tells in one pass whether folding may change a path; most have nothing of the kind.
fn may_fold(path: &str) -> bool {
    let mut previous = b'/';
    for byte in path.bytes() {
        let ends_in_dot = byte == b'/' && previous == b'.';
        if byte.is_ascii_uppercase() || byte == b'%' || ends_in_dot {
            return true;
        }
        previous = byte;
    }
    previous == b'.'
}

fn cut(mut segment: &str) -> &str {
    while let Some(shorter) = segment
        .strip_suffix('.')
        .or_else(|| segment.strip_suffix("%20"))
    {
        segment = shorter;
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_goes_and_so_do_dots_and_blanks_at_the_ends_of_segments() {
        for (path, folded) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/ADMIN/x", "/admin/x"),
            ("/admin./x", "/admin/x"),
            ("/admin%20/x", "/admin/x"),
            ("/admin.%20./x.", "/admin/x"),
            ("/%20/admin", "/admin"),
            ("/admin/%20", "/admin/"),
            ("/a.b/.c/d%20e", "/a.b/.c/d%20e"),
            ("/caf%C3%A9", "/caf%c3%a9"),
        ] {
            assert_eq!(folded_path(path), folded, "{path}");
        }
        assert_eq!(&*folded_literal(b"Admin. ."), b"admin");
        assert_eq!(&*folded_literal(b". "), b"");
    }

    #[test]
    fn what_has_nothing_to_fold_is_not_copied() {
        for path in ["/", "/a/b-c_d~e/", "/.well-known/x", "/v1.2/a"] {
            assert!(matches!(folded_path(path), Cow::Borrowed(_)), "{path}");
        }
    }
}
