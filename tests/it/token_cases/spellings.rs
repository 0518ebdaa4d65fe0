//! How a token may be spelt.

use super::{Case, HEADER, INVALID, SIGNATURE, case, payload};
use crate::signer::{OURS, unsigned};

/// One token, spelt in other ways.
pub(super) fn cases() -> Vec<Case> {
    let token = OURS.sign(HEADER, payload(&[]));
    let segments = unsigned(HEADER, payload(&[]));
    let (header, claims) = segments.split_once('.').unwrap();
    let signature = token.rsplit_once('.').unwrap().1;
    let bearer = format!("Bearer {token}");
    let large = |len: usize| {
        OURS.sign(
            HEADER,
            payload(&[("x", &format!("\"{}\"", "x".repeat(len)))]),
        )
    };
    [
        ("as it is", token.clone(), "ok"),
        ("empty", String::new(), INVALID),
        ("undefined", "undefined".to_owned(), INVALID),
        ("one segment", header.to_owned(), INVALID),
        ("two segments", segments.clone(), INVALID),
        ("a fourth, empty segment", format!("{token}."), INVALID),
        (
            "five segments",
            format!("{token}.{header}.{claims}"),
            INVALID,
        ),
        ("dots", "..".to_owned(), INVALID),
        ("an empty header", format!(".{claims}.{signature}"), INVALID),
        (
            "an empty payload",
            format!("{header}..{signature}"),
            INVALID,
        ),
        ("an empty signature", format!("{segments}."), SIGNATURE),
        ("leading space", format!(" {token}"), INVALID),
        ("trailing space", format!("{token} "), INVALID),
        ("trailing line feed", format!("{token}\n"), INVALID),
        ("with its scheme", bearer, INVALID),
        ("quoted", format!("\"{token}\""), INVALID),
        ("padded signature", format!("{token}="), INVALID),
        ("more padded signature", format!("{token}===="), INVALID),
        (
            "padded header",
            OURS.sign_segments(&format!("{header}=.{claims}")),
            INVALID,
        ),
        (
            "padded payload",
            OURS.sign_segments(&format!("{header}.{claims}==")),
            INVALID,
        ),
        (
            "white space in the payload",
            OURS.sign_segments(&format!("{header}.{claims}\n")),
            INVALID,
        ),
        (
            "the standard alphabet",
            format!(
                "{segments}.{}",
                signature.replace('-', "+").replace('_', "/")
            ),
            INVALID,
        ),
        (
            "a signature of impossible length",
            format!("{segments}.{}", &signature[..signature.len() - 1]),
            INVALID,
        ),
        (
            "a signature cut short",
            format!("{segments}.{}", &signature[..signature.len() - 2]),
            SIGNATURE,
        ),
        ("a longer signature", format!("{token}AAAA"), SIGNATURE),
        ("almost 8 KiB", large(5_500), "ok"),
        ("64 KiB", large(48 * 1024), INVALID),
        ("1 MiB", large(768 * 1024), INVALID),
    ]
    .into_iter()
    .map(|(name, token, expected)| case(format!("spelling: {name}"), token, expected))
    .collect()
}
