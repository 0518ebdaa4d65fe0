//! A connection's bytes: beneath the HTTP library, then as the canonical request.
#![no_main]

use clerk_gateway::fuzzing::{canonical, canonical_path, scan};
use clerk_gateway_fuzz::assert_canonical_path;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version, header::HOST, request::Parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let scanned = scan(&[bytes]);
    let Some(parts) = parts(bytes) else {
        return;
    };
    let Ok(read) = canonical(&parts) else {
        return;
    };
    assert_canonical_path(&read.path);
    assert_eq!(canonical_path(&read.path).as_deref(), Some(&read.path[..]));
    assert_eq!(read.query.as_deref(), parts.uri.query());
    assert!(!matches!(&read.method[..], "CONNECT" | "TRACE"));
    assert!(!read.method.bytes().any(|byte| byte.is_ascii_lowercase()));
    assert!(parts.headers.get_all(HOST).iter().count() <= 1);
    if let (Some(host), Some(authority)) = (&read.host, &read.authority) {
        assert_eq!(*host, host.to_ascii_lowercase());
        assert!(!host.ends_with('.') && !host.is_empty());
        assert!(authority.starts_with(&host[..]));
    }
    let lengths = parts.headers.get_all("content-length").iter().count();
    let encodings = parts.headers.get_all("transfer-encoding").iter().count();
    assert!(lengths + encodings <= 1);
    // What was taken above is taken beneath, unless a line of it is malformed there.
    if scanned.fault.is_none() {
        assert!(scanned.heads >= 1);
    }
    let mut again = parts;
    again.uri = Uri::try_from(match &read.query {
        Some(query) => format!("{}?{query}", read.path),
        None => read.path.clone(),
    })
    .expect("a target");
    if let Some(authority) = &read.authority {
        let value = HeaderValue::try_from(authority).expect("a host");
        again.headers.insert(HOST, value);
    }
    assert_eq!(canonical(&again), Ok(read));
});

fn parts(bytes: &[u8]) -> Option<Parts> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    if !head.parse(bytes).ok()?.is_complete() {
        return None;
    }
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(head.method?.as_bytes()).ok()?;
    parts.uri = Uri::try_from(head.path?).ok()?;
    parts.version = match head.version? {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    for header in head.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(header.value).ok()?;
        parts.headers.append(name, value);
    }
    Some(parts)
}
