//! A PEM: what is taken is one public key and no more, in whatever spelling.
#![no_main]

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use clerk_gateway::verify::KeySet;
use libfuzzer_sys::fuzz_target;

const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fuzz_target!(|text: &str| {
    if KeySet::from_pem(text).is_err() {
        return;
    }
    assert!(!text.contains("PRIVATE KEY-") && !text.contains("CERTIFICATE-"));
    let der = der(text);
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der);
    let _ = key.verify(b"message", b"signature");
    let label = if text.contains("RSA PUBLIC KEY") {
        "RSA PUBLIC KEY"
    } else {
        "PUBLIC KEY"
    };
    assert!(KeySet::from_pem(&pem(label, &der)).is_ok());
    let longer = [&der[..], &[0]].concat();
    assert!(
        KeySet::from_pem(&pem(label, &longer)).is_err(),
        "more than a key"
    );
    assert!(
        KeySet::from_pem(&pem(label, &der[..der.len() - 1])).is_err(),
        "less than a key"
    );
});

fn der(text: &str) -> Vec<u8> {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let text = text.trim();
    let body = match text.starts_with("-----BEGIN ") {
        true => text.split("-----").nth(2).expect("a body"),
        false => text,
    };
    let body: String = body.split_whitespace().collect();
    ANY_PADDING.decode(body).expect("base64")
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----")
}
