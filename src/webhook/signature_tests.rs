use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// The example of the standard's own documents.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SECONDS: &str = "1614265330";
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const NOW: Timestamp = Timestamp::from_secs(1_614_265_330);

fn secret(text: &str) -> SigningSecret {
    SigningSecret::parse(text).unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name = HeaderName::try_from(*name).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in pairs.iter().map(pair) {
        headers.append(name, value);
    }
    headers
}

fn signed(id: &str, seconds: &str, signature: &str) -> HeaderMap {
    headers(&[
        ("svix-id", id),
        ("svix-timestamp", seconds),
        ("svix-signature", signature),
    ])
}

fn judged(headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), SignatureError> {
    Signed::of(headers, now)?.verify(body, &[secret(SECRET)])
}

#[test]
fn the_standards_own_example_is_good_under_both_names() {
    assert_eq!(judged(&signed(ID, SECONDS, SIGNATURE), BODY, NOW), Ok(()));
    let standard = headers(&[
        ("webhook-id", ID),
        ("webhook-timestamp", SECONDS),
        ("webhook-signature", SIGNATURE),
    ]);
    assert_eq!(judged(&standard, BODY, NOW), Ok(()));
}

#[test]
fn whatever_was_signed_must_be_what_came() {
    for (id, seconds, body) in [
        ("msg_p5jXN8AQM9LWM0D4loKWxJeK", SECONDS, BODY),
        (ID, "1614265331", BODY),
        (ID, SECONDS, &br#"{"test": 2432232315}"#[..]),
        (ID, SECONDS, br#"{"test": 2432232314} "#),
        (ID, SECONDS, b""),
    ] {
        let refused = judged(&signed(id, seconds, SIGNATURE), body, NOW);
        assert_eq!(refused, Err(SignatureError::Invalid));
    }
}

#[test]
fn five_minutes_either_way_are_good_and_no_second_more() {
    let at = |offset: i64| Timestamp::from_secs(NOW.as_secs() + offset);
    for (offset, expected) in [
        (300, Ok(())),
        (-300, Ok(())),
        (301, Err(SignatureError::OutOfTime)),
        (-301, Err(SignatureError::OutOfTime)),
    ] {
        let headers = signed(ID, SECONDS, SIGNATURE);
        assert_eq!(judged(&headers, BODY, at(offset)), expected, "{offset}");
    }
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let good = SIGNATURE;
    let other = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (list, passes) in [
        (format!("{other} {good}"), true),
        (format!("v1a,xyz {good}"), true),
        (format!("{good} v9"), true),
        (format!("  {good} "), true),
        (format!("{good},junk"), false),
        (format!("v2{}", &good[2..]), false),
        (good.replace("v1,", "V1,"), false),
        (good.trim_end_matches('=').to_owned(), false),
        (good.replace(' ', ""), true),
        (other.to_owned(), false),
        (good[3..].to_owned(), false),
        ("v1,".to_owned(), false),
        (String::new(), false),
    ] {
        let verdict = judged(&signed(ID, SECONDS, &list), BODY, NOW);
        assert_eq!(verdict.is_ok(), passes, "{list:?}: {verdict:?}");
    }
}

#[test]
fn each_of_several_secrets_counts() {
    let new = secret("whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LQ==");
    let old = secret(SECRET);
    let headers = signed(ID, SECONDS, SIGNATURE);
    let signed = Signed::of(&headers, NOW).unwrap();
    assert_eq!(signed.verify(BODY, &[new.clone(), old]), Ok(()));
    assert_eq!(signed.verify(BODY, &[new]), Err(SignatureError::Invalid));
    assert_eq!(signed.verify(BODY, &[]), Err(SignatureError::Invalid));
}

#[test]
fn a_head_with_gaps_repetitions_or_oddities_is_refused() {
    let (missing, malformed) = (SignatureError::Missing, SignatureError::Malformed);
    let all = [
        ("svix-id", ID),
        ("svix-timestamp", SECONDS),
        ("svix-signature", SIGNATURE),
    ];
    for left_out in 0..all.len() {
        let some: Vec<_> = (0..all.len())
            .filter(|index| *index != left_out)
            .map(|index| all[index])
            .collect();
        assert_eq!(judged(&headers(&some), BODY, NOW), Err(missing));
        let twice = [&all[..], &[all[left_out]]].concat();
        assert_eq!(judged(&headers(&twice), BODY, NOW), Err(malformed));
    }
    assert_eq!(judged(&HeaderMap::new(), BODY, NOW), Err(missing));
    // The names of one family do not complete those of the other.
    let mixed = [all[0], all[1], ("webhook-signature", SIGNATURE)];
    assert_eq!(judged(&headers(&mixed), BODY, NOW), Err(missing));
    for (id, seconds) in [
        ("", SECONDS),
        ("msg.1", SECONDS),
        ("msg 1", SECONDS),
        (ID, ""),
        (ID, "abc"),
        (ID, "1614265330abc"),
        (ID, "1614265330.9"),
        (ID, "+1614265330"),
        (ID, "-1614265330"),
        (ID, " 1614265330"),
        (ID, "0x60381c32"),
        (ID, "9999999999999999999999"),
    ] {
        let refused = judged(&signed(id, seconds, SIGNATURE), BODY, NOW);
        assert_eq!(refused, Err(malformed), "{id:?} {seconds:?}");
    }
}

#[test]
fn what_is_no_secret_is_refused() {
    let encoded = |bytes: usize| format!("whsec_{}", BASE64.encode(vec![7; bytes]));
    for (text, good) in [
        (SECRET.to_owned(), true),
        (encoded(24), true),
        (encoded(32), true),
        (encoded(32).trim_end_matches('=').to_owned(), true),
        (encoded(64), true),
        (encoded(23), false),
        (encoded(65), false),
        (String::new(), false),
        ("whsec_".to_owned(), false),
        ("whsec_!!!".to_owned(), false),
        (SECRET["whsec_".len()..].to_owned(), false),
        (format!("{SECRET}\n"), false),
    ] {
        assert_eq!(SigningSecret::parse(&text).is_ok(), good, "{text:?}");
    }
    assert_eq!(format!("{:?}", secret(SECRET)), "(set)");
}

proptest! {
    #[test]
    fn no_head_that_nobody_signed_is_accepted(
        id in "[ -~]{0,40}",
        seconds in "[0-9 .+a-z-]{0,14}|16142653[0-9]{2}",
        signature in "[ -~]{0,120}|(v1,[A-Za-z0-9+/]{43}= ?){1,4}",
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let headers = signed(&id, &seconds, &signature);
        prop_assert!(judged(&headers, &body, NOW).is_err());
    }

    #[test]
    fn a_good_signature_is_found_among_any_others(
        before in proptest::collection::vec("[!-~]{0,50}", 0..6),
        after in proptest::collection::vec("[!-~]{0,50}", 0..6),
    ) {
        let all = [before, vec![SIGNATURE.to_owned()], after].concat();
        let headers = signed(ID, SECONDS, &all.join(" "));
        prop_assert_eq!(judged(&headers, BODY, NOW), Ok(()));
    }

    #[test]
    fn any_bytes_a_header_may_hold_are_read_without_a_panic(
        id in proptest::collection::vec(0x20_u8.., 0..40),
        signature in proptest::collection::vec(0x20_u8.., 0..200),
    ) {
        let mut headers = signed(ID, SECONDS, SIGNATURE);
        for (name, bytes) in [("svix-id", id), ("svix-signature", signature)] {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.insert(name, value);
            }
        }
        let _ = judged(&headers, BODY, NOW);
    }
}
