//! Where a message's body ends: what two readers could answer differently is refused.

use http::{
    HeaderMap, HeaderName, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

use super::spelling::same_name;

/// As many digits as the largest length has that no reader takes for a negative one.
const MAX_DIGITS: usize = 19;

/// Why a message's framing is ambiguous.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FramingError {
    /// A name that CGI-like upstreams take for `Content-Length` or `Transfer-Encoding`.
    #[error("a header's name can be taken for content-length or transfer-encoding")]
    Alias,
    /// `Content-Length` stands beside `Transfer-Encoding`.
    #[error("content-length stands beside transfer-encoding")]
    Both,
    /// `Content-Length` is repeated, or is not a plain number.
    #[error("content-length is repeated or not a number")]
    Length,
    /// `Transfer-Encoding` is another than exactly one `chunked` in HTTP/1.1.
    #[error("transfer-encoding is not exactly `chunked`")]
    TransferEncoding,
}

/// What makes a head ambiguous, or too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HeadFault {
    /// A `#` in the request target, which readers cut at different places.
    #[error("the request target holds a #")]
    Fragment,
    /// `Content-Length` or `Transfer-Encoding` leave the body's end open (RFC 9112 §6.3).
    #[error("the body's length is ambiguous")]
    Framing,
    /// A line that does not end in exactly CR LF, or that continues the one before.
    #[error("a line of the head is malformed")]
    Line,
    /// More fields than one may have: HTTP/2 has no bound of its own on their number.
    #[error("the head has too many fields")]
    TooManyFields,
}

/// Refuses framing headers that are open to more than one reading (RFC 9112 §6.1, §6.3).
///
/// # Errors
///
/// A [`FramingError`] naming the header.
pub(crate) fn check_framing(version: Version, headers: &HeaderMap) -> Result<(), FramingError> {
    let frames = |name: &HeaderName| *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING;
    // Most requests have neither, which is seen sooner than looked up.
    if !headers.keys().any(frames) {
        return Ok(());
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else {
        let is_number = |bytes: &[u8]| {
            (1..=MAX_DIGITS).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit)
        };
        let plain =
            length.is_none_or(|value| is_number(value.as_bytes()) && lengths.next().is_none());
        return plain.then_some(()).ok_or(FramingError::Length);
    };
    if length.is_some() {
        return Err(FramingError::Both);
    }
    let once = encodings.next().is_none() && encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
    (once && version == Version::HTTP_11)
        .then_some(())
        .ok_or(FramingError::TransferEncoding)
}

/// Refuses names that an upstream may take for those of framing: `Content_Length` and its like.
///
/// # Errors
///
/// [`FramingError::Alias`].
pub(crate) fn check_framing_names(headers: &HeaderMap) -> Result<(), FramingError> {
    let is_alias = |name: &HeaderName| {
        [CONTENT_LENGTH, TRANSFER_ENCODING]
            .iter()
            .any(|framing| same_name(name.as_str(), framing.as_str()) && name != framing)
    };
    match headers.keys().any(is_alias) {
        true => Err(FramingError::Alias),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(headers: &[(HeaderName, &'static str)]) -> Result<(), FramingError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        check_framing(Version::HTTP_11, &map)
    }

    #[test]
    fn one_length_or_one_chunked_is_accepted() {
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[(CONTENT_LENGTH, "5")]), Ok(()));
        assert_eq!(check(&[(TRANSFER_ENCODING, "Chunked")]), Ok(()));
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for value in [
            "gzip, chunked",
            "chunked, chunked",
            "xchunked",
            "identity",
            "chunked;q=1",
            "",
        ] {
            let refused = check(&[(TRANSFER_ENCODING, value)]);
            assert_eq!(refused, Err(FramingError::TransferEncoding), "{value:?}");
        }
        let twice = check(&[
            (TRANSFER_ENCODING, "chunked"),
            (TRANSFER_ENCODING, "chunked"),
        ]);
        assert_eq!(twice, Err(FramingError::TransferEncoding));
        let both = check(&[(CONTENT_LENGTH, "4"), (TRANSFER_ENCODING, "chunked")]);
        assert_eq!(both, Err(FramingError::Both));
        for value in ["+5", "5,5", "0x5", "", "-1", "000000000000000000005"] {
            assert_eq!(
                check(&[(CONTENT_LENGTH, value)]),
                Err(FramingError::Length),
                "{value:?}"
            );
        }
        let repeated = check(&[(CONTENT_LENGTH, "5"), (CONTENT_LENGTH, "5")]);
        assert_eq!(repeated, Err(FramingError::Length));
    }

    #[test]
    fn names_like_those_of_framing_are_refused() {
        for (name, refused) in [
            ("content_length", true),
            ("content.length", true),
            ("transfer_encoding", true),
            ("content-length", false),
            ("transfer-encoding", false),
            ("content-lengths", false),
            ("content_type", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("5"));
            assert_eq!(check_framing_names(&headers).is_err(), refused, "{name}");
        }
    }

    #[test]
    fn transfer_encoding_outside_http_1_1_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert!(check_framing(version, &headers).is_err());
        }
    }
}
