//! Session tokens: whatever is accepted here, `jsonwebtoken` accepts too, and its claims say so.
//!
//! The first byte chooses the signature, the second the profile; then header, payload and the rest, parted by NUL.
#![no_main]

use std::{sync::LazyLock, time::Duration};

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use clerk_gateway::{
    Session, Timestamp,
    verify::{KeySet, Pending, TokenProfile, verify_session_token},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, crypto::verify, decode, decode_header};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NOW: i64 = 1_700_000_000;
const ISSUER: &str = "https://clerk.example.com";
const PARTY: &str = "https://app.example.com";

static OURS: LazyLock<KeyPair> = LazyLock::new(key);
static FOREIGN: LazyLock<KeyPair> = LazyLock::new(key);
static PEM: LazyLock<String> = LazyLock::new(|| {
    let der = OURS.public_key().as_der().expect("der");
    let body = STANDARD.encode(der.as_ref());
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
});
static KEYS: LazyLock<KeySet> = LazyLock::new(|| KeySet::from_pem(&PEM).expect("a key"));
static THEIR_KEY: LazyLock<DecodingKey> = LazyLock::new(|| {
    // A header of a sequence, one of an integer and a zero byte stand before a 2048-bit modulus.
    let modulus = URL_SAFE_NO_PAD.encode(&OURS.public_key().as_ref()[9..9 + 256]);
    DecodingKey::from_rsa_components(&modulus, "AQAB").expect("a key")
});

fn key() -> KeyPair {
    KeyPair::generate(KeySize::Rsa2048).expect("a key")
}

fuzz_target!(|input: &[u8]| {
    let [how, profile_number, rest @ ..] = input else {
        return;
    };
    let profile = profile(*profile_number);
    let Some(token) = token(*how, rest) else {
        return;
    };
    let Ok(session) = verify_session_token(&token, &KEYS, &profile, Timestamp::from_secs(NOW))
    else {
        return;
    };
    let claims = second_opinion(&token).expect("jsonwebtoken accepts it too");
    judge(&claims, &session, *profile_number);
});

fn profile(number: u8) -> TokenProfile {
    let plain = TokenProfile::new(ISSUER).expect("a profile");
    match number % 5 {
        0 => plain,
        1 => plain.authorized_parties([PARTY]).expect("parties"),
        2 => plain
            .authorized_parties([PARTY])
            .expect("parties")
            .allow_missing_azp(),
        3 => plain.audience(["api"]).expect("an audience"),
        _ => plain
            .clock_skew(Duration::ZERO)
            .expect("a skew")
            .pending(Pending::Accept),
    }
}

fn token(how: u8, rest: &[u8]) -> Option<String> {
    if how == b't' {
        return str::from_utf8(rest).ok().map(str::to_owned);
    }
    let mut parts = rest.splitn(3, |byte| *byte == 0);
    let encoded = |part: Option<&[u8]>| Some(URL_SAFE_NO_PAD.encode(part?));
    let signed = format!("{}.{}", encoded(parts.next())?, encoded(parts.next())?);
    let more = parts.next().unwrap_or_default();
    let signature = match how % 8 {
        0..=3 => rsa(&OURS, &RSA_PKCS1_SHA256, &signed),
        4 => rsa(&FOREIGN, &RSA_PKCS1_SHA256, &signed),
        5 => rsa(&OURS, &RSA_PKCS1_SHA512, &signed),
        6 => hmac(&signed),
        _ => more.to_vec(),
    };
    let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    Some(spelled(text, how, more))
}

fn rsa(
    key: &KeyPair,
    algorithm: &'static dyn aws_lc_rs::signature::RsaEncoding,
    text: &str,
) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        algorithm,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .expect("a signature");
    signature
}

/// The confusion of HS256 with RS256: the public key as the secret.
fn hmac(text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, PEM.as_bytes());
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// Spells the signed text otherwise: one byte replaced, or one put in.
fn spelled(mut text: String, how: u8, more: &[u8]) -> String {
    let [place @ .., byte] = more else {
        return text;
    };
    let at = place
        .iter()
        .fold(0, |at, byte| at << 8 | usize::from(*byte))
        % text.len();
    if !byte.is_ascii() {
        return text;
    }
    match how & 0xc0 {
        0x40 => text.replace_range(at..=at, &char::from(*byte).to_string()),
        0x80 => text.insert(at, char::from(*byte)),
        _ => {}
    }
    text
}

/// Its time is the machine's, so that times are judged below.
fn second_opinion(token: &str) -> Option<Value> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["iss", "exp", "sub"]);
    // It reads parameters that are none of ours, and fails where one has another type.
    if decode_header(token).is_err() {
        return by_signature(token);
    }
    decode::<Value>(token, &THEIR_KEY, &validation)
        .ok()
        .map(|data| data.claims)
}

fn by_signature(token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let good = verify(signature, signed.as_bytes(), &THEIR_KEY, Algorithm::RS256);
    let payload = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    (good.ok()? && claims["iss"] == ISSUER).then_some(claims)
}

fn judge(claims: &Value, session: &Session, profile: u8) {
    let skew = if profile % 5 == 4 { 0.0 } else { 5.0 };
    let time = |name: &str| claims[name].as_f64().map(f64::floor);
    let now = NOW as f64;
    let exp = time("exp").expect("exp");
    assert!(exp + skew > now, "{claims}");
    assert!(exp <= now + skew + 86_400.0, "{claims}");
    for start in ["nbf", "iat"] {
        assert!(
            claims.get(start).is_none() || time(start).is_some_and(|at| at <= now + skew),
            "{claims}"
        );
    }
    assert_eq!(claims["sub"], session.user_id());
    assert_eq!(claims["sid"], session.id());
    assert!(session.user_id().starts_with("user_") && session.id().starts_with("sess_"));
    for id in [session.user_id(), session.id()] {
        assert!(
            id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            "{id}"
        );
    }
    let azp = claims.get("azp").and_then(Value::as_str);
    match profile % 5 {
        1 => assert_eq!(azp, Some(PARTY)),
        2 => assert!(azp.is_none_or(|azp| azp == PARTY)),
        3 => assert!(names_api(&claims["aud"]), "{claims}"),
        _ => {}
    }
    let sts = claims.get("sts").and_then(Value::as_str);
    match profile % 5 {
        4 => assert!(matches!(sts, None | Some("active" | "pending"))),
        _ => assert!(matches!(sts, None | Some("active"))),
    }
    let organization = session
        .organization()
        .map(|organization| organization.id.as_str());
    let told = claims["o"]["id"].as_str().or(claims["org_id"].as_str());
    assert!(
        organization.is_none()
            || organization == told
            || claims["org_id"] == organization.expect("one")
    );
}

fn names_api(audience: &Value) -> bool {
    match audience {
        Value::String(one) => one == "api",
        Value::Array(several) => several.iter().any(|one| one == "api"),
        _ => false,
    }
}
