//! Test keys, and tokens signed with them.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// The instance's key.
pub(crate) static OURS: LazyLock<Signer> = LazyLock::new(Signer::generate);
/// Another instance's key.
pub(crate) static FOREIGN: LazyLock<Signer> = LazyLock::new(Signer::generate);

/// An RSA-2048 key pair.
pub(crate) struct Signer(KeyPair);

impl Signer {
    fn generate() -> Self {
        Self(KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    /// Returns the public key as SPKI PEM, as Clerk's dashboard shows it.
    pub(crate) fn pem(&self) -> String {
        let der = self.0.public_key().as_der().unwrap();
        pem("PUBLIC KEY", der.as_ref())
    }

    /// Returns the public key as PKCS#1 PEM.
    pub(crate) fn pkcs1_pem(&self) -> String {
        pem("RSA PUBLIC KEY", self.0.public_key().as_ref())
    }

    /// Returns the public key as a JWK.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        // SEQUENCE header, INTEGER header and a zero byte stand before a 2048-bit modulus.
        let modulus = &self.0.public_key().as_ref()[9..9 + 256];
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
            "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB",
        })
    }

    /// Signs with RS256.
    pub(crate) fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.sign_as(&RSA_PKCS1_SHA256, header, payload)
    }

    /// Signs with another RSA algorithm, whatever the header says.
    pub(crate) fn sign_as(
        &self,
        algorithm: &'static dyn RsaEncoding,
        header: impl AsRef<[u8]>,
        payload: impl AsRef<[u8]>,
    ) -> String {
        self.sign_text(algorithm, unsigned(header, payload))
    }

    /// Signs two segments as they stand, canonical or not.
    pub(crate) fn sign_segments(&self, segments: &str) -> String {
        self.sign_text(&RSA_PKCS1_SHA256, segments.to_owned())
    }

    fn sign_text(&self, algorithm: &'static dyn RsaEncoding, text: String) -> String {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(
                algorithm,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Signs with HMAC-SHA256 under any secret, as in the confusion of HS256 with RS256.
pub(crate) fn sign_hs256(secret: &[u8], header: &str, payload: &str) -> String {
    let text = unsigned(header, payload);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// Encodes header and payload.
pub(crate) fn unsigned(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let [header, payload] =
        [header.as_ref(), payload.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{payload}")
}

/// Wraps DER in a PEM of that label.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
