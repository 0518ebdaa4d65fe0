//! A route's `require`: what its session must have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{duration::Period, error::Findings};
use crate::policy::Requirement;

/// What a route's session must have: all that is named.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequireSection {
    /// The role in the active organization, as in org:admin.
    pub(crate) role: Option<String>,
    /// A permission in the active organization, as in org:invoices:read.
    pub(crate) permission: Option<String>,
    /// The active organization, by ID or slug.
    pub(crate) organization: Option<String>,
    /// A feature of the user's or the organization's plan; u: or o: before it names one of the two.
    pub(crate) feature: Option<String>,
    /// The user's or the organization's plan; u: or o: before it names one of the two.
    pub(crate) plan: Option<String>,
    /// How long ago a factor may have been verified at most.
    pub(crate) reverified_within: Option<Period>,
    /// "deny": nobody may impersonate the user.
    pub(crate) impersonation: Option<Impersonation>,
    /// More that must be met, every one.
    pub(crate) all: Option<Vec<Self>>,
    /// Alternatives, of which one must be met.
    pub(crate) any: Option<Vec<Self>>,
}

/// Whether somebody may impersonate the user.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Impersonation {
    /// Nobody may.
    Deny,
}

impl RequireSection {
    /// Returns what must be met, after noting what is wrong with it.
    pub(crate) fn check(&self, key: &str, findings: &mut Findings) -> Vec<Requirement> {
        if *self == Self::default() {
            let fix = "name a role, permission, organization, feature, plan, reverified_within, \
                       impersonation, all or any";
            findings.problem(key, "requires nothing", fix);
        }
        self.check_names(key, findings);
        let mut requirements = self.own();
        if let Some(age) = self.reverified_within {
            if age < Period::secs(120) {
                let what = format!("{age} is hardly ever met: Clerk counts whole minutes");
                let key = format!("{key}.reverified_within");
                findings.problem(&key, what, "use at least 2m");
            }
            requirements.push(Requirement::ReverifiedWithin(age.0));
        }
        let list = |name: &str, list: &[Self], findings: &mut Findings| {
            let key = format!("{key}.{name}");
            if list.is_empty() {
                findings.problem(&key, "is empty", "name requirements, or remove the key");
            }
            let each = list
                .iter()
                .enumerate()
                .map(|(index, section)| one(section.check(&format!("{key}[{index}]"), findings)));
            each.collect::<Vec<_>>()
        };
        if let Some(all) = &self.all {
            requirements.extend(list("all", all, findings));
        }
        if let Some(any) = &self.any {
            requirements.push(Requirement::Any(list("any", any, findings)));
        }
        requirements
    }

    /// Returns what is named here by a name alone.
    fn own(&self) -> Vec<Requirement> {
        let named = [
            self.organization.clone().map(Requirement::Organization),
            self.permission.clone().map(Requirement::Permission),
            self.role.clone().map(Requirement::Role),
            self.feature.clone().map(Requirement::Feature),
            self.plan.clone().map(Requirement::Plan),
            self.impersonation.map(|_| Requirement::NotImpersonated),
        ];
        named.into_iter().flatten().collect()
    }

    fn check_names(&self, key: &str, findings: &mut Findings) {
        for (name, value) in [
            ("role", &self.role),
            ("permission", &self.permission),
            ("organization", &self.organization),
            ("feature", &self.feature),
            ("plan", &self.plan),
        ] {
            let Some(value) = value else { continue };
            let key = format!("{key}.{name}");
            if value.trim().is_empty() {
                findings.problem(&key, "is empty", "name one, or remove the key");
            }
            let prefix = value.split_once(':').map(|(prefix, _)| prefix);
            match (name, prefix) {
                ("role" | "permission", Some("org")) => {}
                ("role" | "permission", _) if !value.trim().is_empty() => findings.warning(
                    &key,
                    format!("{value:?} does not begin with org:, as Clerk's do"),
                    "write it as in org:admin or org:invoices:read",
                ),
                ("feature" | "plan", Some(scope)) if !matches!(scope, "o" | "u") => {
                    let what = format!("{value:?} has a scope that is none");
                    let fix =
                        "write u: for the user's, o: for the organization's, or the name alone";
                    findings.problem(&key, what, fix);
                }
                _ => {}
            }
        }
    }
}

/// Joins requirements that one table names.
fn one(mut requirements: Vec<Requirement>) -> Requirement {
    match requirements.len() {
        1 => requirements.remove(0),
        _ => Requirement::All(requirements),
    }
}
