//! `decision.hasura.roles`: a list, or where the roles come from.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use super::error::Findings;
use crate::decision::hasura::{RoleNames, RoleSource};

/// The roles beside the default, as they are written.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(untagged)]
pub(crate) enum RolesEntry {
    /// Every session may have these.
    Listed(Vec<String>),
    /// They come from the session.
    From(RolesFromSection),
}

/// Where roles come from, as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolesFromSection {
    /// A custom claim with one role or a list of them; a dot leads into an object, as in metadata.hasura_roles.
    #[serde(default)]
    pub(crate) claim: Option<String>,
    /// Or a field of the session.
    #[serde(default)]
    pub(crate) field: Option<RoleField>,
    /// Hasura's names for them, as in { "org:admin" = "manager" }; what is not named is no role. Unless set, the names are the same.
    #[serde(default)]
    pub(crate) names: BTreeMap<String, String>,
}

/// A field of the session that holds a role.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleField {
    /// The member's role in the active organization.
    OrgRole,
}

impl RolesEntry {
    /// Returns where roles come from, or `None` after noting why that is not clear.
    pub(super) fn check(&self, key: &str, findings: &mut Findings) -> Option<RoleSource> {
        let from = match self {
            Self::Listed(roles) => {
                check_names(key, roles, findings);
                return Some(RoleSource::Listed(roles.clone()));
            }
            Self::From(from) => from,
        };
        check_names(&format!("{key}.names"), from.names.values(), findings);
        let names = RoleNames(from.names.clone());
        match (&from.claim, from.field) {
            (Some(claim), None) => {
                if claim.split('.').any(str::is_empty) {
                    let what = format!("{claim:?} has an empty name");
                    let fix = "write the claim's name, as in metadata.hasura_roles";
                    findings.problem(&format!("{key}.claim"), what, fix);
                }
                let path = claim.split('.').map(str::to_owned).collect();
                Some(RoleSource::Claim(path, names))
            }
            (None, Some(RoleField::OrgRole)) => Some(RoleSource::OrgRole(names)),
            _ => {
                let fix = "write { claim = \"…\" }, { field = \"org_role\" }, or a list of roles";
                findings.problem(key, "needs either a claim or a field", fix);
                None
            }
        }
    }
}

/// Notes a role that everybody would have or that no header can ask for.
pub(super) fn check_names<'a>(
    key: &str,
    roles: impl IntoIterator<Item = &'a String>,
    findings: &mut Findings,
) {
    for role in roles {
        if role.is_empty() || role.trim() != role {
            let what = format!("{role:?} is not a role's name");
            findings.problem(key, what, "write it as Hasura has it");
        }
        if role == "admin" {
            let what = "gives Hasura's \"admin\", for whom no permission counts";
            findings.warning(key, what, "name a role of your own");
        }
    }
}

// By hand, because a derived one could not say what is wrong with either form.
impl<'de> Deserialize<'de> for RolesEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrSource;

        impl<'de> Visitor<'de> for ListOrSource {
            type Value = RolesEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of roles, { claim = \"…\" } or { field = \"org_role\" }")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<RolesEntry, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(RolesEntry::Listed)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RolesEntry, A::Error> {
                let from = RolesFromSection::deserialize(MapAccessDeserializer::new(map));
                from.map(RolesEntry::From)
            }
        }

        deserializer.deserialize_any(ListOrSource)
    }
}
