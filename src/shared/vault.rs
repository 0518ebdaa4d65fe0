//! How names and values in Redis are kept from its readers, and their places from its writers.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, Salt},
    hmac::{self, HMAC_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

const NONCE_BYTES: usize = 12;
/// What sealed values begin with; another form would begin with another.
const FORM: u8 = 1;
const SALT: &[u8] = b"clerk-gateway shared state";

/// The kind of the ledger of Clerk's calls.
pub(super) const CALLS: &str = "calls";
/// The kind of the stream of revocations.
pub(super) const REVOCATIONS: &str = "revocations";
/// The kind of the claim of the replica that says all revocations again.
pub(super) const RESTORING: &str = "restoring";

struct Key {
    values: RandomizedNonceKey,
    names: hmac::Key,
}

/// The keys of an instance; its `Debug` shows none.
pub(super) struct Vault {
    instance: String,
    /// Never empty: the first seals and names, each opens.
    keys: Vec<Key>,
}

impl Vault {
    /// Derives the keys of an instance; `None` where there is no secret to derive them from.
    pub(super) fn new(instance: &str, secrets: &[SecretString]) -> Option<Self> {
        let keys: Option<Vec<_>> = secrets.iter().map(derive).collect();
        Some(Self {
            instance: instance.to_owned(),
            keys: keys.filter(|keys| !keys.is_empty())?,
        })
    }

    /// Returns the name of one thing of a kind, by what tells it from all others: nobody else can say whose it is.
    pub(super) fn name(&self, kind: &str, parts: &[&str]) -> String {
        let whole = joined([self.instance.as_str(), kind].iter().chain(parts));
        let tag = self.keys.first().map(|key| hmac::sign(&key.names, &whole));
        let tag = tag.as_ref().map(AsRef::as_ref).unwrap_or_default();
        format!("{}:{}", self.place(kind), URL_SAFE_NO_PAD.encode(tag))
    }

    /// Returns the one name of a kind: replicas find it whatever their keys, as while these are rotated.
    pub(super) fn place(&self, kind: &str) -> String {
        let digest = digest(&SHA256, self.instance.as_bytes());
        let instance = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..9).unwrap_or_default());
        format!("clerk-gateway:{instance}:{}", kind)
    }

    /// Encrypts a value for its place alone; `None` where the randomness for it is lacking.
    ///
    /// AES-256-GCM-SIV bears as many random nonces as there will ever be values.
    pub(super) fn seal(&self, kind: &str, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = value.to_vec();
        let place = Aad::from(self.binding(kind, name));
        let key = &self.keys.first()?.values;
        let nonce = key.seal_in_place_append_tag(place, &mut sealed).ok()?;
        Some([&[FORM], nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// Decrypts what was sealed for this place; `None` for anything else.
    pub(super) fn open(&self, kind: &str, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed
            .strip_prefix(&[FORM])?
            .split_at_checked(NONCE_BYTES)?;
        let place = self.binding(kind, name);
        self.keys.iter().find_map(|key| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut value = sealed.to_vec();
            let opened = key
                .values
                .open_in_place(nonce, Aad::from(&place), &mut value);
            opened.ok().map(|value| value.to_vec())
        })
    }

    fn binding(&self, kind: &str, name: &str) -> Vec<u8> {
        joined([self.instance.as_str(), kind, name].iter())
    }
}

/// Joins parts with their lengths before them, so that no two lists of them read alike.
fn joined<'a>(parts: impl Iterator<Item = &'a &'a str>) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend((part.len() as u64).to_be_bytes());
        joined.extend(part.as_bytes());
    }
    joined
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

fn derive(secret: &SecretString) -> Option<Key> {
    let secret = Salt::new(HKDF_SHA256, SALT).extract(secret.expose_secret().as_bytes());
    let key = |purpose: &[u8]| {
        let purpose = [purpose];
        let expanded = secret.expand(&purpose, &AES_256_GCM_SIV).ok()?;
        let mut key = [0; 32];
        expanded.fill(&mut key).ok()?;
        Some(key)
    };
    Some(Key {
        values: RandomizedNonceKey::new(&AES_256_GCM_SIV, &key(b"values")?).ok()?,
        names: hmac::Key::new(HMAC_SHA256, &key(b"names")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: (&str, &str) = (REVOCATIONS, "here");

    fn vault(instance: &str, secrets: &[&str]) -> Vault {
        let secrets: Vec<SecretString> = secrets.iter().map(|text| (*text).into()).collect();
        Vault::new(instance, &secrets).unwrap()
    }

    fn sealed(vault: &Vault) -> Vec<u8> {
        vault.seal(PLACE.0, PLACE.1, b"a value").unwrap()
    }

    fn opens(vault: &Vault, sealed: &[u8]) -> bool {
        vault.open(PLACE.0, PLACE.1, sealed).is_some()
    }

    #[test]
    fn what_is_sealed_is_opened_in_its_place() {
        let vault = vault("https://a", &["old"]);
        let opened = vault.open(PLACE.0, PLACE.1, &sealed(&vault));
        assert_eq!(opened.as_deref(), Some(b"a value".as_slice()));
    }

    #[test]
    fn a_value_in_another_place_or_of_another_instance_is_none() {
        let here = vault("https://a", &["key"]);
        let sealed = sealed(&here);
        assert!(here.open(PLACE.0, "there", &sealed).is_none());
        assert!(here.open(RESTORING, PLACE.1, &sealed).is_none());
        assert!(!opens(&vault("https://b", &["key"]), &sealed));
        assert!(!opens(&vault("https://a", &["other"]), &sealed));
    }

    #[test]
    fn no_changed_or_shortened_value_is_opened() {
        let vault = vault("https://a", &["key"]);
        let sealed = sealed(&vault);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(!opens(&vault, &changed), "{index}");
            assert!(!opens(&vault, &sealed[..index]), "{index}");
        }
    }

    #[test]
    fn while_keys_are_rotated_each_replica_reads_the_others() {
        let before = vault("https://a", &["old", "new"]);
        let after = vault("https://a", &["new", "old"]);
        assert!(opens(&after, &sealed(&before)));
        assert!(opens(&before, &sealed(&after)));
        assert!(!opens(&vault("https://a", &["new"]), &sealed(&before)));
        assert_eq!(before.place(PLACE.0), after.place(PLACE.0));
    }

    #[test]
    fn one_value_never_looks_the_same_twice() {
        let vault = vault("https://a", &["key"]);
        assert_ne!(sealed(&vault), sealed(&vault));
    }

    #[test]
    fn names_differ_by_all_that_they_are_of_and_show_none_of_it() {
        let here = vault("https://a", &["key"]);
        let name = here.name("session", &["sess_a", "b"]);
        assert_eq!(name, here.name("session", &["sess_a", "b"]));
        assert!(!name.contains("sess_a"));
        for other in [
            here.name("session", &["sess_ab", ""]),
            here.name("session", &["sess_a", "b", ""]),
            here.name("template-token", &["sess_a", "b"]),
            vault("https://b", &["key"]).name("session", &["sess_a", "b"]),
            vault("https://a", &["other"]).name("session", &["sess_a", "b"]),
        ] {
            assert_ne!(name, other);
        }
    }

    #[test]
    fn nothing_is_derived_from_nothing() {
        assert!(Vault::new("https://a", &[]).is_none());
    }
}
