//! A session token's claims, v1 and v2, each with its type or its absence.
//!
//! <https://clerk.com/docs/guides/sessions/session-tokens>

use serde::{Deserialize, Deserializer, de::Error};

use crate::{
    session::{Actor, FactorAges, Organization},
    time::Timestamp,
    verify::{json::Member, permissions},
};

/// 9999-12-31T23:59:59Z and a second, in seconds; what lies beyond is not a date.
const YEAR_10000: f64 = 253_402_300_800.0;

/// The claims that are read; what claims nobody judges is left to [`crate::Session::claims`].
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    pub(super) iss: Member<String>,
    pub(super) sub: Member<String>,
    pub(super) sid: Member<String>,
    pub(super) aud: Member<Audience>,
    pub(super) azp: Member<String>,
    pub(super) exp: Member<NumericDate>,
    pub(super) nbf: Member<NumericDate>,
    pub(super) iat: Member<NumericDate>,
    pub(super) sts: Member<Option<String>>,
    pub(super) act: Member<Option<Actor>>,
    fva: Member<(i64, i64)>,
    pla: Member<String>,
    fea: Member<String>,
    v: Member<u64>,
    o: Member<Option<OrganizationV2>>,
    org_id: Member<Option<String>>,
    org_slug: Member<String>,
    org_role: Member<String>,
    org_permissions: Member<Vec<String>>,
}

/// Seconds since the epoch (RFC 7519 §2), rounded down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NumericDate(pub(super) Timestamp);

/// `aud`: one name, or several.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Default, Deserialize)]
struct OrganizationV2 {
    id: String,
    #[serde(default)]
    slg: Member<String>,
    #[serde(default)]
    rol: Member<String>,
    #[serde(default)]
    per: Member<String>,
    #[serde(default)]
    fpm: Member<String>,
}

/// The parts of a session that no check reads.
pub(super) struct Details {
    pub(super) organization: Option<Organization>,
    pub(super) factor_ages: Option<FactorAges>,
    pub(super) plan: Option<String>,
    pub(super) features: Box<[String]>,
}

impl Claims {
    /// Takes what is left after the checks.
    ///
    /// A claim that only grants (roles, permissions, features, plan, factor ages) grants nothing
    /// where its type is wrong.
    ///
    /// # Errors
    ///
    /// The name of a claim that says whose session it is and cannot be read.
    pub(super) fn into_details(self) -> Result<Details, &'static str> {
        let features = self.fea.ok().unwrap_or_default();
        let organization = if self.v == Member::Present(2) {
            let organization = self.o.optional("o")?.flatten();
            organization.map(|v2| v2.decode(&features)).transpose()?
        } else {
            let id = self.org_id.optional("org_id")?.flatten();
            id.filter(|id| !id.is_empty()).map(|id| Organization {
                id,
                slug: self.org_slug.ok().filter(|slug| !slug.is_empty()),
                role: self.org_role.ok().and_then(|role| prefixed(&role)),
                permissions: self.org_permissions.ok().unwrap_or_default(),
            })
        };
        Ok(Details {
            organization,
            factor_ages: self.fva.ok().and_then(factor_ages),
            plan: self.pla.ok(),
            features: list(&features),
        })
    }
}

impl Audience {
    /// Tells whether one of `wanted` is named.
    pub(super) fn names_any(&self, wanted: &[String]) -> bool {
        match self {
            Self::One(name) => wanted.contains(name),
            Self::Many(names) => names.iter().any(|name| wanted.contains(name)),
        }
    }
}

impl OrganizationV2 {
    fn decode(self, features: &str) -> Result<Organization, &'static str> {
        if self.id.is_empty() {
            return Err("o");
        }
        let names = self.per.ok().unwrap_or_default();
        let masks = self.fpm.ok().unwrap_or_default();
        Ok(Organization {
            id: self.id,
            slug: self.slg.ok().filter(|slug| !slug.is_empty()),
            role: self.rol.ok().and_then(|role| prefixed(&role)),
            permissions: permissions::decode(features, &names, &masks),
        })
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?.floor();
        if !seconds.is_finite() || seconds.abs() >= YEAR_10000 {
            return Err(D::Error::custom("not a date"));
        }
        // In range by the check above, so that nothing is cut off.
        Ok(Self(Timestamp::from_secs(seconds as i64)))
    }
}

/// v2 leaves the prefix of a role out, and so did the oldest tokens.
fn prefixed(role: &str) -> Option<String> {
    if role.is_empty() {
        None
    } else if role.starts_with("org:") {
        Some(role.to_owned())
    } else {
        Some(["org:", role].concat())
    }
}

fn factor_ages((first, second): (i64, i64)) -> Option<FactorAges> {
    let age = |minutes: i64| match minutes {
        -1 => Some(None),
        _ => u32::try_from(minutes).ok().map(Some),
    };
    Some(FactorAges {
        first: age(first)?,
        second: age(second)?,
    })
}

fn list(features: &str) -> Box<[String]> {
    features
        .split(',')
        .map(str::trim)
        .filter(|feature| !feature.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(json: &str) -> Result<Details, &'static str> {
        serde_json::from_str::<Claims>(json).unwrap().into_details()
    }

    fn organization(json: &str) -> Option<Organization> {
        details(json).unwrap().organization
    }

    #[test]
    fn v1_and_v2_give_the_same_organization() {
        let v1 = organization(
            r#"{"org_id":"org_1","org_slug":"acme","org_role":"org:admin","org_permissions":["org:teams:read"]}"#,
        );
        let v2 = organization(
            r#"{"v":2,"fea":"o:teams","o":{"id":"org_1","slg":"acme","rol":"admin","per":"read","fpm":"1"}}"#,
        );
        assert_eq!(v1, v2);
        assert_eq!(v1.unwrap().role.as_deref(), Some("org:admin"));
    }

    #[test]
    fn no_organization_is_invented() {
        for json in [
            r#"{"v":2}"#,
            r#"{"v":2,"o":null}"#,
            r#"{"v":2,"org_id":"org_1","org_role":"org:admin"}"#,
            r#"{"o":{"id":"org_1"}}"#,
            r#"{"v":1,"o":{"id":"org_1"}}"#,
            r#"{"org_role":"org:admin"}"#,
            r#"{"org_id":null}"#,
            r#"{"org_id":""}"#,
        ] {
            assert_eq!(organization(json), None, "{json}");
        }
    }

    #[test]
    fn an_unreadable_organization_is_an_error() {
        for (json, claim) in [
            (r#"{"v":2,"o":{}}"#, "o"),
            (r#"{"v":2,"o":{"id":""}}"#, "o"),
            (r#"{"v":2,"o":"org_1"}"#, "o"),
            (r#"{"org_id":7}"#, "org_id"),
        ] {
            assert_eq!(details(json).err(), Some(claim), "{json}");
        }
    }

    #[test]
    fn a_grant_of_the_wrong_type_grants_nothing() {
        let v2 = organization(r#"{"v":2,"fea":7,"o":{"id":"org_1","rol":1,"per":["a"],"fpm":3}}"#)
            .unwrap();
        assert_eq!((v2.role, v2.permissions), (None, Vec::new()));
        let v1 = organization(r#"{"org_id":"org_1","org_permissions":"all"}"#).unwrap();
        assert!(v1.permissions.is_empty());
        let rest = details(r#"{"pla":1,"fva":"0,0"}"#).unwrap();
        assert!(rest.plan.is_none() && rest.factor_ages.is_none());
    }

    #[test]
    fn factor_ages_are_minutes_or_never() {
        let ages = |first, second| Some(FactorAges { first, second });
        for (fva, expected) in [
            ("[0,-1]", ages(Some(0), None)),
            ("[5,7]", ages(Some(5), Some(7))),
            ("[-1,-1]", ages(None, None)),
            ("[-2,0]", None),
            ("[1]", None),
            ("[1,2,3]", None),
            ("[1.5,2]", None),
            ("null", None),
        ] {
            let got = details(&format!("{{\"fva\":{fva}}}")).unwrap().factor_ages;
            assert_eq!(got, expected, "{fva}");
        }
    }

    #[test]
    fn a_date_is_a_bounded_number() {
        for (json, expected) in [
            ("1700000000", Some(1_700_000_000)),
            ("1700000000.9", Some(1_700_000_000)),
            ("1.7e9", Some(1_700_000_000)),
            ("-0.5", Some(-1)),
            ("0", Some(0)),
            ("253402300799", Some(253_402_300_799)),
            ("253402300800", None),
            ("8.64e12", None),
            ("1e300", None),
            ("-1e300", None),
            ("99999999999999999999", None),
            ("\"1700000000\"", None),
            ("null", None),
            ("[1]", None),
            ("true", None),
        ] {
            let date = serde_json::from_str::<NumericDate>(json).ok();
            assert_eq!(date.map(|date| date.0.as_secs()), expected, "{json}");
        }
    }
}
