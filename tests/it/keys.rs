//! Which PEMs and JWKS give keys, and which are refused with what advice.

use base64::{Engine, engine::general_purpose::STANDARD};
use clerk_gateway::verify::{KeyError, KeySet};
use serde_json::{Value, json};

use crate::signer::{FOREIGN, OURS, pem};

fn jwks(keys: &[Value]) -> Result<KeySet, KeyError> {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes())
}

fn jwk(member: &str, value: Value) -> Value {
    let mut jwk = OURS.jwk("ins_1");
    jwk[member] = value;
    jwk
}

#[test]
fn every_spelling_of_a_public_key_is_read() {
    let spki = OURS.pem();
    let bare: String = spki.lines().filter(|line| !line.starts_with('-')).collect();
    for text in [
        spki.clone(),
        spki.replace('\n', "\r\n"),
        spki.replace('\n', "\\n"),
        spki.replace('\n', "\\r\\n"),
        spki.replace('\n', " "),
        format!("\n  {spki}  \n"),
        spki.replace("=\n", "\n"),
        bare.clone(),
        format!(" {bare}\n"),
        OURS.pkcs1_pem(),
        include_str!("../fixtures/keys/rsa_3072.pem").to_owned(),
        include_str!("../fixtures/keys/rsa_2048_exponent_3.pem").to_owned(),
    ] {
        assert_eq!(KeySet::from_pem(&text).err(), None, "{text}");
    }
}

#[test]
fn a_key_with_bytes_behind_it_is_refused() {
    for text in [OURS.pem(), OURS.pkcs1_pem()] {
        let lines: Vec<_> = text.lines().collect();
        let mut der = STANDARD.decode(lines[1..lines.len() - 1].concat()).unwrap();
        der.push(0);
        let label = lines[0].trim_matches('-').replace("BEGIN ", "");
        let refused = KeySet::from_pem(&pem(&label, &der)).err();
        assert_eq!(refused, Some(KeyError::NotRsa), "{text}");
    }
}

#[test]
fn what_is_no_public_key_is_refused_by_its_name() {
    let other = |label| pem(label, b"\x30\x03\x02\x01\x00");
    for (text, error) in [
        (String::new(), KeyError::NotPem),
        ("garbage!".to_owned(), KeyError::NotPem),
        ("-----BEGIN PUBLIC KEY-----".to_owned(), KeyError::NotPem),
        (
            OURS.pem().replace("END PUBLIC", "END RSA PUBLIC"),
            KeyError::NotPem,
        ),
        (format!("{}{}", OURS.pem(), FOREIGN.pem()), KeyError::NotPem),
        (OURS.jwk("ins_1").to_string(), KeyError::NotPem),
        ("sk_test_abcdefgh".to_owned(), KeyError::NotPem),
        (other("EC PARAMETERS"), KeyError::NotPem),
        (other("PUBLIC KEY"), KeyError::NotRsa),
        (STANDARD.encode("not a key"), KeyError::NotRsa),
        (other("CERTIFICATE"), KeyError::Certificate),
        (other("PRIVATE KEY"), KeyError::PrivateKey),
        (other("RSA PRIVATE KEY"), KeyError::PrivateKey),
        (other("ENCRYPTED PRIVATE KEY"), KeyError::PrivateKey),
        (
            include_str!("../fixtures/keys/ec_p256.pem").to_owned(),
            KeyError::NotRsa,
        ),
        (
            include_str!("../fixtures/keys/rsa_pss_2048.pem").to_owned(),
            KeyError::NotRsa,
        ),
        (
            include_str!("../fixtures/keys/rsa_1024.pem").to_owned(),
            KeyError::Size,
        ),
    ] {
        assert_eq!(KeySet::from_pem(&text).err(), Some(error), "{text}");
    }
}

#[test]
fn a_pem_answers_for_any_key_id_and_a_jwks_for_its_own() {
    let one = KeySet::from_pem(&OURS.pem()).unwrap();
    let set = jwks(&[OURS.jwk("ins_1"), FOREIGN.jwk("ins_2")]).unwrap();
    assert!(one.find(None).is_some() && one.find(Some("ins_9")).is_some());
    assert!(set.find(Some("ins_1")).is_some() && set.find(Some("ins_2")).is_some());
    assert!(set.find(None).is_none() && set.find(Some("")).is_none());
    assert!(set.find(Some("INS_1")).is_none());
}

#[test]
fn an_unusable_item_is_skipped_and_not_the_set() {
    let no_id = {
        let mut jwk = OURS.jwk("x");
        jwk.as_object_mut().unwrap().remove("kid");
        jwk
    };
    for (item, why) in [
        (jwk("kty", json!("EC")), "another type"),
        (
            json!({"kty": "oct", "k": "c2VjcmV0", "kid": "ins_1"}),
            "symmetric",
        ),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "ins_1"}),
            "Ed25519",
        ),
        (jwk("alg", json!("RS512")), "another algorithm"),
        (jwk("alg", json!(7)), "an algorithm that is no text"),
        (jwk("use", json!("enc")), "for encryption"),
        (
            jwk("key_ops", json!(["encrypt"])),
            "operations without verify",
        ),
        (jwk("d", json!("AQAB")), "private"),
        (jwk("oth", json!([])), "private, of several primes"),
        (jwk("k", json!("AQAB")), "a symmetric member"),
        (jwk("n", json!("AQAB")), "a tiny modulus"),
        (jwk("n", json!("")), "no modulus"),
        (jwk("n", json!("a=b")), "a modulus that is not base64url"),
        (jwk("e", json!("AQ")), "exponent 1"),
        (jwk("e", json!("Ag")), "an even exponent"),
        (jwk("e", json!("")), "no exponent"),
        (no_id, "no key id"),
        (json!("text"), "no object"),
        (json!(null), "null"),
    ] {
        assert_eq!(
            jwks(std::slice::from_ref(&item)).err(),
            Some(KeyError::NoUsableKey),
            "{why}"
        );
        let set = jwks(&[item, FOREIGN.jwk("ins_2")]).unwrap();
        assert_eq!(set.skipped(), 1, "{why}");
        assert!(set.find(Some("ins_1")).is_none(), "{why}");
        assert!(set.find(Some("ins_2")).is_some(), "{why}");
    }
}

#[test]
fn optional_members_may_be_absent_or_more() {
    for member in ["alg", "use"] {
        let mut jwk = OURS.jwk("ins_1");
        jwk.as_object_mut().unwrap().remove(member);
        assert!(jwks(&[jwk]).is_ok(), "{member}");
    }
    assert!(jwks(&[jwk("key_ops", json!(["verify"]))]).is_ok());
    assert!(jwks(&[jwk("x5u", json!("http://127.0.0.1/"))]).is_ok());
}

#[test]
fn of_keys_that_share_an_id_none_is_used() {
    let shared = [
        OURS.jwk("ins_1"),
        FOREIGN.jwk("ins_1"),
        FOREIGN.jwk("ins_2"),
    ];
    let set = jwks(&shared).unwrap();
    assert_eq!(set.skipped(), 2);
    assert!(set.find(Some("ins_1")).is_none());
    assert!(set.find(Some("ins_2")).is_some());
    assert_eq!(jwks(&shared[..2]).err(), Some(KeyError::NoUsableKey));
}

#[test]
fn what_is_no_jwks_is_refused() {
    let many: Vec<_> = (0..65).map(|n| OURS.jwk(&format!("ins_{n}"))).collect();
    let mut large = json!({ "keys": [OURS.jwk("ins_1")] }).to_string();
    large.push_str(&" ".repeat(64 * 1024));
    for (text, error) in [
        ("", KeyError::Jwks),
        ("[]", KeyError::Jwks),
        ("{}", KeyError::Jwks),
        (r#"{"keys":{}}"#, KeyError::Jwks),
        (r#"{"errors":[{"code":"x"}]}"#, KeyError::Jwks),
        (r#"{"keys":[]}"#, KeyError::NoUsableKey),
        (large.as_str(), KeyError::JwksTooLarge),
    ] {
        let got = KeySet::from_jwks(text.as_bytes()).err();
        assert_eq!(got, Some(error), "{}", text.get(..40).unwrap_or(text));
    }
    assert_eq!(jwks(&many).err(), Some(KeyError::JwksTooLarge));
}

#[test]
fn a_jwks_at_its_limits_is_read() {
    let most: Vec<_> = (0..64).map(|n| OURS.jwk(&format!("ins_{n}"))).collect();
    assert_eq!(jwks(&most).unwrap().skipped(), 0);
    let mut largest = json!({ "keys": [OURS.jwk("ins_1")] }).to_string();
    largest.push_str(&" ".repeat(64 * 1024 - largest.len()));
    assert!(KeySet::from_jwks(largest.as_bytes()).is_ok());
}

#[test]
fn keys_do_not_show_themselves() {
    let set = jwks(&[OURS.jwk("ins_1")]).unwrap();
    assert_eq!(
        format!("{set:?}"),
        r#"KeySet { keys: [VerifyingKey { id: Some("ins_1"), .. }], skipped: 0 }"#
    );
}
