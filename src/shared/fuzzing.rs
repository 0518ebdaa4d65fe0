//! The door to what stands in Redis.

use super::{vault, wire};

/// An instance's keys.
pub struct Vault(vault::Vault);

impl Vault {
    /// Derives the keys of an instance.
    pub fn new(instance: &str, secret: &str) -> Option<Self> {
        vault::Vault::new(instance, &[secret.into()]).map(Self)
    }

    /// Encrypts a value for its place.
    pub fn seal(&self, kind: &str, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        self.0.seal(kind, name, value)
    }

    /// Decrypts what was sealed for this place.
    pub fn open(&self, kind: &str, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.open(kind, name, sealed)
    }
}

/// Reads a revocation, and writes it again.
pub fn read_revocation(text: &[u8]) -> Option<Vec<u8>> {
    wire::decode(text).map(|recorded| wire::encode(&recorded))
}
