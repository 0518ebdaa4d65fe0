//! The session-token verifier: every leniency of Clerk's SDK, every forgery, and what a session says.

use std::collections::BTreeMap;

use clerk_gateway::{
    Proof, Session, SessionStatus, Timestamp,
    verify::{KeySet, TokenError, TokenProfile, verify_session_token},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use proptest::prelude::*;
use serde_json::json;

use crate::{
    signer::{FOREIGN, OURS},
    token_cases::{self, ISSUER, Judge, NOW, PARTY, payload},
};

const HEADER: &str = r#"{"alg":"RS256","kid":"ins_1","typ":"JWT"}"#;

fn ours() -> KeySet {
    KeySet::from_pem(&OURS.pem()).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

fn session(payload: &str) -> Session {
    let token = OURS.sign(HEADER, payload);
    verify_session_token(&token, &ours(), &Judge::Plain.profile(), now()).unwrap()
}

#[test]
fn every_case_is_judged_as_expected() {
    let keys = ours();
    let mut wrong = BTreeMap::new();
    for case in token_cases::all() {
        let got = verify_session_token(&case.token, &keys, &case.judge.profile(), now());
        let got = got.map_or_else(|error| error.slug(), |_| "ok");
        if got != case.expected && (case.expected != "refused" || got == "ok") {
            wrong.insert(case.name, (got, case.expected));
        }
    }
    assert!(wrong.is_empty(), "(got, expected): {wrong:#?}");
}

#[test]
fn names_of_cases_are_unique() {
    let cases = token_cases::all();
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert!(cases.len() >= 150);
    assert_eq!(names.len(), cases.len());
}

#[test]
fn limits_are_exact_to_the_millisecond() {
    let token = OURS.sign(HEADER, payload(&[]));
    let at = |millis| {
        let profile = Judge::Plain.profile();
        verify_session_token(&token, &ours(), &profile, Timestamp::from_millis(millis))
    };
    let (start, end) = ((NOW - 5) * 1000, (NOW + 65) * 1000);
    assert_eq!(at(start - 1).unwrap_err(), TokenError::IssuedInFuture);
    assert!(at(start).is_ok());
    assert!(at(end - 1).is_ok());
    assert_eq!(at(end).unwrap_err(), TokenError::Expired);
}

#[test]
fn a_key_set_answers_only_for_its_key_ids() {
    let keys = json!({ "keys": [OURS.jwk("ins_1"), FOREIGN.jwk("ins_2")] });
    let keys = KeySet::from_jwks(keys.to_string().as_bytes()).unwrap();
    let judge = |header: &str| {
        let token = OURS.sign(header, payload(&[]));
        let got = verify_session_token(&token, &keys, &Judge::Plain.profile(), now());
        got.err()
    };
    assert_eq!(judge(HEADER), None);
    for kid in ["ins_3", "../../dev/null", "a|b", "", "__proto__"] {
        let header = json!({ "alg": "RS256", "kid": kid }).to_string();
        assert_eq!(judge(&header), Some(TokenError::UnknownKey), "{kid}");
    }
    assert_eq!(judge(r#"{"alg":"RS256"}"#), Some(TokenError::MissingKeyId));
    assert_eq!(
        judge(r#"{"alg":"RS256","kid":"ins_2"}"#),
        Some(TokenError::Signature)
    );
}

#[test]
fn the_header_is_judged_before_the_key_is_looked_up() {
    let keys = json!({ "keys": [OURS.jwk("ins_1")] });
    let keys = KeySet::from_jwks(keys.to_string().as_bytes()).unwrap();
    for (header, expected) in [
        (r#"{"alg":"none","kid":"x"}"#, TokenError::Algorithm),
        (r#"{"alg":"RS512","kid":"x"}"#, TokenError::Algorithm),
        (
            r#"{"alg":"RS256","kid":"x","typ":"at+jwt"}"#,
            TokenError::Type,
        ),
        (
            r#"{"alg":"RS256","kid":"x","cat":"cl_B7d4PD222AAA"}"#,
            TokenError::Type,
        ),
    ] {
        let token = OURS.sign(header, payload(&[]));
        let got = verify_session_token(&token, &keys, &Judge::Plain.profile(), now());
        assert_eq!(got.unwrap_err(), expected, "{header}");
    }
}

#[test]
fn another_instances_token_with_the_same_key_id_is_refused() {
    let foreign = payload(&[("iss", "\"https://clerk.other.com\"")]);
    let keys = KeySet::from_pem(&FOREIGN.pem()).unwrap();
    let token = FOREIGN.sign(HEADER, &foreign);
    let profile = Judge::Plain.profile();
    let wrong_key = verify_session_token(&token, &ours(), &profile, now());
    assert_eq!(wrong_key.unwrap_err(), TokenError::Signature);
    let mixed_up_keys = verify_session_token(&token, &keys, &profile, now());
    assert!(matches!(mixed_up_keys.unwrap_err(), TokenError::Issuer(_)));
    let theirs = TokenProfile::new("https://clerk.other.com").unwrap();
    assert!(verify_session_token(&token, &keys, &theirs, now()).is_ok());
}

#[test]
fn a_v1_token_says_whose_session_it_is() {
    let session = session(&payload(&[
        ("org_id", "\"org_1\""),
        ("org_slug", "\"acme\""),
        ("org_role", "\"org:admin\""),
        ("org_permissions", "[\"org:teams:read\"]"),
    ]));
    assert_eq!((session.id(), session.user_id()), ("sess_1", "user_1"));
    assert_eq!(session.status(), &SessionStatus::Active);
    assert_eq!(session.proof(), Proof::Networkless);
    assert_eq!(session.authorized_party(), Some(PARTY));
    assert_eq!(session.issued_at(), Some(now()));
    assert_eq!(session.expires_at(), Timestamp::from_secs(NOW + 60));
    assert_eq!(session.client_id(), None);
    let organization = session.organization().unwrap();
    assert_eq!(organization.id, "org_1");
    assert_eq!(organization.slug.as_deref(), Some("acme"));
    assert_eq!(organization.role.as_deref(), Some("org:admin"));
    assert_eq!(organization.permissions, ["org:teams:read"]);
}

#[test]
fn a_v2_token_says_more() {
    let session = session(&payload(&[
        ("v", "2"),
        ("sts", "\"active\""),
        ("pla", "\"o:team\""),
        ("fea", "\"o:dashboard,u:beta,o:teams\""),
        ("fva", "[3,-1]"),
        (
            "act",
            "{\"sub\":\"user_9\",\"iss\":\"https://dash\",\"type\":\"agent\"}",
        ),
        (
            "o",
            r#"{"id":"org_1","slg":"acme","rol":"admin","per":"manage,read","fpm":"3,2"}"#,
        ),
    ]));
    let organization = session.organization().unwrap();
    assert_eq!(organization.role.as_deref(), Some("org:admin"));
    assert_eq!(
        organization.permissions,
        [
            "org:dashboard:manage",
            "org:dashboard:read",
            "org:teams:read"
        ]
    );
    assert_eq!(session.plan(), Some("o:team"));
    assert_eq!(session.features(), ["o:dashboard", "u:beta", "o:teams"]);
    assert_eq!(session.actor().unwrap().sub, "user_9");
    let ages = session.factor_ages().unwrap();
    assert_eq!((ages.first, ages.second), (Some(3), None));
}

#[test]
fn custom_claims_are_read_as_they_were_signed() {
    #[derive(serde::Deserialize)]
    struct Custom {
        plan: String,
        iss: String,
    }
    let session = session(&payload(&[("plan", "\"gold\"")]));
    let custom: Custom = session.claims().unwrap();
    assert_eq!(
        (custom.plan.as_str(), custom.iss.as_str()),
        ("gold", ISSUER)
    );
}

#[test]
fn an_accepted_pending_session_says_that_it_is_pending() {
    let token = OURS.sign(HEADER, payload(&[("sts", "\"pending\"")]));
    let profile = Judge::PendingAccepted.profile();
    let session = verify_session_token(&token, &ours(), &profile, now()).unwrap();
    assert_eq!(session.status(), &SessionStatus::Pending);
}

#[test]
fn refusals_hold_nothing_of_an_unverified_token() {
    for case in token_cases::all() {
        let Err(error) = verify_session_token(&case.token, &ours(), &case.judge.profile(), now())
        else {
            continue;
        };
        let shown = format!("{error} {error:?}");
        let is_part = |segment: &str| segment.len() > 8 && shown.contains(segment);
        assert!(
            !case.token.split('.').any(is_part),
            "{}: {shown}",
            case.name
        );
    }
}

/// Says whether another implementation takes the signature, or `None` where it judges something else.
fn second_opinion(token: &str) -> Option<bool> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let jwk = OURS.jwk("ins_1");
    let [modulus, exponent] = ["n", "e"].map(|member| jwk[member].as_str().unwrap());
    let key = DecodingKey::from_rsa_components(modulus, exponent).unwrap();
    match jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation) {
        Ok(_) => Some(true),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => Some(false),
        Err(_) => None,
    }
}

/// Says what our verifier thinks of the signature, or `None` where it did not come so far.
fn first_opinion(token: &str) -> Option<bool> {
    match verify_session_token(token, &ours(), &Judge::Plain.profile(), now()) {
        Err(TokenError::Malformed(_) | TokenError::Algorithm | TokenError::Type) => None,
        Err(TokenError::Signature) => Some(false),
        _ => Some(true),
    }
}

fn assert_agreement(token: &str, name: &str) {
    if let (Some(first), Some(second)) = (first_opinion(token), second_opinion(token)) {
        assert_eq!(first, second, "{name}");
    }
}

#[test]
fn signatures_are_judged_as_another_implementation_does() {
    for case in token_cases::all() {
        assert_agreement(&case.token, &case.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_token_is_refused_and_the_second_opinion_agrees(at: prop::sample::Index, to in "[A-Za-z0-9_-]") {
        let token = OURS.sign(HEADER, payload(&[]));
        let at = at.index(token.len());
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assume!(changed != token);
        let got = verify_session_token(&changed, &ours(), &Judge::Plain.profile(), now());
        prop_assert!(got.is_err());
        assert_agreement(&changed, "changed");
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,300}") {
        let got = verify_session_token(&text, &ours(), &Judge::Plain.profile(), now());
        prop_assert!(got.is_err());
    }

    #[test]
    fn no_signed_payload_panics(text in "\\{(\"(exp|iat|sub|o|fea|aud)\":(1e9|-1|\"\"|\\[\\]|\\{\\}|null),?){0,6}\\}") {
        let token = OURS.sign(HEADER, text);
        let got = verify_session_token(&token, &ours(), &Judge::Plain.profile(), now());
        prop_assert!(got.is_err());
    }
}
