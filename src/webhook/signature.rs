//! Svix's signature, which is that of Standard Webhooks: HMAC-SHA-256 over ID, time and body.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::{fmt, time::Duration};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hmac::{self, HMAC_SHA256},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::HeaderMap;

use crate::time::Timestamp;

/// How far a delivery's time may be from ours, the boundary included.
pub(super) const TOLERANCE: Duration = Duration::from_secs(300);

/// A key's length in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const MAC_BYTES: usize = 32;
/// The longest ID; Svix's have some 31 characters.
const LONGEST_ID: usize = 256;
/// More digits no time has that anybody could mean.
const MOST_DIGITS: usize = 12;
/// Svix's names, and those of the standard.
const PREFIXES: [&str; 2] = ["svix-", "webhook-"];

const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new());
const BASE64_ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret that signs an endpoint's deliveries; its `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct SigningSecret(hmac::Key);

/// Why a text is no signing secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is not whsec_ and base64 of 24 to 64 bytes")]
pub(crate) struct SigningSecretError;

/// A delivery's head: what was signed beside the body, and the signatures.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    id: &'a str,
    /// As it was sent, for that is what was signed.
    seconds: &'a str,
    at: Timestamp,
    signatures: Vec<[u8; MAC_BYTES]>,
}

/// Why a delivery is not known to be Clerk's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("no signature fits any of the secrets")]
    Invalid,
    #[error("a header of the signature is repeated or malformed")]
    Malformed,
    #[error("the headers svix-id, svix-timestamp and svix-signature are not all there")]
    Missing,
    #[error("the delivery was signed more than 5 minutes from now")]
    OutOfTime,
}

impl SigningSecret {
    /// Reads a secret as Clerk's dashboard shows it: `whsec_` and base64, with or without padding.
    ///
    /// # Errors
    ///
    /// [`SigningSecretError`] for anything else, the empty text among it.
    pub(crate) fn parse(text: &str) -> Result<Self, SigningSecretError> {
        let encoded = text.strip_prefix("whsec_").ok_or(SigningSecretError)?;
        let key = BASE64_ANY_PADDING.decode(encoded);
        let key = key.map_err(|_| SigningSecretError)?;
        match KEY_BYTES.contains(&key.len()) {
            true => Ok(Self(hmac::Key::new(HMAC_SHA256, &key))),
            false => Err(SigningSecretError),
        }
    }

    fn mac(&self, signed: &Signed<'_>, body: &[u8]) -> hmac::Tag {
        let mut mac = hmac::Context::with_key(&self.0);
        for part in [
            signed.id.as_bytes(),
            b".",
            signed.seconds.as_bytes(),
            b".",
            body,
        ] {
            mac.update(part);
        }
        mac.sign()
    }
}

impl<'a> Signed<'a> {
    /// Reads a delivery's head, before its body.
    ///
    /// # Errors
    ///
    /// A [`SignatureError`] where the head alone tells that no signature can be good.
    pub(crate) fn of(headers: &'a HeaderMap, now: Timestamp) -> Result<Self, SignatureError> {
        let prefix = PREFIXES
            .into_iter()
            .find(|prefix| headers.keys().any(|name| name.as_str().starts_with(prefix)))
            .ok_or(SignatureError::Missing)?;
        let id = only(headers, prefix, "id")?;
        let seconds = only(headers, prefix, "timestamp")?;
        let signatures = only(headers, prefix, "signature")?;
        // With a dot in it, two deliveries could be one signed text.
        let id_is_good = (1..=LONGEST_ID).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_graphic() && b != b'.');
        if !id_is_good {
            return Err(SignatureError::Malformed);
        }
        let at = time(seconds).ok_or(SignatureError::Malformed)?;
        if at.plus(TOLERANCE) < now || now.plus(TOLERANCE) < at {
            return Err(SignatureError::OutOfTime);
        }
        Ok(Self {
            id,
            seconds,
            at,
            signatures: signatures.split(' ').filter_map(mac).collect(),
        })
    }

    /// Proves that one of the secrets signed the delivery with this body, byte for byte.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Invalid`] where none did.
    pub(crate) fn verify(
        &self,
        body: &[u8],
        secrets: &[SigningSecret],
    ) -> Result<(), SignatureError> {
        let is_by = |secret: &SigningSecret| {
            let mac = secret.mac(self, body);
            let mut signatures = self.signatures.iter();
            signatures.any(|signature| verify_slices_are_equal(signature, mac.as_ref()).is_ok())
        };
        match secrets.iter().any(is_by) {
            true => Ok(()),
            false => Err(SignatureError::Invalid),
        }
    }

    /// Returns the delivery's ID, the same for every attempt at it.
    pub(crate) fn id(&self) -> &'a str {
        self.id
    }

    /// Returns when this attempt at the delivery was signed.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }
}

impl SignatureError {
    /// Returns the reason slug.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Invalid => "webhook-signature-invalid",
            Self::Malformed => "webhook-signature-malformed",
            Self::Missing => "webhook-signature-missing",
            Self::OutOfTime => "webhook-timestamp-out-of-range",
        }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

fn only<'a>(headers: &'a HeaderMap, prefix: &str, name: &str) -> Result<&'a str, SignatureError> {
    let mut values = headers.get_all(format!("{prefix}{name}")).iter();
    let value = values.next().ok_or(SignatureError::Missing)?;
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(value),
        _ => Err(SignatureError::Malformed),
    }
}

/// Reads whole seconds and nothing else: what was signed and what is judged must be the same text.
fn time(text: &str) -> Option<Timestamp> {
    let plain = (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = plain.then(|| text.parse().ok()).flatten()?;
    Some(Timestamp::from_secs(seconds))
}

/// Reads one entry of the list; those of other versions, as `v1a`, are passed over.
fn mac(entry: &str) -> Option<[u8; MAC_BYTES]> {
    let decoded = BASE64.decode(entry.strip_prefix("v1,")?).ok()?;
    decoded.try_into().ok()
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
