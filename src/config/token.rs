//! A route's `token`: which template, how long it lives, where it goes.

use std::time::Duration;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{checks, duration::Period, error::Findings};

/// The template token that an upstream gets.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenSection {
    /// The JWT template's name.
    pub(crate) template: String,
    /// The token's lifetime, 30s to 315360000s; the template's own unless set.
    #[serde(default)]
    pub(crate) lifetime: Option<Period>,
    /// How long a minted token is used at most; until it expires unless set.
    #[serde(default)]
    pub(crate) max_age: Option<Period>,
    /// The header it goes in; in Authorization as a bearer token.
    #[serde(default = "authorization")]
    pub(crate) header: String,
    /// The same as the route's `any_organization`.
    #[serde(default)]
    pub(crate) any_organization: bool,
}

/// The template token that an upstream gets, checked.
#[derive(Clone, Debug)]
pub(crate) struct TokenSettings {
    pub(crate) template: String,
    /// 30 s to 315 360 000 s, in whole seconds.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) header: HeaderName,
    pub(crate) any_organization: bool,
}

impl TokenSection {
    /// Returns the settings, or `None` after noting why there are none.
    pub(crate) fn check(
        &self,
        place: &str,
        any_organization: bool,
        findings: &mut Findings,
    ) -> Option<TokenSettings> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let dots = self.template.chars().all(|c| c == '.');
        if dots || !self.template.chars().all(plain) {
            let what = format!("{:?} cannot be a JWT template's name", self.template);
            let fix = "use the name from the Clerk dashboard: letters, digits, - and _";
            findings.problem(&format!("{place}.template"), what, fix);
        }
        let range = Period::secs(30)..=Period::secs(315_360_000);
        if let Some(lifetime) = self.lifetime
            && (!range.contains(&lifetime) || lifetime.0.subsec_millis() != 0)
        {
            let what = format!("{lifetime} is not a lifetime that Clerk mints");
            let fix = "use whole seconds from 30s to 315360000s";
            findings.problem(&format!("{place}.lifetime"), what, fix);
        }
        if self.max_age == Some(Period::millis(0)) {
            let key = format!("{place}.max_age");
            findings.problem(&key, "0s would mint for every request", "use at least 1s");
        }
        Some(TokenSettings {
            template: self.template.clone(),
            lifetime: self.lifetime.map(|period| period.0),
            max_age: self.max_age.map(|period| period.0),
            header: checks::header(&format!("{place}.header"), &self.header, findings)?,
            any_organization: self.any_organization || any_organization,
        })
    }
}

fn authorization() -> String {
    "Authorization".to_owned()
}
