//! JSON as a token may use it: no member twice, no type by accident.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A member of an object whose absence and whose wrong type are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Member<T> {
    /// Not there.
    #[default]
    Absent,
    /// There, but not a `T`.
    Malformed,
    /// There.
    Present(T),
}

impl<T> Member<T> {
    /// Returns the value, if it is there and has its type.
    pub(super) fn ok(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Malformed => None,
        }
    }

    /// Returns the value or its absence, and `error` for a wrong type.
    pub(super) fn optional<E>(self, error: E) -> Result<Option<T>, E> {
        match self {
            Self::Present(value) => Ok(Some(value)),
            Self::Absent => Ok(None),
            Self::Malformed => Err(error),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Ok(serde_json::from_str(raw.get()).map_or(Self::Malformed, Self::Present))
    }
}

/// Tells whether `text` is one JSON object in which no object, at any depth, names a member twice.
///
/// Parsers disagree on which of two equal names counts, so such a text has no one meaning. The depth
/// is bounded by `serde_json` (128).
pub(super) fn is_unambiguous_object(text: &str) -> bool {
    let is_object = text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{');
    is_object && serde_json::from_str::<Unambiguous>(text).is_ok()
}

struct Unambiguous;

#[derive(Deserialize, Eq, Ord, PartialEq, PartialOrd)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Unambiguous;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_unit<E>(self) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unambiguous, A::Error> {
        while seq.next_element::<Unambiguous>()?.is_some() {}
        Ok(Unambiguous)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unambiguous, A::Error> {
        let mut names = Vec::new();
        while let Some((name, Unambiguous)) = map.next_entry::<Name<'de>, _>()? {
            names.push(name);
        }
        // Sorted, so that a token of a thousand names cannot cost a million comparisons.
        names.sort_unstable();
        if names.is_sorted_by(|a, b| a < b) {
            Ok(Unambiguous)
        } else {
            Err(A::Error::custom("a member is named twice"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unambiguous_objects_pass() {
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        for (text, good) in [
            (r#"{}"#, true),
            (" {\"a\":1,\"A\":[null,true,-1,1e3,{\"a\":\"\"}]}\n", true),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":1,"\u0061":2}"#, false),
            (r#"{"x":{"a":1,"b":2,"a":3}}"#, false),
            (r#"{"x":[{"a":1,"a":3}]}"#, false),
            (r#"{"x":"\ud800"}"#, false),
            (r#"{"x":1e999}"#, false),
            (r#"{"a":1}{}"#, false),
            (r#"{"a":1"#, false),
            ("\u{feff}{}", false),
            ("[]", false),
            ("null", false),
            ("\"{}\"", false),
            ("", false),
            (&deep(100), true),
            (&deep(5000), false),
        ] {
            assert_eq!(is_unambiguous_object(text), good, "{text}");
        }
    }

    #[test]
    fn a_null_is_not_an_absent_member() {
        #[derive(Deserialize)]
        struct Both {
            #[serde(default)]
            a: Member<String>,
            #[serde(default)]
            b: Member<Option<String>>,
            #[serde(default)]
            c: Member<String>,
        }
        let both: Both = serde_json::from_str(r#"{"a":null,"b":null}"#).unwrap();
        assert_eq!(both.a, Member::Malformed);
        assert_eq!(both.b, Member::Present(None));
        assert_eq!(both.c, Member::Absent);
    }
}
