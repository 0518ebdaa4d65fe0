//! The headers that Hasura's webhook tells of in a JSON body.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// Why such a body is not taken; what it says is never part of the error.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HasuraBodyError {
    /// It ended before its time, or came too slowly.
    #[error("the webhook request's body did not arrive whole")]
    Incomplete,
    /// It is no JSON object with headers that are text.
    #[error("the webhook request's body is not json with an object of headers that are text")]
    Malformed,
    /// A header is there twice, whatever the case of its name.
    #[error("the webhook request's body names a header twice")]
    Repeated,
    /// It is longer than the limit.
    #[error("the webhook request's body is longer than decision.hasura.max_body_bytes")]
    TooLarge,
}

/// What is read of the body: the GraphQL request beside the headers is skipped.
#[derive(Deserialize)]
struct Body {
    headers: Lines,
}

/// Names and values as they come, repeated ones too.
struct Lines(Vec<(String, String)>);

/// Reads the headers of the request that Hasura asks about.
///
/// # Errors
///
/// [`HasuraBodyError::Malformed`] or [`HasuraBodyError::Repeated`].
pub(crate) fn hasura_headers(body: &[u8]) -> Result<HeaderMap, HasuraBodyError> {
    let Body { headers: lines } =
        serde_json::from_slice(body).map_err(|_| HasuraBodyError::Malformed)?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.0 {
        let name = HeaderName::from_bytes(name.as_bytes());
        let name = name.map_err(|_| HasuraBodyError::Malformed)?;
        let value = HeaderValue::from_bytes(value.as_bytes());
        let value = value.map_err(|_| HasuraBodyError::Malformed)?;
        let replaced = headers.try_insert(name, value);
        if replaced.map_err(|_| HasuraBodyError::Malformed)?.is_some() {
            return Err(HasuraBodyError::Repeated);
        }
    }
    Ok(headers)
}

// By hand, because a map would keep one of two names that are the same.
impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyLines;

        impl<'de> Visitor<'de> for AnyLines {
            type Value = Lines;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lines, A::Error> {
                let mut lines = Vec::new();
                while let Some(line) = map.next_entry()? {
                    lines.push(line);
                }
                Ok(Lines(lines))
            }
        }

        deserializer.deserialize_map(AnyLines)
    }
}

impl HasuraBodyError {
    /// Returns the reason's slug.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Incomplete => "hasura-body-incomplete",
            Self::Malformed => "hasura-body-malformed",
            Self::Repeated => "hasura-header-repeated",
            Self::TooLarge => "hasura-body-too-large",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_the_graphql_request_is_skipped() {
        for body in [
            r#"{"headers":{"Authorization":"Bearer a","X-Hasura-Role":"user"},"request":{"query":"{a}","variables":{"a":[1,{"headers":7}]}}}"#,
            r#"{"request":null,"headers":{"authorization":"Bearer a","x-hasura-role":"user"}}"#,
            r#"{"request":[{"query":"{a}"},{"query":"{b}"}],"headers":{"AUTHORIZATION":"Bearer a","X-HASURA-ROLE":"user"}}"#,
            r#"{"headers":{"authorization":"Bearer a","x-hasura-role":"user"},"more":1}"#,
        ] {
            let headers = hasura_headers(body.as_bytes()).unwrap();
            assert_eq!(headers["authorization"], "Bearer a", "{body}");
            assert_eq!(headers["x-hasura-role"], "user", "{body}");
            assert_eq!(headers.len(), 2, "{body}");
        }
    }

    #[test]
    fn each_refusal_has_its_slug() {
        for (error, slug) in [
            (HasuraBodyError::Incomplete, "hasura-body-incomplete"),
            (HasuraBodyError::Malformed, "hasura-body-malformed"),
            (HasuraBodyError::Repeated, "hasura-header-repeated"),
            (HasuraBodyError::TooLarge, "hasura-body-too-large"),
        ] {
            assert_eq!(error.slug(), slug);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use HasuraBodyError::{Malformed, Repeated};
        for (body, error) in [
            ("", Malformed),
            ("null", Malformed),
            ("[]", Malformed),
            ("{}", Malformed),
            (r#"{"headers":null}"#, Malformed),
            (r#"{"headers":[["a","b"]]}"#, Malformed),
            (r#"{"headers":{"a":7}}"#, Malformed),
            (r#"{"headers":{"a":null}}"#, Malformed),
            (r#"{"headers":{"a":["b"]}}"#, Malformed),
            (r#"{"headers":{"a":"b\r\nc: d"}}"#, Malformed),
            (r#"{"headers":{"a\n":"b"}}"#, Malformed),
            (r#"{"headers":{"":"b"}}"#, Malformed),
            (r#"{"headers":{"a":"b"},"headers":{}}"#, Malformed),
            (r#"{"headers":{"a":"b"}} {}"#, Malformed),
            (r#"{"headers":{"a":"b"}"#, Malformed),
            (r#"{"headers":{"a":"b","a":"b"}}"#, Repeated),
            (
                r#"{"headers":{"X-Hasura-Role":"user","x-hasura-role":"admin"}}"#,
                Repeated,
            ),
            (r#"{"headers":{"Cookie":"a","cookie":"a"}}"#, Repeated),
        ] {
            assert_eq!(hasura_headers(body.as_bytes()), Err(error), "{body}");
        }
    }

    #[test]
    fn depth_and_number_do_no_harm() {
        let deep = format!(r#"{{"headers":{{}},"request":{}"#, "[".repeat(500_000));
        assert_eq!(
            hasura_headers(deep.as_bytes()),
            Err(HasuraBodyError::Malformed)
        );
        let lines: Vec<_> = (0..40_000).map(|n| format!(r#""a{n}":"""#)).collect();
        let many = format!(r#"{{"headers":{{{}}}}}"#, lines.join(","));
        assert_eq!(
            hasura_headers(many.as_bytes()),
            Err(HasuraBodyError::Malformed)
        );
    }
}
