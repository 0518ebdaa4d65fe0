//! Durations as people write them: `250ms`, `15s`, `5m`, `24h`, `1h30m`.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A duration in a configuration: whole numbers with a unit each, from days to milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Period(pub(crate) Duration);

/// Why a text is not a duration.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is not a duration: write a number and a unit (ms, s, m, h, d), as in \"15s\", a century at most"
)]
pub(crate) struct PeriodError(String);

const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// A century: what is added to a point in time must not run over its end.
const LONGEST: u64 = 36_525 * 86_400_000;

impl Period {
    pub(crate) const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    pub(crate) const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let millis = parse_millis(text).ok_or_else(|| PeriodError(text.to_owned()))?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

fn parse_millis(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (name, next) = tail.split_at(end);
        let (_, unit) = UNITS.iter().find(|(known, _)| *known == name)?;
        if *unit >= last_unit {
            return None;
        }
        last_unit = *unit;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit)?)?;
        rest = next;
    }
    (last_unit != u64::MAX && total <= LONGEST).then_some(total)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        // Days read worse than hours in a table of time-outs, so hours are the largest written.
        for (name, unit) in &UNITS[1..] {
            if rest >= *unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl JsonSchema for Period {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A number and a unit (d, h, m, s, ms), as in 15s or 1h30m.",
            "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_people_do() {
        for (text, millis, written) in [
            ("250ms", 250, "250ms"),
            ("15s", 15_000, "15s"),
            ("90s", 90_000, "1m30s"),
            ("5m", 300_000, "5m"),
            ("24h", 86_400_000, "24h"),
            ("2d", 172_800_000, "48h"),
            ("1h30m", 5_400_000, "1h30m"),
            ("0s", 0, "0s"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period, Period::millis(millis), "{text}");
            assert_eq!(period.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "1.5s",
            "5 s",
            "5sec",
            "5s5m",
            "5s5s",
            "99999999999999999999s",
            "18446744073709551615h",
            "36525d1ms",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
    }
}
