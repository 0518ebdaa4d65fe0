//! HTTP/2 may spread one `Cookie` over several fields (RFC 9113 §8.2.3).

use http::{HeaderValue, Version, header::COOKIE, request::Parts};

/// Makes the fields of an HTTP/2 request one, as they are in HTTP/1.1; there, several stay as they are.
pub(crate) fn join_cookies(parts: &mut Parts) {
    if parts.version != Version::HTTP_2 {
        return;
    }
    let mut fields = parts.headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (fields.next(), fields.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for field in parts.headers.get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(field.as_bytes());
    }
    // Fields that are values each are one together.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        parts.headers.insert(COOKIE, joined);
    }
}
