//! The instance's RSA key: JWS signing, JWKS and PEM.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::SandboxError;

/// The key of deterministic sandboxes: public knowledge, worth nothing.
const DEVELOPMENT_KEY: &str = include_str!("development_key.pem");

/// An RS256 key with its key ID.
pub(crate) struct SigningKey {
    pair: KeyPair,
    kid: String,
}

impl SigningKey {
    pub(crate) fn generate(kid: String) -> Result<Self, SandboxError> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| SandboxError::Key)?;
        Ok(Self { pair, kid })
    }

    pub(crate) fn development(kid: String) -> Result<Self, SandboxError> {
        Self::from_pem(kid, DEVELOPMENT_KEY)
    }

    /// Reads a PKCS#8 private key; `\n` escapes count as line ends.
    pub(crate) fn from_pem(kid: String, pem: &str) -> Result<Self, SandboxError> {
        let body: String = pem
            .replace("\\n", "\n")
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .map(str::trim)
            .collect();
        let der = STANDARD.decode(body).map_err(|_| SandboxError::Key)?;
        let pair = KeyPair::from_pkcs8(&der).map_err(|_| SandboxError::Key)?;
        Ok(Self { pair, kid })
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs `claims` under `header` as they are: a forger's tool, so nothing is checked.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_input(&signing_input(header, claims))
    }

    fn sign_input(&self, input: &str) -> String {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let signed = self.pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            input.as_bytes(),
            &mut signature,
        );
        // A key that was accepted signs any input; an empty signature verifies nowhere.
        if signed.is_err() {
            signature.clear();
        }
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Returns a token's header and claims where this key signed it; times are the caller's to judge.
    pub(crate) fn open(&self, token: &str) -> Option<(Value, Value)> {
        let decode = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (input, _) = token.rsplit_once('.')?;
        let (header, claims) = input.split_once('.')?;
        // PKCS #1 v1.5 signatures are deterministic, so signing again verifies.
        let genuine = self.sign_input(input) == token;
        genuine.then_some((decode(header)?, decode(claims)?))
    }

    /// Returns the public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let (n, e) = modulus_and_exponent(self.pair.public_key().as_ref()).unwrap_or_default();
        json!({
            "use": "sig",
            "kty": "RSA",
            "kid": self.kid,
            "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(n),
            "e": URL_SAFE_NO_PAD.encode(e),
        })
    }

    /// Returns the public key as SPKI PEM, without a line end after the last line.
    pub(crate) fn public_pem(&self) -> String {
        let spki: Option<PublicKeyX509Der<'_>> = self.pair.public_key().as_der().ok();
        let text = STANDARD.encode(spki.as_ref().map_or(&[][..], |der| der.as_ref()));
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for (place, letter) in text.chars().enumerate() {
            if place > 0 && place % 64 == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem + "\n-----END PUBLIC KEY-----"
    }
}

/// Encodes a JWS's first two parts.
pub(crate) fn signing_input(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

// RFC 8017 A.1.1: RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }.
fn modulus_and_exponent(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    Some((unsigned(modulus), unsigned(exponent)))
}

fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    if first < 0x80 {
        return rest.split_at_checked(usize::from(first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let length = length.iter().try_fold(0_usize, |sum, byte| {
        sum.checked_mul(256)?.checked_add(usize::from(*byte))
    })?;
    rest.split_at_checked(length)
}

fn unsigned(integer: &[u8]) -> &[u8] {
    integer.strip_prefix(&[0]).unwrap_or(integer)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::*;

    #[test]
    fn the_jwk_verifies_what_the_key_signs() {
        let key = SigningKey::development("ins_1".to_owned()).unwrap();
        let token = key.sign(&json!({"alg": "RS256"}), &json!({"sub": "user_1"}));
        let (input, signature) = token.rsplit_once('.').unwrap();
        let jwk = key.jwk();
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let public = RsaPublicKeyComponents {
            n: part("n"),
            e: part("e"),
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        public
            .verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &signature)
            .unwrap();
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for pem in [
            "",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            assert!(SigningKey::from_pem(String::new(), pem).is_err());
        }
    }
}
