//! What a payload may be, whatever it says.

use super::{Case, HEADER, INVALID, ISS, case, payload};
use crate::signer::OURS;

pub(super) fn cases() -> Vec<Case> {
    let usual = payload(&[]);
    let twice = usual.replace("\"sub\"", "\"sub\":\"user_admin\",\"sub\"");
    let escaped = usual.replace("\"sub\"", "\"s\\u0075b\":\"user_admin\",\"sub\"");
    let deep = payload(&[("deep", &format!("{}{}", "[".repeat(2000), "]".repeat(2000)))]);
    let mut not_utf8 = payload(&[("x", "\"?\"")]).into_bytes();
    not_utf8
        .iter_mut()
        .filter(|byte| **byte == b'?')
        .for_each(|byte| *byte = 0xff);
    [
        (
            "leading white space",
            format!(" \n\t{usual}").into_bytes(),
            "ok",
        ),
        (
            "trailing white space",
            format!("{usual}\n").into_bytes(),
            "ok",
        ),
        (
            "a claim in escapes",
            usual.replace("user_1", "user\\u005f1").into_bytes(),
            "ok",
        ),
        (
            "a byte order mark",
            format!("\u{feff}{usual}").into_bytes(),
            INVALID,
        ),
        ("invalid UTF-8", not_utf8, INVALID),
        (
            "a lone surrogate",
            payload(&[("x", "\"\\ud800\"")]).into_bytes(),
            INVALID,
        ),
        ("a duplicate claim", twice.into_bytes(), INVALID),
        (
            "a duplicate claim in escapes",
            escaped.into_bytes(),
            INVALID,
        ),
        (
            "a duplicate custom claim",
            payload(&[("x", "1,\"x\":2")]).into_bytes(),
            INVALID,
        ),
        (
            "a duplicate deep inside",
            payload(&[("x", "[{\"a\":1,\"a\":2}]")]).into_bytes(),
            INVALID,
        ),
        ("deep nesting", deep.into_bytes(), INVALID),
        (
            "a number beyond any float",
            payload(&[("x", "1e999")]).into_bytes(),
            INVALID,
        ),
        (
            "two objects",
            format!("{usual}{usual}").into_bytes(),
            INVALID,
        ),
        (
            "a trailing comma",
            usual.replace('}', ",}").into_bytes(),
            INVALID,
        ),
        ("an array", format!("[{usual}]").into_bytes(), INVALID),
        (
            "the claims as a string",
            format!("{usual:?}").into_bytes(),
            INVALID,
        ),
        ("null", b"null".to_vec(), INVALID),
        ("nothing", Vec::new(), INVALID),
        ("text", b"user_1".to_vec(), INVALID),
        ("an empty object", b"{}".to_vec(), ISS),
    ]
    .into_iter()
    .map(|(name, text, expected)| {
        case(
            format!("payload: {name}"),
            OURS.sign(HEADER, text),
            expected,
        )
    })
    .collect()
}
