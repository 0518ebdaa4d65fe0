//! A route's `headers`: a session field, or a custom claim.

use std::fmt;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        MapAccess, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
};

use super::error::Findings;
use crate::mutate::{
    claim_header::{Absent, ClaimForm, ClaimHeader},
    managed_headers::{HeaderSource, SessionField},
};

/// What a header carries, as it is written.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(untagged)]
pub(crate) enum HeaderEntry {
    /// A field of the session.
    Field(SessionField),
    /// A custom claim of the session token.
    Claim(ClaimSection),
}

/// A custom claim, as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimSection {
    /// The claim's name; a dot leads into an object, as in metadata.tier.
    pub(crate) claim: String,
    /// What happens where the token lacks it: "drop", "refuse", or { default = "…" }.
    #[serde(default)]
    pub(crate) absent: Absent,
    /// How it is written: "text", or "json" for lists and objects too.
    #[serde(default)]
    pub(crate) r#as: ClaimForm,
}

impl HeaderEntry {
    /// Returns what the header carries, after noting what is wrong with it.
    pub(crate) fn check(&self, key: &str, findings: &mut Findings) -> HeaderSource {
        let section = match self {
            Self::Field(field) => return HeaderSource::Field(*field),
            Self::Claim(section) => section,
        };
        if section.claim.split('.').any(str::is_empty) {
            let what = format!("{:?} has an empty name", section.claim);
            let fix = "write the claim's name, as in metadata.tier";
            findings.problem(&format!("{key}.claim"), what, fix);
        }
        if let Absent::Default(text) = &section.absent
            && (HeaderValue::from_str(text).is_err() || !text.is_ascii() || text.trim() != text)
        {
            let what = format!("{text:?} is not a header's value");
            let fix = "use printable ASCII without blanks at its ends";
            findings.problem(&format!("{key}.absent.default"), what, fix);
        }
        HeaderSource::Claim(ClaimHeader {
            path: section.claim.split('.').map(str::to_owned).collect(),
            absent: section.absent.clone(),
            form: section.r#as,
        })
    }
}

// By hand, because a derived one could not say which of the two forms is meant, and what is wrong with it.
impl<'de> Deserialize<'de> for HeaderEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldOrClaim;

        impl<'de> Visitor<'de> for FieldOrClaim {
            type Value = HeaderEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a session field, or { claim = \"…\" }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<HeaderEntry, E> {
                SessionField::deserialize(StrDeserializer::new(text)).map(HeaderEntry::Field)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HeaderEntry, A::Error> {
                ClaimSection::deserialize(MapAccessDeserializer::new(map)).map(HeaderEntry::Claim)
            }
        }

        deserializer.deserialize_any(FieldOrClaim)
    }
}
