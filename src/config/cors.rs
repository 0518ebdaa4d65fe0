//! A route's `cors`: which pages of other origins may read its answers.

use http::{HeaderName, HeaderValue, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{checks, duration::Period, error::Findings};
use crate::policy::cors::{Cors, Preflight};

/// Which pages of other origins may read a route's answers.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorsSection {
    /// The pages' origins, compared exactly.
    pub(crate) origins: Vec<String>,
    /// The methods that pages may use; the route's own unless set.
    #[serde(default)]
    pub(crate) methods: Option<Vec<String>>,
    /// The request headers that pages may set.
    #[serde(default = "headers")]
    pub(crate) headers: Vec<String>,
    /// Whether pages may send cookies.
    #[serde(default)]
    pub(crate) credentials: bool,
    /// How long browsers keep a preflight's answer; as long as they like unless set.
    #[serde(default)]
    pub(crate) max_age: Option<Period>,
    /// Who answers preflights: "answer", or "pass" for the upstream.
    #[serde(default)]
    pub(crate) preflight: Preflight,
}

impl CorsSection {
    /// Returns the policy, after noting what is wrong with it; `own` are the route's methods.
    pub(crate) fn check(&self, key: &str, own: Option<&[Method]>, findings: &mut Findings) -> Cors {
        Cors {
            origins: self.check_origins(key, findings),
            methods: self.check_methods(key, own, findings),
            headers: self.check_headers(key, findings),
            credentials: self.credentials.then(|| HeaderValue::from_static("true")),
            max_age: self.max_age.map(|period| period.0.as_secs().into()),
            preflight: self.preflight,
        }
    }

    fn check_origins(&self, key: &str, findings: &mut Findings) -> Vec<HeaderValue> {
        let key = format!("{key}.origins");
        if self.origins.is_empty() {
            findings.problem(
                &key,
                "is empty, so no page could read anything",
                "name origins",
            );
        }
        let mut origins = Vec::new();
        for (index, text) in self.origins.iter().enumerate() {
            let value = HeaderValue::from_str(text).ok();
            // A browser sends `Origin` in lower case, and the comparison is exact.
            let exact = checks::is_origin(text) && *text == text.to_ascii_lowercase();
            match value.filter(|_| exact) {
                Some(origin) => origins.push(origin),
                None => findings.problem(
                    &format!("{key}[{index}]"),
                    format!("{text:?} is not an origin as browsers write it"),
                    "write scheme and host in lower case, as in https://app.example.com; * is not taken",
                ),
            }
        }
        origins
    }

    fn check_methods(
        &self,
        key: &str,
        own: Option<&[Method]>,
        findings: &mut Findings,
    ) -> HeaderValue {
        let usual = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        let names = match (&self.methods, own) {
            (Some(names), _) => names.clone(),
            (None, Some(own)) => own.iter().map(ToString::to_string).collect(),
            (None, None) => usual.map(str::to_owned).into(),
        };
        for (index, name) in names.iter().enumerate() {
            let known = Method::from_bytes(name.as_bytes()).is_ok();
            if !known || name.chars().any(|c| c.is_ascii_lowercase()) {
                let key = format!("{key}.methods[{index}]");
                findings.problem(
                    &key,
                    format!("{name:?} is not a method"),
                    "use GET, POST, …",
                );
            }
        }
        list(&names)
    }

    fn check_headers(&self, key: &str, findings: &mut Findings) -> HeaderValue {
        for (index, name) in self.headers.iter().enumerate() {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                let key = format!("{key}.headers[{index}]");
                let what = format!("{name:?} is not a header name");
                findings.problem(&key, what, "use letters, digits and hyphens");
            }
        }
        list(&self.headers)
    }
}

fn headers() -> Vec<String> {
    ["authorization", "content-type"].map(str::to_owned).into()
}

/// Joins names that have been checked; others have been complained about.
fn list(names: &[String]) -> HeaderValue {
    HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}
