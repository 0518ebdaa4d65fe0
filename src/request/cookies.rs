//! HTTP/2 may spread one `Cookie` over several fields (RFC 9113 §8.2.3).

use http::{HeaderMap, HeaderValue, Version, header::COOKIE, request::Parts};

use super::RequestError;

/// Browsers keep fewer for one site (RFC 6265 §6.1 asks for 50).
const MAX_COOKIES: usize = 150;

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

/// Refuses a request with more cookies than a browser sends.
///
/// # Errors
///
/// [`RequestError::TooManyCookies`].
pub(crate) fn check_cookies(headers: &HeaderMap) -> Result<(), RequestError> {
    let pairs = |value: &HeaderValue| {
        // What is too short for that many is not looked at.
        let is_long = value.len() > 2 * MAX_COOKIES;
        let separators = || {
            value
                .as_bytes()
                .iter()
                .filter(|&&byte| byte == b';')
                .count()
        };
        is_long.then(separators).unwrap_or_default() + 1
    };
    let count: usize = headers.get_all(COOKIE).iter().map(pairs).sum();
    (count <= MAX_COOKIES)
        .then_some(())
        .ok_or(RequestError::TooManyCookies)
}
