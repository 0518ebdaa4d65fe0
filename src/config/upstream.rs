//! `[[upstream]]`: the services behind the gateway.

use std::{collections::HashSet, time::Duration};

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{checks, duration::Period, error::Findings};

/// One `[[upstream]]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamSection {
    /// The name that routes use.
    pub(crate) name: String,
    /// Where it is: scheme, host and port.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// Where its instances are, instead of `url`.
    #[serde(default)]
    pub(crate) urls: Option<Vec<String>>,
    /// How long a connection may take.
    #[serde(default = "connect_timeout")]
    pub(crate) connect_timeout: Period,
    /// How long an answer's head may take.
    #[serde(default = "response_timeout")]
    pub(crate) response_timeout: Period,
}

/// One `[[upstream]]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamSettings {
    pub(crate) name: String,
    /// Origins: scheme and authority, no path. Never empty.
    pub(crate) urls: Vec<Uri>,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
}

fn connect_timeout() -> Period {
    Period::secs(2)
}

fn response_timeout() -> Period {
    Period::secs(60)
}

impl UpstreamSection {
    /// Returns the upstream that `--upstream URL` describes.
    pub(crate) fn at(url: &str) -> Self {
        Self {
            name: "app".to_owned(),
            url: Some(url.to_owned()),
            urls: None,
            connect_timeout: connect_timeout(),
            response_timeout: response_timeout(),
        }
    }

    fn check(&self, place: &str, findings: &mut Findings) -> Option<UpstreamSettings> {
        let urls = match (&self.url, &self.urls) {
            (Some(url), None) => origin(&format!("{place}.url"), url, findings)
                .into_iter()
                .collect(),
            (None, Some(urls)) => self.check_urls(place, urls, findings),
            (Some(_), Some(_)) => {
                let key = format!("{place}.urls");
                findings.problem(&key, "both url and urls are given", "remove one of them");
                Vec::new()
            }
            (None, None) => {
                let key = format!("{place}.url");
                findings.problem(&key, "is missing", "set it, as in http://127.0.0.1:3000");
                Vec::new()
            }
        };
        for (name, period) in [
            ("connect_timeout", self.connect_timeout),
            ("response_timeout", self.response_timeout),
        ] {
            if period == Period::millis(0) {
                let key = format!("{place}.{name}");
                findings.problem(&key, "0s would fail every request", "use at least 1ms");
            }
        }
        (!urls.is_empty()).then(|| UpstreamSettings {
            name: self.name.clone(),
            urls,
            connect_timeout: self.connect_timeout.0,
            response_timeout: self.response_timeout.0,
        })
    }

    fn check_urls(&self, place: &str, urls: &[String], findings: &mut Findings) -> Vec<Uri> {
        if urls.is_empty() {
            let fix = "name at least one, as in [\"http://127.0.0.1:3000\"]";
            findings.problem(&format!("{place}.urls"), "is empty", fix);
        }
        urls.iter()
            .enumerate()
            .filter_map(|(index, url)| origin(&format!("{place}.urls[{index}]"), url, findings))
            .collect()
    }
}

/// Checks all upstreams, and that each has a name of its own.
pub(crate) fn check_all(
    sections: &[UpstreamSection],
    findings: &mut Findings,
) -> Vec<UpstreamSettings> {
    let mut names = HashSet::new();
    let mut checked = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let place = format!("upstream[{index}]");
        let name = format!("{place}.name");
        if section.name.trim().is_empty() {
            findings.problem(&name, "is empty", "name it, as in name = \"app\"");
        } else if !names.insert(section.name.as_str()) {
            let what = format!("two upstreams are named {:?}", section.name);
            findings.problem(&name, what, "give each a name of its own");
        }
        checked.extend(section.check(&place, findings));
    }
    checked
}

fn origin(key: &str, text: &str, findings: &mut Findings) -> Option<Uri> {
    let uri = checks::url(key, text, findings)?;
    if !matches!(uri.path(), "" | "/") {
        let what = "has a path, but requests go on under the path they came with";
        findings.problem(key, what, "write scheme, host and port only");
        return None;
    }
    Some(uri)
}
