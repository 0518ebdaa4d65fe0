//! A custom claim as a header's value: text stays text, and nothing is stringified by accident.

use std::fmt::Write;

use http::HeaderValue;
use serde_json::{Map, Value};

use super::managed_headers::{HeaderError, header_value};

/// Beyond this, a JSON number is no longer exact everywhere.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Which claim a header carries, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ClaimHeader {
    /// The names on the way to the claim, outermost first.
    pub(crate) path: Vec<String>,
    pub(crate) absent: Absent,
    pub(crate) form: ClaimForm,
}

/// What happens where the token lacks the claim, or has it as null.
#[derive(
    Clone, Debug, Default, Eq, PartialEq, schemars::JsonSchema, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Absent {
    /// This value is sent.
    Default(String),
    /// The header is not sent.
    #[default]
    Drop,
    /// The request is refused.
    Refuse,
}

/// How a claim is written.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    PartialEq,
    schemars::JsonSchema,
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClaimForm {
    /// Compact JSON in ASCII, whatever the claim is.
    Json,
    /// A string as it is, a number or a bool as JSON writes it; anything else is refused.
    #[default]
    Text,
}

impl ClaimHeader {
    /// Returns the header's value; `None` where it is not sent.
    pub(super) fn value(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<Option<HeaderValue>, HeaderError> {
        match (find(&self.path, claims), &self.absent) {
            (Some(claim), _) => self.form.write(claim).map(Some),
            (None, Absent::Drop) => Ok(None),
            (None, Absent::Refuse) => Err(HeaderError::ClaimMissing),
            (None, Absent::Default(text)) => header_value(text).map(Some),
        }
    }
}

/// Finds a claim by the names on the way to it; null is as good as absent.
pub(crate) fn find<'a>(path: &[String], claims: &'a Map<String, Value>) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let start = claims.get(first)?;
    let found = rest
        .iter()
        .try_fold(start, |claim, name| claim.get(name.as_str()))?;
    (!found.is_null()).then_some(found)
}

impl ClaimForm {
    fn write(self, claim: &Value) -> Result<HeaderValue, HeaderError> {
        match (self, claim) {
            (Self::Json, claim) => header_value(&ascii(&claim.to_string())),
            (Self::Text, Value::String(text)) => header_value(text),
            (Self::Text, Value::Bool(_)) => header_value(&claim.to_string()),
            (Self::Text, Value::Number(number)) => {
                let float = number.as_f64().filter(|_| number.is_f64());
                if float.is_some_and(|float| float.abs() > MAX_EXACT) {
                    return Err(HeaderError::Unrepresentable);
                }
                header_value(&number.to_string())
            }
            (Self::Text, _) => Err(HeaderError::Unrepresentable),
        }
    }
}

/// Escapes what is not printable ASCII, as JSON does in strings: only there can it stand.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(claim: &Value, form: ClaimForm) -> Result<Option<String>, HeaderError> {
        let header = ClaimHeader {
            path: vec!["a".to_owned(), "b".to_owned()],
            absent: Absent::Refuse,
            form,
        };
        let claims = json!({"a": {"b": claim}, "b": "other"});
        let value = header.value(claims.as_object().unwrap())?;
        Ok(value.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn text_is_a_string_a_number_or_a_bool() {
        for (claim, text) in [
            (json!("acme"), Some("acme")),
            (json!(7), Some("7")),
            (json!(-1.5), Some("-1.5")),
            (json!(u64::MAX), Some("18446744073709551615")),
            (json!(true), Some("true")),
            (json!(MAX_EXACT), Some("9007199254740992.0")),
            (json!(MAX_EXACT * 2.0), None),
            (json!(1e300), None),
            (json!(["a"]), None),
            (json!({"a": 1}), None),
            (json!("a\r\nX-B: c"), None),
            (json!("\u{e9}"), None),
        ] {
            let expected = text.map(|text| Some(text.to_owned()));
            let expected = expected.ok_or(HeaderError::Unrepresentable);
            assert_eq!(value(&claim, ClaimForm::Text), expected, "{claim}");
        }
    }

    #[test]
    fn json_is_compact_and_ascii_and_reads_back() {
        for (claim, text) in [
            (json!(["a", {"b": 1}]), r#"["a",{"b":1}]"#),
            (json!("acme"), r#""acme""#),
            (
                json!("\u{e9}\u{1f600}\u{7f}\r\n"),
                r#""\u00e9\ud83d\ude00\u007f\r\n""#,
            ),
        ] {
            let written = value(&claim, ClaimForm::Json).unwrap().unwrap();
            assert_eq!(written, text);
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), claim);
        }
    }

    #[test]
    fn an_absent_claim_is_dropped_refused_or_replaced() {
        let claims = json!({"a": {"b": null}, "c": "text"});
        for path in ["a.b", "a.x", "x", "c.d"] {
            let sent = |absent| {
                let path = path.split('.').map(str::to_owned).collect();
                let header = ClaimHeader {
                    path,
                    absent,
                    form: ClaimForm::Text,
                };
                header.value(claims.as_object().unwrap())
            };
            assert_eq!(sent(Absent::Drop), Ok(None), "{path}");
            assert_eq!(
                sent(Absent::Refuse),
                Err(HeaderError::ClaimMissing),
                "{path}"
            );
            let default = sent(Absent::Default("x".to_owned())).unwrap();
            assert_eq!(default.unwrap(), "x");
        }
    }
}
