//! `[decision.hasura]`: the policy of Hasura's webhook, which has no path or method to find a route by.

use std::{collections::BTreeMap, time::Duration};

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checks,
    duration::Period,
    error::Findings,
    hasura_roles::{RolesEntry, check_names},
    header::HeaderEntry,
    require::RequireSection,
    session::{
        CredentialSection, CredentialSettings, SessionSettings, VerifyMode, check_credentials,
    },
};
use crate::{
    decision::hasura::{RoleSource, Roles},
    mutate::managed_headers::HeaderSource,
    policy::Requirement,
};

/// What is in every answer by itself, or never.
const OWN: [&str; 5] = [
    "x-hasura-admin-secret",
    "x-hasura-allowed-roles",
    "x-hasura-org-id",
    "x-hasura-role",
    "x-hasura-user-id",
];

/// `[decision.hasura]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HasuraSection {
    /// Whether a caller without a session passes as role "anonymous".
    pub(crate) anonymous: bool,
    /// The role of a session that wishes for none.
    pub(crate) default_role: String,
    /// The roles that it may wish for; the default role alone unless set.
    pub(crate) roles: Option<RolesEntry>,
    /// More session variables: names that begin with X-Hasura-, as in a route's headers.
    pub(crate) variables: BTreeMap<String, HeaderEntry>,
    /// What the session must have.
    pub(crate) require: Option<RequireSection>,
    /// How sessions are proven here, instead of `session.verify`.
    pub(crate) verify: Option<VerifyMode>,
    /// Where credentials are looked for here, instead of `session.credentials`; bare session IDs never count.
    pub(crate) credentials: Option<Vec<CredentialSection>>,
    /// The origins that count here, instead of `clerk.authorized_parties`.
    pub(crate) authorized_parties: Option<Vec<String>>,
    /// How long Hasura may believe an answer at most; `cache.session_ttl` unless set, and without a limit where verify is networkless.
    pub(crate) max_age: Option<Period>,
    /// How large the body of a webhook request may be.
    pub(crate) max_body_bytes: u64,
}

/// `[decision.hasura]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct HasuraSettings {
    pub(crate) anonymous: bool,
    pub(crate) roles: Roles,
    /// Sorted by name; each name once.
    pub(crate) variables: Vec<(HeaderName, HeaderSource)>,
    pub(crate) require: Vec<Requirement>,
    pub(crate) verify: VerifyMode,
    /// Never empty; no bare session IDs.
    pub(crate) credentials: Vec<CredentialSettings>,
    /// `None`: `azp` is not judged. Never empty.
    pub(crate) authorized_parties: Option<Vec<String>>,
    /// `None`: as long as the session token lives.
    pub(crate) max_age: Option<Duration>,
    /// More than 0.
    pub(crate) max_body_bytes: usize,
}

/// What the section is checked against.
pub(crate) struct HasuraContext<'a> {
    pub(crate) session: &'a SessionSettings,
    pub(crate) authorized_parties: Option<&'a [String]>,
    pub(crate) session_ttl: Duration,
}

impl Default for HasuraSection {
    fn default() -> Self {
        Self {
            anonymous: false,
            default_role: "user".to_owned(),
            roles: None,
            variables: BTreeMap::new(),
            require: None,
            verify: None,
            credentials: None,
            authorized_parties: None,
            max_age: None,
            max_body_bytes: 1_048_576,
        }
    }
}

impl HasuraSection {
    /// Returns the settings, or `None` after noting why there are none.
    pub(crate) fn check(
        &self,
        context: &HasuraContext<'_>,
        findings: &mut Findings,
    ) -> Option<HasuraSettings> {
        let key = |name: &str| format!("decision.hasura.{name}");
        check_names(&key("default_role"), [&self.default_role], findings);
        let more = match &self.roles {
            Some(roles) => roles.check(&key("roles"), findings),
            None => Some(RoleSource::Listed(Vec::new())),
        };
        if let Some(parties) = &self.authorized_parties {
            checks::parties(&key("authorized_parties"), parties, findings);
        }
        let parties = self
            .authorized_parties
            .as_deref()
            .or(context.authorized_parties);
        if self.max_body_bytes == 0 {
            let fix = "leave it out for 1_048_576, or set GET in Hasura, which sends no body";
            findings.problem(&key("max_body_bytes"), "0 takes no body at all", fix);
        }
        let verify = self.verify.unwrap_or(context.session.verify);
        Some(HasuraSettings {
            anonymous: self.anonymous,
            variables: self.check_variables(&key("variables"), findings),
            require: match &self.require {
                Some(require) => require.check(&key("require"), findings),
                None => Vec::new(),
            },
            credentials: self.check_credentials(context.session, findings),
            authorized_parties: parties.map(<[String]>::to_vec),
            max_age: match (self.max_age, verify) {
                (Some(max_age), _) => Some(max_age.0),
                (None, VerifyMode::SessionsApi) => Some(context.session_ttl),
                (None, VerifyMode::Networkless) => None,
            },
            verify,
            max_body_bytes: usize::try_from(self.max_body_bytes).unwrap_or(usize::MAX),
            roles: Roles {
                default: self.default_role.clone(),
                more: more?,
            },
        })
    }

    fn check_variables(
        &self,
        place: &str,
        findings: &mut Findings,
    ) -> Vec<(HeaderName, HeaderSource)> {
        let mut variables: Vec<(HeaderName, HeaderSource)> = Vec::new();
        for (text, entry) in &self.variables {
            let key = format!("{place}.{text}");
            let Some(name) = checks::header(&key, text, findings) else {
                continue;
            };
            if OWN.contains(&name.as_str()) || !name.as_str().starts_with("x-hasura-") {
                let what = "is no variable of your own: those begin with X-Hasura-, and the role, the user's and \
                            the organization's ID are there already";
                findings.problem(&key, what, "choose another name, as in X-Hasura-Department");
            } else if variables.iter().any(|(other, _)| *other == name) {
                findings.problem(&key, "is set twice, in another spelling", "remove one");
            } else {
                variables.push((name, entry.check(&key, findings)));
            }
        }
        variables
    }

    fn check_credentials(
        &self,
        session: &SessionSettings,
        findings: &mut Findings,
    ) -> Vec<CredentialSettings> {
        let key = "decision.hasura.credentials";
        let fix = "name \"bearer\", \"cookie\" or both";
        let Some(own) = &self.credentials else {
            let mut usual = session.credentials.clone();
            usual.retain(|source| !source.is_bare_id());
            if usual.is_empty() {
                findings.problem(key, "is missing: bare session IDs cannot count here", fix);
            }
            return usual;
        };
        let own = check_credentials(key, own, findings);
        if own.iter().any(CredentialSettings::is_bare_id) {
            // An ID is no secret, and Hasura passes on whatever anybody sends.
            let what =
                "a bare session ID counts for callers that you name, and Hasura speaks for anybody";
            findings.problem(key, what, fix);
        }
        own
    }
}
