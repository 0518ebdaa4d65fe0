//! Webhooks: only what the secret signed is genuine, and what an event says is in its body.
//!
//! The first byte says who signs; then header lines, an empty line, and the body.
#![no_main]

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use clerk_gateway::{
    Timestamp,
    fuzzing::{Said, read_delivery},
};
use clerk_gateway_fuzz::header;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_700_000_000;

fuzz_target!(|input: &[u8]| {
    let Some((how, rest)) = input.split_first() else {
        return;
    };
    let end = rest.windows(2).position(|pair| pair == b"\n\n");
    let Some((head, body)) = end.map(|at| (&rest[..at], &rest[at + 2..])) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some((name, value)) = header(line) else {
            return;
        };
        headers.append(name, value);
    }
    let signs = how % 2 == 1;
    if signs && !sign(&mut headers, body) {
        return;
    }
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let Some(delivery) = read_delivery(&headers, body, &secret, Timestamp::from_secs(NOW)) else {
        return;
    };
    assert_eq!(delivery.genuine, signs);
    let at = headers.get("svix-timestamp");
    let at = at.or_else(|| headers.get("webhook-timestamp"));
    let at: i64 = at
        .and_then(|at| at.to_str().ok())
        .expect("text")
        .parse()
        .expect("a time");
    assert!((at - NOW).abs() <= 300);
    if let Some(said) = delivery.event {
        judge(body, &said);
    }
    if signs {
        let other = [body, b" "].concat();
        let forged = read_delivery(&headers, &other, &secret, Timestamp::from_secs(NOW));
        assert!(!forged.expect("the head is as before").genuine);
    }
});

/// Signs as Svix does, where there is what to sign.
fn sign(headers: &mut HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let (Some(id), Some(at)) = (text("svix-id"), text("svix-timestamp")) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, KEY);
    let signed = [id.as_bytes(), b".", at.as_bytes(), b".", body].concat();
    let tag = STANDARD.encode(hmac::sign(&key, &signed));
    let value = HeaderValue::try_from(format!("v1,{tag}")).expect("a value");
    headers.insert("svix-signature", value);
    true
}

fn judge(body: &[u8], said: &Said) {
    let value: Value = serde_json::from_slice(body).expect("json");
    if said.kind != "other" {
        assert_eq!(value["type"], said.kind);
    }
    let Some(revokes) = &said.revokes else {
        return;
    };
    let data = value["data"].to_string();
    let ids = revokes.split('"').skip(1).step_by(2);
    for id in ids {
        assert!(data.contains(&format!("\"{id}\"")), "{id} is not in {data}");
    }
}
