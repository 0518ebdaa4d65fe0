//! A request's ID: unique, cheap, and telling nothing.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The process's part: random, so that two processes' IDs do not meet.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
static NEXT: AtomicU64 = AtomicU64::new(0);

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The longest ID that is taken over.
const LONGEST: usize = 128;

/// A request's ID: 32 hexadecimal digits, or what a trusted proxy has called it.
#[derive(Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let both = (u128::from(*PROCESS) << 64) | u128::from(number);
        let mut digits = [0; 32];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            let nibble = (both >> (4 * place)) as usize & 0xf;
            *digit = HEX[nibble];
        }
        Self(HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("")))
    }

    /// Takes over the ID that a trusted proxy has sent, where there is one and it is harmless.
    pub(crate) fn sent(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(X_REQUEST_ID).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let is_plain =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        let bytes = value.as_bytes();
        let harmless = (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(is_plain);
        harmless.then(|| Self(value.clone()))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn value(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_digits_and_differ() {
        let (one, other) = (RequestId::new(), RequestId::new());
        assert_eq!(one.as_str().len(), 32);
        assert!(one.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(one.as_str(), other.as_str());
        assert_eq!(one.value(), one.as_str());
    }

    #[test]
    fn only_one_harmless_id_is_taken_over() {
        let sent = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(X_REQUEST_ID, HeaderValue::from_str(value).unwrap());
            }
            RequestId::sent(&headers).map(|id| id.as_str().to_owned())
        };
        assert_eq!(sent(&["req-1.a:b_C"]).as_deref(), Some("req-1.a:b_C"));
        for bad in ["", "a b", "a\"b", "a\tb", &"a".repeat(129)] {
            assert_eq!(sent(&[bad]), None, "{bad:?}");
        }
        assert_eq!(sent(&["a", "a"]), None);
    }
}
