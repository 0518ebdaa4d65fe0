//! `[session]`: what a request may present, and how it is proven.

use std::collections::HashSet;

use http::HeaderName;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{checks, duration::Period, error::Findings};
use crate::stream::StreamLimits;
pub(crate) use crate::verify::{OnUnavailable, Operation, Pending, VerifyMode};

/// Where a credential is looked for, as it is written.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CredentialSection {
    /// `Authorization: Bearer`.
    Bearer,
    /// Clerk's session cookies.
    Cookie,
    /// A bare session ID in this header.
    Header(String),
    /// A bare session ID in this query parameter.
    Query(String),
}

/// Where a credential is looked for, checked.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum CredentialSettings {
    Bearer,
    Cookie,
    /// A bare session ID in this header.
    Header(HeaderName),
    /// A bare session ID in this query parameter.
    Query(String),
}

/// `[session]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SessionSection {
    /// How sessions are proven; a route may say its own.
    pub(crate) verify: VerifyMode,
    /// Which operation of the Sessions API is asked.
    pub(crate) operation: Operation,
    /// Where credentials are looked for, in order.
    pub(crate) credentials: Vec<CredentialSection>,
    /// The networks whose bare session IDs count.
    pub(crate) session_id_callers: Vec<String>,
    /// What a pending session is.
    pub(crate) pending: Pending,
    /// What happens where Clerk cannot be asked.
    pub(crate) on_unavailable: OnUnavailable,
    /// Where browsers go whose user is signed out; they are refused like anyone unless set.
    pub(crate) sign_in_url: Option<String>,
    /// How often Clerk is asked about the session of a running stream.
    pub(crate) stream_check: Period,
    /// How long a stream may run whose session Clerk is not asked about.
    pub(crate) max_stream_age: Period,
}

/// `[session]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct SessionSettings {
    pub(crate) verify: VerifyMode,
    pub(crate) operation: Operation,
    /// Never empty; each once.
    pub(crate) credentials: Vec<CredentialSettings>,
    pub(crate) session_id_callers: Vec<IpNet>,
    pub(crate) pending: Pending,
    pub(crate) on_unavailable: OnUnavailable,
    pub(crate) sign_in_url: Option<String>,
    pub(crate) streams: StreamLimits,
}

impl Default for SessionSection {
    fn default() -> Self {
        Self {
            verify: VerifyMode::SessionsApi,
            operation: Operation::Get,
            credentials: vec![CredentialSection::Bearer, CredentialSection::Cookie],
            session_id_callers: Vec::new(),
            pending: Pending::SignedOut,
            on_unavailable: OnUnavailable::Deny,
            sign_in_url: None,
            stream_check: Period::secs(60),
            max_stream_age: Period::secs(3600),
        }
    }
}

impl SessionSection {
    /// Returns the settings, after noting what is wrong with them.
    pub(crate) fn check(&self, findings: &mut Findings) -> SessionSettings {
        let callers = "session.session_id_callers";
        let settings = SessionSettings {
            verify: self.verify,
            operation: self.operation,
            credentials: check_credentials("session.credentials", &self.credentials, findings),
            session_id_callers: checks::networks(callers, &self.session_id_callers, findings),
            pending: self.pending,
            on_unavailable: self.on_unavailable,
            sign_in_url: self.sign_in_url.clone(),
            streams: StreamLimits {
                max_age: self.max_stream_age.0,
                check: self.stream_check.0,
            },
        };
        if let Some(url) = &self.sign_in_url {
            checks::url("session.sign_in_url", url, findings);
        }
        settings.check_bare_ids("session", &settings.credentials, settings.verify, findings);
        settings
    }
}

impl SessionSettings {
    /// Notes bare-ID sources that cannot work: an ID is no secret, and only Clerk can judge it.
    pub(crate) fn check_bare_ids(
        &self,
        place: &str,
        credentials: &[CredentialSettings],
        verify: VerifyMode,
        findings: &mut Findings,
    ) {
        if !credentials.iter().any(CredentialSettings::is_bare_id) {
            return;
        }
        let key = format!("{place}.credentials");
        if verify == VerifyMode::Networkless {
            findings.problem(
                &key,
                "a bare session ID cannot be verified networkless",
                "set verify = \"sessions-api\", or take header and query sources out",
            );
        } else if self.session_id_callers.is_empty() {
            findings.problem(
                &key,
                "a bare session ID is no secret, so it counts only for callers that you name",
                "set session.session_id_callers to their networks, as in [\"127.0.0.0/8\"]",
            );
        }
    }
}

impl CredentialSettings {
    /// Tells whether this source finds bare session IDs.
    pub(crate) fn is_bare_id(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Query(_))
    }
}

/// Checks a list of credential sources.
pub(crate) fn check_credentials(
    key: &str,
    sources: &[CredentialSection],
    findings: &mut Findings,
) -> Vec<CredentialSettings> {
    if sources.is_empty() {
        let fix = "name at least one, as in [\"bearer\", \"cookie\"]";
        findings.problem(key, "is empty, so nobody could sign in", fix);
    }
    let mut seen = HashSet::new();
    let mut checked = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let key = format!("{key}[{index}]");
        let Some(source) = check_credential(&key, source, findings) else {
            continue;
        };
        if seen.insert(source.clone()) {
            checked.push(source);
        } else {
            findings.problem(&key, "names a source twice", "remove one of them");
        }
    }
    checked
}

fn check_credential(
    key: &str,
    source: &CredentialSection,
    findings: &mut Findings,
) -> Option<CredentialSettings> {
    match source {
        CredentialSection::Bearer => Some(CredentialSettings::Bearer),
        CredentialSection::Cookie => Some(CredentialSettings::Cookie),
        CredentialSection::Header(name) => {
            let name = checks::header(key, name, findings)?;
            if matches!(name.as_str(), "authorization" | "cookie") {
                let what = format!("{name} does not carry bare session IDs");
                findings.problem(key, what, "use \"bearer\" or \"cookie\"");
                return None;
            }
            Some(CredentialSettings::Header(name))
        }
        CredentialSection::Query(name) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            if name.is_empty() || !name.chars().all(plain) {
                let what = format!("{name:?} is not a parameter name");
                let fix = "use letters, digits, _ - and ., as in _clerk_session_id";
                findings.problem(key, what, fix);
                return None;
            }
            Some(CredentialSettings::Query(name.clone()))
        }
    }
}
