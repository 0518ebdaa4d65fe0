//! The corpus of session tokens: one case for each thing a token can get wrong, and for what it may do.

mod claims;
mod headers;
mod payloads;
mod signatures;
mod spellings;

use std::time::Duration;

use clerk_gateway::verify::{Pending, TokenProfile};

/// When all of it happens, in seconds.
pub(crate) const NOW: i64 = 1_700_000_000;
pub(crate) const ISSUER: &str = "https://clerk.example.com";
pub(crate) const PARTY: &str = "https://app.example.com";
pub(crate) const AUDIENCE: &str = "api";

const HEADER: &str = r#"{"alg":"RS256","kid":"ins_1","typ":"JWT"}"#;

/// A token, who judges it, and what the verifier must say.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) judge: Judge,
    /// `ok`, a reason, or `refused` where the reason depends on where a mutation struck.
    pub(crate) expected: &'static str,
}

/// The verifier's settings, in the words of both sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Judge {
    Plain,
    Parties,
    /// Parties, and the opt-out that Clerk's SDK does not have.
    PartiesOrNone,
    Audience,
    NoSkew,
    PendingAccepted,
}

impl Judge {
    pub(crate) fn profile(self) -> TokenProfile {
        let plain = TokenProfile::new(ISSUER).unwrap();
        match self {
            Self::Plain => plain,
            Self::Parties => plain
                .authorized_parties(["https://a.example.com", PARTY])
                .unwrap(),
            Self::PartiesOrNone => Self::Parties.profile().allow_missing_azp(),
            Self::Audience => plain.audience(["other", AUDIENCE]).unwrap(),
            Self::NoSkew => plain.clock_skew(Duration::ZERO).unwrap(),
            Self::PendingAccepted => plain.pending(Pending::Accept),
        }
    }
}

/// Returns every case.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(headers::cases());
    cases.extend(claims::cases());
    cases.extend(payloads::cases());
    cases.extend(spellings::cases());
    cases.extend(signatures::cases());
    cases.extend(signatures::mutations());
    cases
}

/// A payload's text: the usual claims, with `changes` (`name`, JSON or `-` for none).
pub(crate) fn payload(changes: &[(&str, &str)]) -> String {
    let usual = [
        ("iss", format!("\"{ISSUER}\"")),
        ("sub", "\"user_1\"".to_owned()),
        ("sid", "\"sess_1\"".to_owned()),
        ("azp", format!("\"{PARTY}\"")),
        ("iat", NOW.to_string()),
        ("nbf", (NOW - 10).to_string()),
        ("exp", (NOW + 60).to_string()),
    ];
    let changed = |name: &str| changes.iter().any(|(change, _)| *change == name);
    let kept = usual.into_iter().filter(|(name, _)| !changed(name));
    let new = changes.iter().map(|(name, value)| (*name, relative(value)));
    let members: Vec<_> = kept
        .chain(new)
        .filter(|(_, value)| value != "-")
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// `now-6` is six seconds ago.
fn relative(value: &str) -> String {
    match value.strip_prefix("now") {
        Some("") => NOW.to_string(),
        Some(offset) => match offset.parse::<i64>() {
            Ok(offset) => (NOW + offset).to_string(),
            Err(_) => (NOW as f64 + offset.parse::<f64>().unwrap()).to_string(),
        },
        None => value.to_owned(),
    }
}

fn case(name: impl Into<String>, token: String, expected: &'static str) -> Case {
    Case {
        name: name.into(),
        token,
        judge: Judge::Plain,
        expected,
    }
}

const INVALID: &str = "token-invalid";
const ALGORITHM: &str = "token-invalid-algorithm";
const TYPE: &str = "token-type-mismatch";
const CLAIM: &str = "token-verification-failed";
const EXPIRED: &str = "token-expired";
const EARLY: &str = "token-not-active-yet";
const FUTURE: &str = "token-iat-in-the-future";
const PARTIES: &str = "token-invalid-authorized-parties";
const SIGNATURE: &str = "token-invalid-signature";
const ISS: &str = "token-invalid-issuer";
const LIFETIME: &str = "token-lifetime-too-long";
