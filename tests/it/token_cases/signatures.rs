//! Whose signature it may be, and of what.

use aws_lc_rs::signature::{RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256};

use super::{ALGORITHM, Case, HEADER, SIGNATURE, case, payload};
use crate::signer::{FOREIGN, OURS, Signer, sign_hs256, unsigned};

pub(super) fn cases() -> Vec<Case> {
    let claims = payload(&[]);
    let other = payload(&[("sub", "\"user_2\"")]);
    let moved = {
        let signature = OURS.sign(HEADER, &claims);
        let signature = signature.rsplit_once('.').unwrap().1;
        format!("{}.{signature}", unsigned(HEADER, other))
    };
    let hs256 = r#"{"alg":"HS256","typ":"JWT"}"#;
    let zeros = |alg: &str, len: usize| {
        let zeros = unsigned([], vec![0; len]);
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        format!(
            "{}.{}",
            unsigned(header, &claims),
            zeros.trim_start_matches('.')
        )
    };
    let with_key = |signer: &Signer| {
        let header = format!(r#"{{"alg":"RS256","jwk":{}}}"#, FOREIGN.jwk("ins_1"));
        signer.sign(header, &claims)
    };
    [
        (
            "another instance's key",
            FOREIGN.sign(HEADER, &claims),
            SIGNATURE,
        ),
        (
            "a key the token brings along",
            with_key(&FOREIGN),
            SIGNATURE,
        ),
        ("our key, another brought along", with_key(&OURS), "ok"),
        ("of other claims", moved, SIGNATURE),
        (
            "RS512 under RS256",
            OURS.sign_as(&RSA_PKCS1_SHA512, HEADER, &claims),
            SIGNATURE,
        ),
        (
            "PS256 under RS256",
            OURS.sign_as(&RSA_PSS_SHA256, HEADER, &claims),
            SIGNATURE,
        ),
        (
            "RS384, true",
            OURS.sign_as(&RSA_PKCS1_SHA384, r#"{"alg":"RS384"}"#, &claims),
            ALGORITHM,
        ),
        (
            "RS512, true",
            OURS.sign_as(&RSA_PKCS1_SHA512, r#"{"alg":"RS512"}"#, &claims),
            ALGORITHM,
        ),
        (
            "PS256, true",
            OURS.sign_as(&RSA_PSS_SHA256, r#"{"alg":"PS256"}"#, &claims),
            ALGORITHM,
        ),
        (
            "HS256 with the PEM",
            sign_hs256(OURS.pem().as_bytes(), hs256, &claims),
            ALGORITHM,
        ),
        (
            "HS256 under RS256",
            sign_hs256(OURS.pem().as_bytes(), HEADER, &claims),
            SIGNATURE,
        ),
        (
            "none, without",
            format!("{}.", unsigned(r#"{"alg":"none"}"#, &claims)),
            ALGORITHM,
        ),
        ("zeros under ES256", zeros("ES256", 64), ALGORITHM),
        ("zeros under RS256", zeros("RS256", 256), SIGNATURE),
    ]
    .into_iter()
    .map(|(name, token, expected)| case(format!("signature: {name}"), token, expected))
    .collect()
}

/// A good token with one character changed: no place of it may be free.
pub(super) fn mutations() -> Vec<Case> {
    let token = OURS.sign(HEADER, payload(&[]));
    let last = token.len() - 1;
    (0..token.len())
        .step_by(11)
        .chain([last])
        .map(|at| {
            let mut mutant = token.clone().into_bytes();
            mutant[at] = if mutant[at] == b'A' { b'B' } else { b'A' };
            case(
                format!("mutation at {at}"),
                String::from_utf8(mutant).unwrap(),
                "refused",
            )
        })
        .collect()
}
