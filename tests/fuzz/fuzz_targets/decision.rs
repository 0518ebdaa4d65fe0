//! Other programs' questions: what is asked about is what they say, once.
//!
//! The first byte says how it is asked: a message as it is, a message made from a request's text, or headers.
#![no_main]

use clerk_gateway::fuzzing::{Asked, asked_by_envoy, asked_by_header, canonical};
use clerk_gateway_fuzz::{assert_canonical_path, parts};
use http::{Uri, header::HOST};
use libfuzzer_sys::fuzz_target;
use prost::encoding::{WireType, encode_key, encode_varint};

fuzz_target!(|input: &[u8]| {
    let Some((how, rest)) = input.split_first() else {
        return;
    };
    match how % 4 {
        0 => judge(asked_by_envoy(rest)),
        1 => {
            let Some((message, path)) = message(rest) else {
                return;
            };
            let asked = asked_by_envoy(&framed(&message));
            if let Some(asked) = &asked {
                let target = asked.parts.uri.path_and_query().expect("a target");
                assert_eq!(target.as_str().as_bytes(), path);
            }
            judge(asked);
        }
        dialect => {
            let Some(mut parts) = parts(rest) else {
                return;
            };
            let target = match dialect {
                2 => "x-original-uri",
                _ => "x-forwarded-uri",
            };
            let told = parts.headers.get(target).cloned();
            parts.uri = Uri::from_static(if dialect == 2 { "/nginx" } else { "/traefik" });
            let asked = asked_by_header(parts);
            if let Some(asked) = &asked {
                let target = asked.parts.uri.path_and_query().expect("a target");
                assert_eq!(target.as_str().as_bytes(), told.expect("told").as_bytes());
            }
            judge(asked);
        }
    }
});

fn judge(asked: Option<Asked>) {
    let Some(Asked { parts, .. }) = asked else {
        return;
    };
    assert_eq!(parts.headers.get_all(HOST).iter().count(), 1);
    for name in ["content-length", "transfer-encoding"] {
        assert!(!parts.headers.contains_key(name), "{name}");
    }
    assert!(parts.headers.len() <= 1025);
    if let Ok(read) = canonical(&parts) {
        assert_canonical_path(&read.path);
    }
}

/// Makes a `CheckRequest` from a request line `METHOD path host scheme address` and header lines; returns the path too.
fn message(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let (method, path) = (words.next()?, words.next()?);
    let (host, scheme, address) = (words.next()?, words.next()?, words.next()?);
    let mut http = Vec::new();
    field(&mut http, 2, method);
    for line in lines {
        let at = line.iter().skip(1).position(|byte| *byte == b':')? + 1;
        let mut header = Vec::new();
        field(&mut header, 1, &line[..at]);
        field(&mut header, 2, line[at + 1..].trim_ascii());
        field(&mut http, 3, &header);
    }
    field(&mut http, 4, path);
    field(&mut http, 5, host);
    field(&mut http, 6, scheme);
    let source = nested(&[1, 1], &nested(&[2], address));
    let mut attributes = nested(&[1], &source);
    field(&mut attributes, 4, &nested(&[2], &http));
    Some((nested(&[1], &attributes), path))
}

fn nested(tags: &[u32], inner: &[u8]) -> Vec<u8> {
    let mut message = inner.to_vec();
    for tag in tags {
        let mut outer = Vec::new();
        field(&mut outer, *tag, &message);
        message = outer;
    }
    message
}

fn field(message: &mut Vec<u8>, tag: u32, value: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, message);
    encode_varint(value.len() as u64, message);
    message.extend(value);
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a length");
    [&[0], &length.to_be_bytes()[..], message].concat()
}
