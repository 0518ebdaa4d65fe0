use http::Request;
use proptest::prelude::*;

use super::*;

fn parts(method: &str, target: &str, hosts: &[&str]) -> Parts {
    let mut builder = Request::builder().method(method).uri(target);
    for host in hosts {
        builder = builder.header(HOST, *host);
    }
    builder.body(()).unwrap().into_parts().0
}

fn parsed(method: &str, target: &str, hosts: &[&str]) -> Result<CanonicalRequest, RequestError> {
    CanonicalRequest::parse(&parts(method, target, hosts))
}

#[test]
fn path_query_and_host_have_one_form() {
    let request = parsed("GET", "/%61dmin?Next=%2fa/../b", &["GW.test.:80"]).unwrap();
    assert_eq!(request.path(), "/admin");
    assert_eq!(request.query(), Some("Next=%2fa/../b"));
    assert_eq!(request.host().unwrap().name(), "gw.test");
}

#[test]
fn what_goes_on_is_what_was_decided_on() {
    let mut parts = parts("GET", "http://gw.test/%61dmin?q", &["gw.test"]);
    CanonicalRequest::parse(&parts).unwrap().apply(&mut parts);
    assert_eq!(parts.uri, "/admin?q");
    assert!(parts.uri.authority().is_none());
}

#[test]
fn an_empty_path_goes_on_as_a_slash() {
    for (target, wanted) in [("http://gw.test", "/"), ("http://gw.test?q", "/?q")] {
        let mut parts = parts("GET", target, &["gw.test"]);
        CanonicalRequest::parse(&parts).unwrap().apply(&mut parts);
        assert_eq!(parts.uri.path_and_query().unwrap().as_str(), wanted);
    }
}

#[test]
fn methods_that_tunnel_or_echo_are_not_allowed() {
    for (method, target) in [
        ("CONNECT", "internal.test:22"),
        ("CONNECT", "/"),
        ("TRACE", "/"),
    ] {
        assert_eq!(
            parsed(method, target, &["gw.test"]).unwrap_err(),
            RequestError::MethodNotAllowed
        );
    }
    for method in ["get", "Post", "GE~T"] {
        assert_eq!(
            parsed(method, "/", &["gw.test"]).unwrap_err(),
            RequestError::Method,
            "{method}"
        );
    }
    assert_eq!(
        parsed("M-SEARCH", "/", &["gw.test"])
            .unwrap()
            .method()
            .as_str(),
        "M-SEARCH"
    );
}

#[test]
fn targets_of_other_forms_are_refused() {
    for target in ["*", "admin", "gw.test:80"] {
        assert_eq!(
            parsed("GET", target, &["gw.test"]).unwrap_err(),
            RequestError::Target,
            "{target}"
        );
    }
    let refused = parsed("GET", "ftp://gw.test/x", &["gw.test"]);
    assert_eq!(refused.unwrap_err(), RequestError::Target);
}

#[test]
fn an_absolute_target_must_name_the_host() {
    assert_eq!(
        parsed("GET", "http://GW.test", &["gw.test"])
            .unwrap()
            .path(),
        "/"
    );
    for (target, host) in [
        ("http://internal.test/admin", "gw.test"),
        ("http://gw.test@evil.test/", "gw.test"),
        ("http://gw.test:81/", "gw.test"),
    ] {
        assert_eq!(
            parsed("GET", target, &[host]).unwrap_err(),
            RequestError::Host,
            "{target}"
        );
    }
}

#[test]
fn http_1_1_has_exactly_one_host() {
    for hosts in [
        &[][..],
        &["gw.test", "gw.test"],
        &["gw.test", "evil.test"],
        &[""],
        &["a;for=1.2.3.4,b"],
    ] {
        assert_eq!(
            parsed("GET", "/app", hosts).unwrap_err(),
            RequestError::Host,
            "{hosts:?}"
        );
    }
    let mut old = parts("GET", "/app", &[]);
    old.version = Version::HTTP_10;
    assert!(CanonicalRequest::parse(&old).unwrap().host().is_none());
}

#[test]
fn in_http_2_the_authority_is_the_host() {
    let mut request = parts("GET", "https://gw.test/app", &[]);
    request.version = Version::HTTP_2;
    assert_eq!(
        CanonicalRequest::parse(&request)
            .unwrap()
            .host()
            .unwrap()
            .name(),
        "gw.test"
    );
    request
        .headers
        .insert(HOST, http::HeaderValue::from_static("admin.internal"));
    assert_eq!(
        CanonicalRequest::parse(&request).unwrap_err(),
        RequestError::Host
    );
}

#[test]
fn ambiguous_paths_and_framings_are_refused() {
    let path = parsed("GET", "/public/%2e%2e/admin", &["gw.test"]).unwrap_err();
    assert_eq!(path, RequestError::Path(PathError::DotSegment));
    assert_eq!(path.slug(), "request-ambiguous-path");
    let mut framed = parts("POST", "/", &["gw.test"]);
    framed.headers.insert(
        "transfer-encoding",
        http::HeaderValue::from_static("gzip, chunked"),
    );
    let framing = CanonicalRequest::parse(&framed).unwrap_err();
    assert_eq!(framing.slug(), "request-ambiguous-framing");
}

#[test]
fn a_canonical_target_is_shared_not_copied() {
    let parts = parts("GET", "/app/x?y=1", &["gw.test"]);
    let request = CanonicalRequest::parse(&parts).unwrap();
    assert_eq!(request.path().as_ptr(), parts.uri.path().as_ptr());
}

#[test]
fn an_absolute_target_spares_nobody_the_host_line_in_http_1_1() {
    let mut request = parts("GET", "http://gw.test/", &[]);
    for (version, is_good) in [
        (Version::HTTP_10, true),
        (Version::HTTP_11, false),
        (Version::HTTP_2, true),
    ] {
        request.version = version;
        let parsed = CanonicalRequest::parse(&request);
        assert_eq!(parsed.is_ok(), is_good, "{version:?}");
    }
}

#[test]
fn only_an_absolute_target_of_http_1_leaves_the_path_out() {
    let absolute = |target: &str| {
        let builder = Uri::builder().scheme("http").authority("gw.test");
        builder.path_and_query(target).build().unwrap()
    };
    let origin = |target: &str| Uri::builder().path_and_query(target).build().unwrap();
    for (uri, version, is_good) in [
        (absolute("?q"), Version::HTTP_11, true),
        (absolute("?q"), Version::HTTP_2, false),
        (absolute("/?q"), Version::HTTP_2, true),
        (origin("?q"), Version::HTTP_10, false),
        (origin("/?q"), Version::HTTP_10, true),
    ] {
        let mut request = parts("GET", "/", &["gw.test"]);
        (request.uri, request.version) = (uri, version);
        let parsed = CanonicalRequest::parse(&request);
        assert_eq!(parsed.is_ok(), is_good, "{request:?}");
    }
}

#[test]
fn the_server_as_a_whole_is_no_target_however_it_is_named() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut request = parts("OPTIONS", "/", &["gw.test"]);
        let builder = Uri::builder().scheme("http").authority("gw.test");
        request.uri = builder.path_and_query("*").build().unwrap();
        request.version = version;
        let refused = CanonicalRequest::parse(&request).unwrap_err();
        assert_eq!(refused, RequestError::Target, "{version:?}");
    }
}

#[test]
fn a_query_has_no_byte_that_ends_a_line_or_a_target() {
    for byte in 0..=u8::MAX {
        let is_refused = byte < b' ' || matches!(byte, b' ' | b'#' | 0x7f);
        assert_eq!(is_refused_in_query(byte), is_refused, "{byte}");
    }
}

proptest! {
    #[test]
    fn no_request_panics_and_canonical_is_stable(target in "(/|http://gw.test)[!-~]{0,40}", host in "[ -~]{0,20}") {
        let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
        let mut parts = parts("GET", "/", &["gw.test"]);
        parts.uri = uri;
        if let Ok(once) = CanonicalRequest::parse(&parts) {
            once.apply(&mut parts);
            let again = CanonicalRequest::parse(&parts).unwrap();
            prop_assert_eq!((again.path(), again.query()), (once.path(), once.query()));
        }
        parts.headers.insert(HOST, http::HeaderValue::from_str(&host).unwrap());
        let _ = CanonicalRequest::parse(&parts);
    }
}
