//! The sources against what requests really and maliciously carry.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const JWT: &str = "eyJh.eyJz.c2ln";
const SUFFIX: &str = "QvfNY2dr";

fn sources(order: &[Source]) -> Sources {
    Sources::new(order.to_vec(), Some(SUFFIX)).unwrap()
}

pub(super) fn tokens() -> Sources {
    sources(&[Source::Bearer, Source::Cookie])
}

pub(super) fn ids() -> Sources {
    sources(&[
        Source::SessionIdHeader(HeaderName::from_static("x-session-id")),
        Source::SessionIdQuery("_clerk_session_id".to_owned()),
    ])
}

pub(super) fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let fields = fields.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    let mut headers = HeaderMap::new();
    fields.for_each(|(name, value)| {
        headers.append(name, value);
    });
    headers
}

/// Shows an outcome in a table's words: the token or ID found, `absent`, or the reason.
fn outcome(extracted: Extracted<'_>) -> String {
    match extracted {
        Extracted::Absent => "absent".to_owned(),
        Extracted::Found(Credential::SessionToken { token, .. }) => match token.text() {
            Ok(text) => text.to_owned(),
            Err(error) => error.slug().to_owned(),
        },
        Extracted::Found(Credential::SessionId { id, .. }) => id.to_owned(),
        Extracted::Bad(error) => error.slug().to_owned(),
    }
}

fn extracted(fields: &[(&str, &str)]) -> String {
    outcome(tokens().extract(&headers(fields), None, SessionIds::Refused))
}

#[test]
fn a_bearer_token_is_one_token_after_one_space() {
    for (value, expected) in [
        ("Bearer eyJh.eyJz.c2ln", JWT),
        ("bearer eyJh.eyJz.c2ln", JWT),
        ("BEARER eyJh.eyJz.c2ln", JWT),
        ("Bearer anything", "anything"),
        ("Bearer", "token-invalid"),
        ("Bearer ", "token-invalid"),
        ("Bearer  eyJh.eyJz.c2ln", "token-invalid"),
        ("bearer\teyJh.eyJz.c2ln", "token-invalid"),
        ("Bearer a, Bearer b", "token-invalid"),
        ("Bearer a,b", "token-invalid"),
        ("Bearer eyJh.eyJz.c2ln junk", "token-invalid"),
        ("Bearer \"eyJh\"", "token-invalid"),
        ("Bearer é", "token-invalid"),
        ("Bearer,x", "token-invalid"),
        ("BearerX eyJh.eyJz.c2ln", "absent"),
        ("Bearer-X eyJh.eyJz.c2ln", "absent"),
        ("Basic eyJh.eyJz.c2ln", "absent"),
        ("eyJh.eyJz.c2ln", "absent"),
        ("", "absent"),
    ] {
        assert_eq!(extracted(&[("authorization", value)]), expected, "{value}");
    }
}

#[test]
fn two_authorization_headers_are_bad() {
    for second in ["Bearer good", "Bearer bad", "Basic x"] {
        let fields = [("authorization", "Bearer good"), ("authorization", second)];
        assert_eq!(extracted(&fields), "credentials-conflict", "{second}");
    }
}

#[test]
fn the_first_source_that_holds_one_decides() {
    for (fields, expected) in [
        (&[][..], "absent"),
        (
            &[("authorization", "Bearer a"), ("cookie", "__session=b")],
            "a",
        ),
        (
            &[("authorization", "Basic a"), ("cookie", "__session=b")],
            "b",
        ),
        (
            &[("authorization", "Bearer"), ("cookie", "__session=b")],
            "token-invalid",
        ),
    ] {
        assert_eq!(extracted(fields), expected, "{fields:?}");
    }
    let swapped = sources(&[Source::Cookie, Source::Bearer]);
    let both = headers(&[("authorization", "Bearer a"), ("cookie", "__session=b")]);
    assert_eq!(
        outcome(swapped.extract(&both, None, SessionIds::Refused)),
        "b"
    );
}

#[test]
fn a_session_cookie_has_an_exact_name_and_one_value() {
    for (cookies, expected) in [
        (&["__session=a"][..], "a"),
        (&["x=1; __session=a; y=2"], "a"),
        (&["x=1;__session=a"], "a"),
        (&[" ; ;;=;__session = a ;"], "a"),
        (&["x=1", "__session=a"], "a"),
        (&["__session=a=b"], "a=b"),
        (&["__session=a; __session=a"], "a"),
        (&["__session=a; __session=b"], "credentials-conflict"),
        (&["__session=a", "__session=b"], "credentials-conflict"),
        (&["__session_QvfNY2dr=s"], "s"),
        (&["__session=p; __session_QvfNY2dr=s"], "s"),
        (&["__session=p; __session_QvfNY2dr="], "p"),
        (
            &["__session_QvfNY2dr=s; __session_QvfNY2dr=t; __session=p"],
            "credentials-conflict",
        ),
        (&["__session="], "absent"),
        (&["__session=; __session=a"], "a"),
        (&["__session"], "absent"),
        (&["__session_evil=a"], "absent"),
        (&["__session_qvfny2dr=a"], "absent"),
        (&["__Session=a"], "absent"),
        (&["__Host-__session=a"], "absent"),
        (&["x=1%3B __session=a"], "absent"),
        (&["__session=%zz"], "%zz"),
        (&["__session=a b"], "token-invalid"),
        (&["__session=é"], "token-invalid"),
    ] {
        let fields: Vec<_> = cookies.iter().map(|value| ("cookie", *value)).collect();
        assert_eq!(extracted(&fields), expected, "{cookies:?}");
    }
}

#[test]
fn an_instance_without_a_suffix_reads_the_plain_cookie_alone() {
    let plain = Sources::new(vec![Source::Cookie], None).unwrap();
    let both = headers(&[("cookie", "__session_QvfNY2dr=s; __session=p")]);
    assert_eq!(
        outcome(plain.extract(&both, None, SessionIds::Refused)),
        "p"
    );
}

#[test]
fn client_uat_goes_with_the_cookie_of_its_spelling() {
    for (cookies, expected) in [
        ("__session=a", Ok(None)),
        ("__session=a; __client_uat=12", Ok(Some(ClientUat(12)))),
        ("__session=a; __client_uat=0", Ok(Some(ClientUat(0)))),
        ("__session=a; __client_uat=-5", Ok(Some(ClientUat(-5)))),
        ("__session=a; __client_uat=", Ok(None)),
        ("__session=a; __client_uat_QvfNY2dr=3", Ok(None)),
        (
            "__session_QvfNY2dr=a; __client_uat=9; __client_uat_QvfNY2dr=3",
            Ok(Some(ClientUat(3))),
        ),
        ("__session_QvfNY2dr=a; __client_uat=9", Ok(None)),
        (
            "__session=a; __client_uat=1; __client_uat=1",
            Ok(Some(ClientUat(1))),
        ),
        (
            "__session=a; __client_uat=abc",
            Err(CredentialError::MalformedClientUat),
        ),
        (
            "__session=a; __client_uat=1.5",
            Err(CredentialError::MalformedClientUat),
        ),
        (
            "__session=a; __client_uat=99999999999999999999",
            Err(CredentialError::MalformedClientUat),
        ),
        (
            "__session=a; __client_uat=1; __client_uat=2",
            Err(CredentialError::Several),
        ),
    ] {
        let headers = headers(&[("cookie", cookies)]);
        let got = match tokens().extract(&headers, None, SessionIds::Refused) {
            Extracted::Found(Credential::SessionToken { client_uat, .. }) => Ok(client_uat),
            Extracted::Bad(error) => Err(error),
            other => panic!("{other:?}"),
        };
        assert_eq!(got, expected, "{cookies}");
    }
}

#[test]
fn a_client_uat_without_a_session_is_no_credential() {
    assert_eq!(extracted(&[("cookie", "__client_uat=abc")]), "absent");
}

#[test]
fn a_token_must_not_predate_its_clients_sign_in() {
    let at = |secs| Some(Timestamp::from_secs(secs));
    for (uat, iat, expected) in [
        (10, at(10), Ok(())),
        (10, at(11), Ok(())),
        (10, None, Ok(())),
        (-5, at(1), Ok(())),
        (11, at(10), Err("session-token-iat-before-client-uat")),
        (0, at(10), Err("session-token-but-no-client-uat")),
        (0, None, Err("session-token-but-no-client-uat")),
    ] {
        let got = ClientUat(uat).check(iat).map_err(CredentialError::slug);
        assert_eq!(got, expected, "{uat} {iat:?}");
    }
}

#[test]
fn a_session_id_has_one_form_only() {
    let long = format!("sess_{}", "a".repeat(10_240));
    for (value, expected) in [
        (
            "sess_2g7np7Hrk0SN6kj5EDMLDaKNL0S",
            "sess_2g7np7Hrk0SN6kj5EDMLDaKNL0S",
        ),
        ("sess_", "session-id-invalid"),
        ("", "session-id-invalid"),
        ("user_1", "session-id-invalid"),
        ("SESS_1", "session-id-invalid"),
        ("sess_../../users", "session-id-invalid"),
        ("sess_a%2fverify", "session-id-invalid"),
        ("sess_a?x=1", "session-id-invalid"),
        ("sess_%61", "session-id-invalid"),
        ("sess_a,sess_a", "session-id-invalid"),
        (&long, "session-id-invalid"),
    ] {
        let header = headers(&[("x-session-id", value)]);
        let ids = ids();
        let by_header = ids.extract(&header, None, SessionIds::Accepted);
        assert_eq!(outcome(by_header), expected, "header {value}");
        let query = format!("a=1&_clerk_session_id={value}&b=2");
        let none = HeaderMap::new();
        let by_query = ids.extract(&none, Some(&query), SessionIds::Accepted);
        assert_eq!(outcome(by_query), expected, "query {value}");
    }
}

#[test]
fn a_session_id_is_found_in_the_query_only_by_its_name() {
    for (query, expected) in [
        ("", "absent"),
        ("x_clerk_session_id=sess_1", "absent"),
        ("_clerk_session_idx=sess_1", "absent"),
        ("__session=eyJh.eyJz.c2ln", "absent"),
        ("_clerk_session_id", "session-id-invalid"),
        ("%5Fclerk_session_id=sess_1", "sess_1"),
        (
            "_clerk_session_id=sess_1&_clerk_session_id=sess_1",
            "sess_1",
        ),
        (
            "_clerk_session_id=sess_1&_clerk_session_id=sess_2",
            "credentials-conflict",
        ),
        ("%_clerk_session_id=sess_1", "absent"),
    ] {
        let none = HeaderMap::new();
        let ids = ids();
        let got = ids.extract(&none, Some(query), SessionIds::Accepted);
        assert_eq!(outcome(got), expected, "{query}");
    }
}

#[test]
fn two_session_id_headers_must_agree() {
    for (second, expected) in [("sess_1", "sess_1"), ("sess_2", "credentials-conflict")] {
        let headers = headers(&[("x-session-id", "sess_1"), ("x-session-id", second)]);
        let ids = ids();
        assert_eq!(
            outcome(ids.extract(&headers, None, SessionIds::Accepted)),
            expected
        );
    }
}

#[test]
fn a_session_id_of_an_untrusted_peer_is_refused_not_ignored() {
    let order = [ids().order, vec![Source::Bearer]].concat();
    let sources = sources(&order);
    let headers = headers(&[("x-session-id", "sess_1"), ("authorization", "Bearer a")]);
    let got = sources.extract(&headers, None, SessionIds::Refused);
    assert_eq!(got, Extracted::Bad(CredentialError::UntrustedPeer));
}

#[test]
fn a_credential_does_not_show_itself() {
    let headers = headers(&[("authorization", "Bearer s3cret")]);
    let shown = format!(
        "{:?}",
        tokens().extract(&headers, None, SessionIds::Refused)
    );
    assert_eq!(shown, "Found(SessionToken { carrier: Bearer, .. })");
}

#[test]
fn sources_that_cannot_work_are_refused() {
    let header = |name| Source::SessionIdHeader(HeaderName::from_static(name));
    for order in [
        vec![],
        vec![Source::Bearer, Source::Cookie, Source::Bearer],
        vec![header("authorization")],
        vec![header("cookie")],
        vec![Source::SessionIdQuery(String::new())],
        vec![Source::SessionIdQuery("a b".to_owned())],
    ] {
        assert!(Sources::new(order.clone(), None).is_err(), "{order:?}");
    }
}

/// Bytes that a header value can hold.
fn value_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![32_u8..127, 128_u8..=255, Just(b'\t')], 0..80)
}

proptest! {
    #[test]
    fn extraction_never_panics(a in value_bytes(), b in value_bytes(), query in "\\PC{0,60}") {
        let all = sources(&[tokens().order, ids().order].concat());
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "x-session-id"] {
            for value in [&a, &b] {
                headers.append(name, HeaderValue::from_bytes(value).unwrap());
            }
        }
        all.extract(&headers, Some(&query), SessionIds::Accepted);
        remove_credentials(&mut headers, &all);
        strip_query(&query, &all);
    }
}

#[test]
fn a_credential_says_where_it_was_and_not_what_it_is() {
    let header = HeaderName::from_static("x-session-id");
    for (carrier, shown) in [
        (Carrier::Bearer, "session token in Authorization: Bearer"),
        (Carrier::Cookie, "session token in Clerk's session cookie"),
        (
            Carrier::Header(&header),
            "bare session ID in the header x-session-id",
        ),
        (
            Carrier::Query("sid"),
            "bare session ID in the query parameter sid",
        ),
    ] {
        assert_eq!(carrier.to_string(), shown);
    }
}

#[test]
fn a_presented_token_is_its_bytes_and_is_checked_by_all_of_them() {
    for (value, is_good) in [(JWT, true), ("a b", false), ("a,b", false)] {
        let headers = headers(&[("authorization", &format!("Bearer {value}"))]);
        let sources = tokens();
        let found = sources.extract(&headers, None, SessionIds::Refused);
        let Extracted::Found(credential) = found else {
            panic!("{value}");
        };
        #[cfg(feature = "gateway")]
        assert_eq!(credential.check().is_ok(), is_good, "{value}");
        let Credential::SessionToken { token, .. } = credential else {
            panic!("{value}");
        };
        assert_eq!(token.bytes(), value.as_bytes());
        assert_eq!(token.text().is_ok(), is_good, "{value}");
    }
}
