//! A token's outside: three segments of canonical base64url, and a header that may be obeyed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::json::{Member, is_unambiguous_object};

/// The longest token that is looked at, in bytes; a cookie holds 4 KiB.
pub(super) const MAX_TOKEN_LEN: usize = 8 * 1024;
const MAX_KEY_ID_LEN: usize = 256;

/// A JWS in compact form (RFC 7515 §7.1), taken apart; nothing of it is proven yet.
pub(super) struct Jws<'a> {
    pub(super) header: Header,
    pub(super) payload: String,
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

/// What of a JOSE header is read. Keys that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) are not.
#[derive(Deserialize)]
pub(super) struct Header {
    #[serde(default)]
    pub(super) alg: Member<String>,
    #[serde(default)]
    pub(super) cat: Member<String>,
    #[serde(default)]
    pub(super) kid: Member<String>,
    #[serde(default)]
    pub(super) typ: Member<String>,
    #[serde(default)]
    b64: Member<IgnoredAny>,
    #[serde(default)]
    crit: Member<IgnoredAny>,
    #[serde(default)]
    zip: Member<IgnoredAny>,
}

/// Why a text is not a token at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A segment is not unpadded canonical base64url.
    #[error("the {0} is not canonical base64url")]
    Encoding(&'static str),
    /// The header has a parameter that changes the token's meaning: `crit`, `b64` or `zip`.
    #[error("the header has {0}, which session tokens never do")]
    Extension(&'static str),
    /// A segment is not a UTF-8 JSON object, or names a member twice.
    #[error("the {0} is not an unambiguous JSON object")]
    Json(&'static str),
    /// A header parameter has the wrong type or value.
    #[error("the header's {0} cannot be that of a session token")]
    Parameter(&'static str),
    /// There are not exactly three segments.
    #[error("it does not have three segments")]
    Segments,
    /// It is longer than 8 KiB.
    #[error("it is longer than 8 KiB")]
    TooLong,
}

impl<'a> Jws<'a> {
    /// Takes `token` apart, strictly: one meaning has one spelling.
    pub(super) fn parse(token: &'a str) -> Result<Self, Malformed> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(Malformed::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Malformed::Segments)?;
        let (header, payload) = signed.split_once('.').ok_or(Malformed::Segments)?;
        if payload.contains('.') {
            return Err(Malformed::Segments);
        }
        Ok(Self {
            header: Header::parse(&object(header, "header")?)?,
            payload: object(payload, "payload")?,
            signed: signed.as_bytes(),
            signature: decode(signature, "signature")?,
        })
    }
}

impl Header {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let header: Self = serde_json::from_str(text).map_err(|_| Malformed::Json("header"))?;
        for (name, value) in [
            ("b64", header.b64),
            ("crit", header.crit),
            ("zip", header.zip),
        ] {
            if value != Member::Absent {
                return Err(Malformed::Extension(name));
            }
        }
        match &header.kid {
            Member::Malformed => Err(Malformed::Parameter("kid")),
            Member::Present(kid) if kid.len() > MAX_KEY_ID_LEN => Err(Malformed::Parameter("kid")),
            Member::Absent | Member::Present(_) => Ok(header),
        }
    }
}

fn object(segment: &str, name: &'static str) -> Result<String, Malformed> {
    let text = String::from_utf8(decode(segment, name)?).map_err(|_| Malformed::Json(name))?;
    if is_unambiguous_object(&text) {
        Ok(text)
    } else {
        Err(Malformed::Json(name))
    }
}

fn decode(segment: &str, name: &'static str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| Malformed::Encoding(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, payload: &str, signature: &[u8]) -> String {
        [header.as_bytes(), payload.as_bytes(), signature]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join(".")
    }

    fn refusal(token: &str) -> Option<Malformed> {
        Jws::parse(token).err()
    }

    #[test]
    fn what_is_no_canonical_token_is_refused() {
        // "e30" is {}; "e31" spells the same bytes with a trailing bit set.
        for (text, error) in [
            ("", Malformed::Segments),
            ("e30", Malformed::Segments),
            ("e30.e30", Malformed::Segments),
            ("e30.e30.AA.", Malformed::Segments),
            ("e30.e30.AA.AA.AA", Malformed::Segments),
            (".e30.AA", Malformed::Json("header")),
            ("e30..AA", Malformed::Json("payload")),
            ("e31.e30.AA", Malformed::Encoding("header")),
            ("e30=.e30.AA", Malformed::Encoding("header")),
            ("e30.e30 .AA", Malformed::Encoding("payload")),
            (" e30.e30.AA", Malformed::Encoding("header")),
            ("Bearer e30.e30.AA", Malformed::Encoding("header")),
            ("e30.e30.AB", Malformed::Encoding("signature")),
            ("e30.e30.AA\n", Malformed::Encoding("signature")),
            ("e30.e30.+/8", Malformed::Encoding("signature")),
            ("e30.e30.A", Malformed::Encoding("signature")),
            ("W10.e30.AA", Malformed::Json("header")),
            ("e30.W10.AA", Malformed::Json("payload")),
            ("e30._w.AA", Malformed::Json("payload")),
        ] {
            assert_eq!(refusal(text), Some(error), "{text}");
        }
        assert_eq!(
            refusal(&"a".repeat(MAX_TOKEN_LEN + 1)),
            Some(Malformed::TooLong)
        );
        assert_eq!(
            refusal(&"a".repeat(MAX_TOKEN_LEN)),
            Some(Malformed::Segments)
        );
    }

    #[test]
    fn headers_that_change_the_meaning_are_refused() {
        for (header, error) in [
            (r#"{"crit":["exp"]}"#, Malformed::Extension("crit")),
            (r#"{"crit":[]}"#, Malformed::Extension("crit")),
            (r#"{"crit":null}"#, Malformed::Extension("crit")),
            (r#"{"b64":false}"#, Malformed::Extension("b64")),
            (r#"{"zip":"DEF"}"#, Malformed::Extension("zip")),
            (r#"{"kid":7}"#, Malformed::Parameter("kid")),
            (r#"{"kid":null}"#, Malformed::Parameter("kid")),
            (r#"{"kid":["a"]}"#, Malformed::Parameter("kid")),
            (
                r#"{"alg":"RS256","alg":"RS256"}"#,
                Malformed::Json("header"),
            ),
        ] {
            assert_eq!(refusal(&token(header, "{}", b"x")), Some(error), "{header}");
        }
        let long = format!(r#"{{"kid":"{}"}}"#, "k".repeat(4096));
        assert_eq!(
            refusal(&token(&long, "{}", b"x")),
            Some(Malformed::Parameter("kid"))
        );
        let longest = format!(r#"{{"kid":"{}"}}"#, "k".repeat(MAX_KEY_ID_LEN));
        assert_eq!(refusal(&token(&longest, "{}", b"x")), None);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC*|[A-Za-z0-9_.=-]{0,200}") {
            let _ = Jws::parse(&text);
        }

        #[test]
        fn parsing_undoes_encoding(claim in "\\PC{0,40}", signature: Vec<u8>) {
            let payload = serde_json::json!({ "claim": claim }).to_string();
            let text = token(r#"{"alg":"RS256"}"#, &payload, &signature);
            let jws = Jws::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(jws.payload, payload);
            prop_assert_eq!(&jws.signature, &signature);
            prop_assert_eq!(jws.signed, text.rsplit_once('.').unwrap().0.as_bytes());
        }
    }
}
