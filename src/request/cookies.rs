//! One `Cookie` may be spread over several fields: HTTP/2 allows it (RFC 9113 §8.2.3), HTTP/1.1 does not stop it.

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::RequestError;

/// Browsers keep fewer for one site (RFC 6265 §6.1 asks for 50).
const MAX_COOKIES: usize = 150;

/// Makes several fields one, so that all who read them later read the same.
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut fields = headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (fields.next(), fields.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for field in headers.get_all(COOKIE).iter().skip(1) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(field.as_bytes());
    }
    // Fields that are values each are one together.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_str(field).unwrap());
        }
        headers
    }

    #[test]
    fn several_fields_are_made_one_in_their_order() {
        for (fields, joined) in [
            (&["a=1", "b=2; c=3", "d=4"][..], "a=1; b=2; c=3; d=4"),
            (&["a=1; b=2"], "a=1; b=2"),
        ] {
            let mut headers = headers(fields);
            join_cookies(&mut headers);
            let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(left, [joined]);
        }
    }

    #[test]
    fn more_cookies_than_a_browser_sends_are_refused() {
        let cookies = |count| vec!["a"; count].join(";");
        let fields = |count| vec!["a=1"; count];
        let (most, more) = (MAX_COOKIES, MAX_COOKIES + 1);
        for (fields, is_good) in [
            (vec![&*cookies(most)], true),
            (vec![&*fields(most).join(";")], true),
            (vec![&*cookies(more)], false),
            (vec![&*fields(most).join(";"), "b"], false),
            (fields(most), true),
            (fields(more), false),
            // Too short for that many, or with one more that is empty.
            (vec![&*";".repeat(200)], true),
            (vec![&*"a;".repeat(most)], true),
            (vec!["a=1"], true),
            (vec![], true),
        ] {
            let checked = check_cookies(&headers(&fields));
            assert_eq!(checked.is_ok(), is_good, "{fields:?}");
        }
    }
}
