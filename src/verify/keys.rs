//! The keys that an instance's tokens are verified with: from a PEM, or from a JWKS.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{PublicEncryptingKey, PublicKeyComponents},
    signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD,
    },
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

/// The largest JWKS that is read, in bytes.
pub(crate) const MAX_JWKS_LEN: usize = 64 * 1024;
const MAX_JWKS_KEYS: usize = 64;

const BASE64_ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The public keys of one Clerk instance; a clone costs one reference count.
///
/// Keys of two instances must never share a set: Clerk's key IDs alone do not tell them apart.
///
/// ```
/// use clerk_gateway::verify::{KeyError, KeySet};
///
/// let refused = KeySet::from_pem("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----");
/// assert!(matches!(refused, Err(KeyError::Certificate)));
/// ```
#[derive(Clone)]
pub struct KeySet(Arc<Keys>);

struct Keys {
    keys: Vec<VerifyingKey>,
    skipped: usize,
}

/// An RS256 public key, parsed once.
pub struct VerifyingKey {
    /// `None` for a PEM, which names none and so answers for all.
    id: Option<String>,
    key: ParsedPublicKey,
}

/// Why a text gave no keys.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is a certificate.
    #[error("this is a certificate, not a public key: {WANTED}")]
    Certificate,
    /// It is not a JSON object with a `keys` array.
    #[error("this is not a JWKS: it must be JSON, as in {{\"keys\": […]}}")]
    Jwks,
    /// It is a JWKS of more than 64 KiB or 64 keys.
    #[error("this JWKS is too large: at most 64 KiB and 64 keys are read")]
    JwksTooLarge,
    /// It is neither a PEM nor bare base64.
    #[error("this is not a PEM public key: {WANTED}")]
    NotPem,
    /// It is no RSA public key.
    #[error("this is not an RSA public key: {WANTED}")]
    NotRsa,
    /// The JWKS holds no usable RSA signing key.
    #[error(
        "the JWKS holds no usable key: none is an RS256 signing key of 2048 to 8192 bits with an ID of its own"
    )]
    NoUsableKey,
    /// It is a private key.
    #[error("this is a private key, which never belongs here: {WANTED}")]
    PrivateKey,
    /// The modulus is outside 2048 to 8192 bits.
    #[error("this RSA key's size is not 2048 to 8192 bits: {WANTED}")]
    Size,
}

const WANTED: &str = "give the instance's JWKS public key from the Clerk dashboard, which begins with -----BEGIN PUBLIC KEY-----";

impl KeySet {
    /// Reads one RSA public key, which then answers for tokens of any key ID or none.
    ///
    /// Takes a PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`; LF, CRLF or literal `\n` between lines), or
    /// its base64 alone. 2048 to 8192 bits.
    ///
    /// # Errors
    ///
    /// A [`KeyError`] that says what the text is instead.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = parse_der(&pem_body(pem)?)?;
        Ok(Self::new(vec![VerifyingKey { id: None, key }], 0))
    }

    /// Reads a JWKS (RFC 7517 §5), key by key; each answers only for its exact ID.
    ///
    /// What is no RSA signing key with an ID is skipped, and so is what carries private members.
    /// Of usable keys that share an ID all are skipped, because none can be told to be the right one.
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwks`] and [`KeyError::JwksTooLarge`] for what is not read at all,
    /// [`KeyError::NoUsableKey`] where nothing is left.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Jwks<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        if json.len() > MAX_JWKS_LEN {
            return Err(KeyError::JwksTooLarge);
        }
        let Jwks { keys: items } = serde_json::from_slice(json).map_err(|_| KeyError::Jwks)?;
        if items.len() > MAX_JWKS_KEYS {
            return Err(KeyError::JwksTooLarge);
        }
        let usable: Vec<_> = items.iter().filter_map(|item| parse_jwk(item)).collect();
        let mut ids: Vec<_> = usable.iter().map(|key| key.id.clone()).collect();
        ids.sort_unstable();
        let is_alone = |key: &VerifyingKey| {
            let equal = ids.iter().filter(|id| **id == key.id);
            equal.count() == 1
        };
        let keys: Vec<_> = usable.into_iter().filter(is_alone).collect();
        if keys.is_empty() {
            return Err(KeyError::NoUsableKey);
        }
        let skipped = items.len() - keys.len();
        Ok(Self::new(keys, skipped))
    }

    fn new(keys: Vec<VerifyingKey>, skipped: usize) -> Self {
        Self(Arc::new(Keys { keys, skipped }))
    }

    /// Returns how many keys of the JWKS were left out as unusable.
    pub fn skipped(&self) -> usize {
        self.0.skipped
    }

    /// Returns the key for a token's `kid`: a PEM's for any, a JWKS's only for its own.
    pub fn find(&self, kid: Option<&str>) -> Option<&VerifyingKey> {
        let answers = |key: &&VerifyingKey| key.id.is_none() || key.id.as_deref() == kid;
        self.0.keys.iter().find(answers)
    }
}

impl VerifyingKey {
    /// Tells whether `signature` is this key's over `message` (RSASSA-PKCS1-v1_5 with SHA-256).
    pub fn is_signature_of(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("keys", &self.0.keys)
            .field("skipped", &self.0.skipped)
            .finish()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Takes the DER out of a PEM or of bare base64.
fn pem_body(pem: &str) -> Result<Vec<u8>, KeyError> {
    let text = pem.replace("\\r", "").replace("\\n", "\n");
    let text = text.trim();
    let body = match text.strip_prefix("-----BEGIN ") {
        None => text,
        Some(rest) => {
            let (label, rest) = rest.split_once("-----").ok_or(KeyError::NotPem)?;
            match label {
                "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
                "CERTIFICATE" | "TRUSTED CERTIFICATE" => return Err(KeyError::Certificate),
                _ if label.ends_with("PRIVATE KEY") => return Err(KeyError::PrivateKey),
                _ => return Err(KeyError::NotPem),
            }
            rest.strip_suffix(&format!("-----END {label}-----"))
                .ok_or(KeyError::NotPem)?
        }
    };
    let base64: String = body.split_whitespace().collect();
    match BASE64_ANY_PADDING.decode(base64) {
        Ok(der) if !der.is_empty() => Ok(der),
        _ => Err(KeyError::NotPem),
    }
}

/// Parses SPKI or PKCS#1, which is SPKI's end.
fn parse_der(der: &[u8]) -> Result<ParsedPublicKey, KeyError> {
    let key =
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).map_err(|_| KeyError::NotRsa)?;
    let key = check(key)?;
    // aws-lc passes over what stands behind a key.
    let spki = key.as_der().map_err(|_| KeyError::NotRsa)?;
    match spki.as_ref().ends_with(der) {
        true => Ok(key),
        false => Err(KeyError::NotRsa),
    }
}

/// aws-lc puts off the check of the size to the first signature; here it is due at once.
fn check(key: ParsedPublicKey) -> Result<ParsedPublicKey, KeyError> {
    let spki = key.as_der().map_err(|_| KeyError::NotRsa)?;
    PublicEncryptingKey::from_der(spki.as_ref()).map_err(|_| KeyError::Size)?;
    Ok(key)
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: String,
    e: String,
    // Members of private and of symmetric keys: a set that leaks them is not to be relied on.
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl Jwk {
    fn is_public_signing_key(&self) -> bool {
        let private = [
            &self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth, &self.k,
        ];
        self.kty == "RSA"
            && self.alg.as_deref().is_none_or(|alg| alg == "RS256")
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self
                .key_ops
                .as_ref()
                .is_none_or(|ops| ops.iter().any(|op| op == "verify"))
            && private.iter().all(|member| member.is_none())
    }
}

fn parse_jwk(item: &RawValue) -> Option<VerifyingKey> {
    let jwk: Jwk = serde_json::from_str(item.get()).ok()?;
    if !jwk.is_public_signing_key() {
        return None;
    }
    let components = PublicKeyComponents {
        n: URL_SAFE_NO_PAD.decode(&jwk.n).ok()?,
        e: URL_SAFE_NO_PAD.decode(&jwk.e).ok()?,
    };
    // aws-lc refuses even exponents and 1, and moduli that cannot be one.
    let key = components
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .ok()?;
    Some(VerifyingKey {
        id: Some(jwk.kid?),
        key: check(key).ok()?,
    })
}
