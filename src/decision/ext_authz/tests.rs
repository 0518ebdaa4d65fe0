use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, Uri};
use proptest::prelude::*;
use prost::Message;

use super::{
    answer::Sent,
    messages::{
        self, Address, AttributeContext, AttributePeer, AttributeRequest, HttpRequest, OVERWRITE,
        OkHttpResponse, SocketAddress,
    },
    *,
};
use crate::{
    decision::Original,
    request::{OriginalError, RequestError},
};

fn line(key: &str, value: &str) -> messages::HeaderValue {
    messages::HeaderValue {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        raw_value: Bytes::new(),
    }
}

fn http() -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        path: "/app/a?b=c?d".into(),
        host: "app.test".into(),
        scheme: "https".into(),
        headers: vec![line(":path", "/app/a?b=c?d"), line("accept", "*/*")],
        ..HttpRequest::default()
    }
}

fn question(http: HttpRequest) -> CheckRequest {
    let address = SocketAddress {
        address: "192.0.2.7".to_owned(),
    };
    let source = AttributePeer {
        address: Some(Address {
            socket_address: Some(address),
        }),
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            request: Some(AttributeRequest { http: Some(http) }),
        }),
    }
}

#[test]
fn a_question_is_the_request_that_it_is_about() {
    let Original { peer, parts } = original(question(http())).unwrap();
    assert_eq!(peer.address().to_string(), "192.0.2.7");
    assert_eq!(parts.method, "GET");
    assert_eq!(parts.uri.path(), "/app/a");
    assert_eq!(parts.uri.query(), Some("b=c?d"));
    assert_eq!(parts.headers["host"], "app.test");
    assert_eq!(parts.headers["accept"], "*/*");
    assert_eq!(parts.headers.len(), 2);
}

#[test]
fn what_is_missing_or_said_twice_is_refused() {
    let absent = |what| RequestError::Original(OriginalError::Absent(what));
    let repeated = |what| RequestError::Original(OriginalError::Repeated(what));
    let none = CheckRequest::default();
    assert_eq!(original(none).unwrap_err(), absent("attributes"));
    let mut nobody = question(http());
    nobody.attributes.as_mut().unwrap().source = None;
    assert_eq!(original(nobody).unwrap_err(), absent("source.address"));
    type Change = fn(&mut HttpRequest);
    let cases: [(Change, RequestError); 10] = [
        (|http| http.host = Bytes::new(), RequestError::Host),
        (|http| http.scheme = Bytes::new(), absent("scheme")),
        (|http| http.method = Bytes::new(), RequestError::Method),
        (|http| http.path = Bytes::new(), RequestError::Target),
        (|http| http.path = "app".into(), RequestError::Target),
        (|http| http.query = "a=b".into(), repeated("query")),
        (|http| http.path = "/public/a".into(), repeated(":path")),
        (
            |http| http.headers.push(line("host", "other.test")),
            RequestError::Host,
        ),
        (
            |http| http.header_map = Some(messages::HeaderMap::default()),
            repeated("headers"),
        ),
        (
            |http| http.headers[1].raw_value = "b".into(),
            repeated("header value"),
        ),
    ];
    for (change, error) in cases {
        let mut http = http();
        change(&mut http);
        assert_eq!(original(question(http)).unwrap_err(), error);
    }
}

#[test]
fn more_lines_than_any_head_has_are_refused() {
    let mut http = http();
    http.headers = (0..40_000).map(|n| line(&format!("x-{n}"), "a")).collect();
    original(question(http)).unwrap_err();
}

#[test]
fn lines_of_one_name_stay_apart() {
    let mut http = http();
    let lines = vec![line("authorization", "a"), line("authorization", "b")];
    http.headers = Vec::new();
    http.header_map = Some(messages::HeaderMap { headers: lines });
    let headers = original(question(http)).unwrap().parts.headers;
    assert_eq!(headers.get_all("authorization").iter().count(), 2);
}

fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn ok(sent: &[(&'static str, &str)], kept: &[(&'static str, &str)]) -> OkHttpResponse {
    let sent = Sent {
        headers: map(sent),
        uri: Uri::from_static("/a?__session=x&b=c"),
    };
    let kept_uri = Uri::from_static("/a?b=c");
    let told = allowed(&sent, &map(kept), &kept_uri);
    assert_eq!(told.status.unwrap().code, 0);
    told.ok_response.unwrap()
}

#[test]
fn the_head_that_envoy_holds_becomes_the_one_that_the_upstream_is_to_see() {
    let ok = ok(
        &[
            ("accept", "*/*"),
            ("authorization", "Bearer session"),
            ("forwarded", "for=a"),
            ("host", "a"),
            ("x-clerk-user-id", "forged"),
            ("x_clerk_user_id", "forged"),
            ("x-forwarded-proto", "https"),
            ("x-original-url", "/admin"),
        ],
        &[
            ("accept", "*/*"),
            ("authorization", "Bearer template"),
            ("forwarded", "for=b"),
            ("host", "a"),
            ("x-clerk-user-id", "user_a"),
            ("x-forwarded-for", "b"),
        ],
    );
    let set: Vec<_> = ok
        .headers
        .iter()
        .map(|option| {
            assert_eq!(option.append_action, OVERWRITE);
            let header = option.header.as_ref().unwrap();
            (&header.key[..], &header.value[..])
        })
        .collect();
    let expected: [(&[u8], &[u8]); 2] = [
        (b"authorization", b"Bearer template"),
        (b"x-clerk-user-id", b"user_a"),
    ];
    assert_eq!(set, expected);
    let mut removed = ok.headers_to_remove;
    removed.sort();
    assert_eq!(removed, ["forwarded", "x-original-url", "x_clerk_user_id"]);
    assert_eq!(ok.query_parameters_to_remove, ["__session"]);
}

#[test]
fn bytes_that_no_message_takes_are_removed_and_not_passed() {
    let sent = Sent {
        headers: map(&[("cookie", "a=\u{e9}; __session=x")]),
        uri: Uri::from_static("/"),
    };
    let mut kept = HeaderMap::new();
    kept.insert("cookie", HeaderValue::from_bytes(b"a=\xff").unwrap());
    let told = allowed(&sent, &kept, &sent.uri).ok_response.unwrap();
    assert!(told.headers.is_empty());
    assert_eq!(told.headers_to_remove, ["cookie"]);
}

#[test]
fn a_refusal_is_the_answer_that_a_client_would_get() {
    for (status, code) in [(401_u16, 16), (403, 7), (404, 7), (503, 14)] {
        let mut response = Response::new(Bytes::from_static(b"{}"));
        *response.status_mut() = status.try_into().unwrap();
        *response.headers_mut() = map(&[("vary", "a"), ("vary", "b"), ("x-a", "c")]);
        let told = denied(&response, "token-expired");
        assert!(told.ok_response.is_none());
        assert_eq!(told.status.as_ref().unwrap().code, code);
        assert_eq!(told.status.unwrap().message, "token-expired");
        let denied = told.denied_response.unwrap();
        assert_eq!(denied.status.unwrap().code, i32::from(status));
        assert_eq!(denied.body, "{}");
        let actions: Vec<_> = denied.headers.iter().map(|h| h.append_action).collect();
        assert_eq!(actions, [2, 0, 2]);
    }
}

#[test]
fn one_whole_message_is_read_and_nothing_else() {
    let good = framed(&question(http()));
    assert_eq!(unframed(good.clone()), Ok(question(http())));
    let read = |bytes: &[u8]| unframed::<CheckRequest>(Bytes::copy_from_slice(bytes));
    let cut = &good[..good.len() - 1];
    let twice = [&good[..], &good[..]].concat();
    for bad in [&b""[..], b"\0\0\0\0", b"\0\xff\xff\xff\xff", cut, &twice] {
        assert_eq!(read(bad), Err(CallError::Malformed));
    }
    let mut compressed = good.to_vec();
    compressed[0] = 1;
    assert_eq!(read(&compressed), Err(CallError::Unimplemented));
    compressed[0] = 2;
    assert_eq!(read(&compressed), Err(CallError::Malformed));
}

#[test]
fn what_a_question_holds_shows_itself_in_no_debug() {
    let mut http = http();
    http.headers.push(line("authorization", "Bearer secret"));
    http.path = "/?__session=secret".into();
    let shown = format!("{:?}", question(http));
    assert!(!shown.contains("secret"), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(question) = unframed::<CheckRequest>(Bytes::from(bytes.clone())) {
            let _ = original(question);
        }
        if let Ok(question) = CheckRequest::decode(&bytes[..]) {
            let _ = original(question);
        }
    }

    #[test]
    fn no_damage_to_a_question_panics(
        at in any::<prop::sample::Index>(),
        bytes in proptest::collection::vec(any::<u8>(), 1..8),
    ) {
        let mut damaged = question(http()).encode_to_vec();
        let at = at.index(damaged.len());
        for (place, byte) in damaged[at..].iter_mut().zip(bytes) {
            *place = byte;
        }
        if let Ok(question) = CheckRequest::decode(&damaged[..]) {
            let _ = original(question);
        }
    }

    #[test]
    fn no_attributes_panic(
        method in ".{0,8}",
        path in "/?.{0,32}",
        host in ".{0,16}",
        key in ".{0,16}",
        value in any::<Vec<u8>>(),
    ) {
        let raw = messages::HeaderValue {
            raw_value: value.into(),
            ..line(&key, "")
        };
        let http = HttpRequest {
            method: method.into(),
            path: path.clone().into(),
            host: host.into(),
            headers: vec![raw],
            ..http()
        };
        if let Ok(original) = original(question(http)) {
            prop_assert_eq!(original.parts.uri.path_and_query().unwrap().as_str(), path);
        }
    }
}
