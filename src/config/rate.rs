//! A route's `rate_limit`: so many requests in so much time, as people write it.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{duration::Period, error::Findings};
use crate::limit::rate::Rate;

/// How many requests one session and one client address may make.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RateLimitSection {
    /// Of one session, judged after it is proven.
    pub(crate) per_session: Option<WrittenRate>,
    /// Of one client address (IPv6: /64), judged before anything else.
    pub(crate) per_address: Option<WrittenRate>,
}

/// A rate as in `100/10s`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct WrittenRate(pub(crate) Rate);

/// The text is no rate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a rate: write requests and time, as in 100/10s")]
pub(crate) struct RateError(String);

impl RateLimitSection {
    /// Notes limits that can have no effect.
    pub(crate) fn check(&self, key: &str, findings: &mut Findings) {
        if self.per_session.is_none() && self.per_address.is_none() {
            let fix = "set per_session or per_address, as in \"100/10s\"";
            findings.problem(key, "limits nothing", fix);
        }
    }
}

impl FromStr for WrittenRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let read = || {
            let (requests, per) = text.split_once('/')?;
            let plain = requests.bytes().all(|byte| byte.is_ascii_digit());
            let requests = requests.parse().ok().filter(|count| plain && *count > 0)?;
            let per = per.parse::<Period>().ok()?.0;
            (!per.is_zero()).then_some(Rate { requests, per })
        };
        read().map(Self).ok_or_else(|| RateError(text.to_owned()))
    }
}

impl TryFrom<String> for WrittenRate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl fmt::Display for WrittenRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.requests, Period(self.0.per))
    }
}

impl From<WrittenRate> for String {
    fn from(rate: WrittenRate) -> Self {
        rate.to_string()
    }
}

impl JsonSchema for WrittenRate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Requests and time, as in 100/10s.",
            "pattern": "^[0-9]+/(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written_as_people_do() {
        for (text, requests, millis) in [("100/10s", 100, 10_000), ("1/500ms", 1, 500)] {
            let rate: WrittenRate = text.parse().unwrap();
            assert_eq!(rate.0.requests, requests);
            assert_eq!(rate.0.per.as_millis(), millis);
            assert_eq!(rate.to_string(), text);
        }
        for text in [
            "", "100", "0/10s", "-1/10s", "+1/10s", "1.5/s", "10/0s", "10/", "/10s",
        ] {
            assert!(text.parse::<WrittenRate>().is_err(), "{text:?}");
        }
    }
}
