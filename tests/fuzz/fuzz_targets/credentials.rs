//! What requests present, against a reader that takes its time.
//!
//! Header lines, the first line being the query.
#![no_main]

use clerk_gateway::fuzzing::{Presented, presented_bearer, presented_cookie, presented_id};
use clerk_gateway_fuzz::header;
use http::{HeaderMap, HeaderValue, header::COOKIE};
use libfuzzer_sys::fuzz_target;

const SUFFIX: &str = "QvfNY2dr";

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let query = lines.next().and_then(|line| str::from_utf8(line).ok());
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some((name, value)) = header(line) else {
            return;
        };
        headers.append(name, value);
    }
    let cookies = cookies(&headers);
    assert_eq!(presented_cookie(&headers, None), naive_cookie(&cookies, ""));
    let suffixed = match naive_cookie(&cookies, &format!("_{SUFFIX}")) {
        Presented::Absent => naive_cookie(&cookies, ""),
        found => found,
    };
    assert_eq!(presented_cookie(&headers, Some(SUFFIX)), suffixed);
    assert_eq!(presented_cookie(&joined(&headers), Some(SUFFIX)), suffixed);
    assert_eq!(presented_bearer(&headers), naive_bearer(&headers));
    for id in presented_id(&headers, query) {
        if let Presented::Found(id) = id {
            let rest = id.strip_prefix("sess_").expect("an id");
            assert!(!rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }
});

/// Every pair of every field.
fn cookies(headers: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    for field in headers.get_all(COOKIE) {
        for pair in field.as_bytes().split(|byte| *byte == b';') {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = halves.next().unwrap_or_default().trim_ascii().to_vec();
            let value = halves.next().unwrap_or_default().trim_ascii().to_vec();
            found.push((name, value));
        }
    }
    found
}

fn naive_cookie(cookies: &[(Vec<u8>, Vec<u8>)], end: &str) -> Presented {
    let all = |name: String| -> Vec<&[u8]> {
        let of_name = cookies
            .iter()
            .filter(|(found, _)| *found == name.as_bytes());
        let mut values: Vec<_> = of_name.map(|(_, value)| &value[..]).collect();
        values.retain(|value| !value.is_empty());
        values.sort_unstable();
        values.dedup();
        values
    };
    let tokens = all(format!("__session{end}"));
    let token = match tokens[..] {
        [] => return Presented::Absent,
        [token] => token,
        _ => return Presented::Bad("credentials-conflict"),
    };
    match all(format!("__client_uat{end}"))[..] {
        [] => {}
        [uat] if str::from_utf8(uat).is_ok_and(|uat| uat.parse::<i64>().is_ok()) => {}
        [_] => return Presented::Bad("client-uat-invalid"),
        _ => return Presented::Bad("credentials-conflict"),
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Presented::Bad("token-invalid");
    }
    Presented::Found(String::from_utf8(token.to_vec()).expect("ascii"))
}

fn naive_bearer(headers: &HeaderMap) -> Presented {
    let values: Vec<_> = headers.get_all("authorization").iter().collect();
    let value = match values[..] {
        [] => return Presented::Absent,
        [value] => value.as_bytes().trim_ascii(),
        _ => return Presented::Bad("credentials-conflict"),
    };
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = value
        .iter()
        .position(|byte| !is_word(byte))
        .unwrap_or(value.len());
    if !value[..end].eq_ignore_ascii_case(b"bearer") {
        return Presented::Absent;
    }
    let token = value[end..].strip_prefix(b" ").unwrap_or_default();
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    match !token.is_empty() && token.iter().all(is_token) {
        true => Presented::Found(String::from_utf8(token.to_vec()).expect("ascii")),
        false => Presented::Bad("token-invalid"),
    }
}

fn joined(headers: &HeaderMap) -> HeaderMap {
    let fields: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let mut joined = headers.clone();
    if let Ok(value) = HeaderValue::from_bytes(&fields.join(&b"; "[..])) {
        joined.insert(COOKIE, value);
    }
    joined
}
