//! A request's ID: unique, cheap, and telling nothing.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderValue;

/// The process's part: random, so that two processes' IDs do not meet.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
static NEXT: AtomicU64 = AtomicU64::new(0);

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A request's ID: 32 hexadecimal digits.
pub(crate) struct RequestId([u8; 32]);

impl RequestId {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let both = (u128::from(*PROCESS) << 64) | u128::from(number);
        let mut digits = [0; 32];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            let nibble = (both >> (4 * place)) as usize & 0xf;
            *digit = HEX[nibble];
        }
        Self(digits)
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_| HeaderValue::from_static(""))
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
}
