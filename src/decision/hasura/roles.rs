//! Which role a session has in Hasura: the default, or a wished one that it may have.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::{
    mutate::{
        claim_header::find,
        role_wish::{RoleWishError, X_HASURA_ROLE},
    },
    session::Session,
};

/// Who may have which role.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    /// What every session may have, and has without a wish.
    pub(crate) default: String,
    /// What it may have beside.
    pub(crate) more: RoleSource,
}

/// Where the roles beside the default come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum RoleSource {
    /// Every session may have these.
    Listed(Vec<String>),
    /// Those in a custom claim, one or a list, by the names on the way to it.
    Claim(Vec<String>, RoleNames),
    /// The member's role in the active organization.
    OrgRole(RoleNames),
}

/// Hasura's names for roles; empty: they are the same.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct RoleNames(pub(crate) BTreeMap<String, String>);

/// The role of a caller without a session.
pub(super) const ANONYMOUS: &str = "anonymous";

impl Roles {
    /// Returns the caller's role: the wished one where it may have it.
    ///
    /// # Errors
    ///
    /// [`RoleWishError`] for a wish that is not allowed, or for several.
    pub(super) fn choose(
        &self,
        headers: &HeaderMap,
        session: Option<&Session>,
    ) -> Result<String, RoleWishError> {
        let wish = wish(headers)?;
        let default = match session {
            Some(_) => self.default.as_str(),
            None => ANONYMOUS,
        };
        let Some(wish) = wish.filter(|wish| *wish != default.as_bytes()) else {
            return Ok(default.to_owned());
        };
        let roles = session.map(|session| self.more.of(session));
        let allowed = roles.unwrap_or_default().into_iter();
        let mut granted = allowed.filter(|role| role.as_bytes() == wish);
        granted.next().ok_or(RoleWishError::NotAllowed)
    }
}

fn wish(headers: &HeaderMap) -> Result<Option<&[u8]>, RoleWishError> {
    let mut values = headers.get_all(X_HASURA_ROLE).iter();
    let wish = values.next().map(|value| value.as_bytes());
    match values.next() {
        None => Ok(wish),
        Some(_) => Err(RoleWishError::Repeated),
    }
}

impl RoleSource {
    fn of(&self, session: &Session) -> Vec<String> {
        match self {
            Self::Listed(roles) => roles.clone(),
            Self::OrgRole(names) => {
                let role = session.organization().and_then(|org| org.role.as_deref());
                names.all(role.as_slice())
            }
            Self::Claim(path, names) => {
                let claims: Map<String, Value> = session.claims().unwrap_or_default();
                names.all(&texts(find(path, &claims)))
            }
        }
    }
}

/// Reads one text or a list of texts; a list with anything else in it is none.
fn texts(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => {
            let texts: Option<Vec<_>> = many.iter().map(Value::as_str).collect();
            texts.unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

impl RoleNames {
    /// Returns Hasura's names; where there are any, a role without one gives nothing.
    fn all(&self, roles: &[&str]) -> Vec<String> {
        let name = |role: &&str| match self.0.is_empty() {
            true => Some((*role).to_owned()),
            false => self.0.get(*role).cloned(),
        };
        roles.iter().filter_map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::session::{Organization, SessionData};

    fn session(claims: &Value) -> Session {
        Session::new(SessionData {
            organization: Some(Organization {
                id: "org_1".to_owned(),
                slug: None,
                role: Some("org:admin".to_owned()),
                permissions: Vec::new(),
            }),
            claims: Some(claims.to_string().into()),
            ..SessionData::plain()
        })
    }

    fn chosen(more: RoleSource, session: Option<&Session>, wishes: &[&'static str]) -> String {
        let wishes = wishes.iter().map(|wish| HeaderValue::from_static(wish));
        let headers: HeaderMap = wishes.map(|wish| (X_HASURA_ROLE, wish)).collect();
        let roles = Roles {
            default: "user".to_owned(),
            more,
        };
        let role = roles.choose(&headers, session);
        role.unwrap_or_else(|error| error.slug().to_owned())
    }

    fn names(names: &[(&str, &str)]) -> RoleNames {
        let owned = |&(from, to): &(&str, &str)| (from.to_owned(), to.to_owned());
        RoleNames(names.iter().map(owned).collect())
    }

    #[test]
    fn a_wish_is_granted_only_from_where_roles_come_from() {
        const NO: &str = "hasura-role-not-allowed";
        let claim = || RoleSource::Claim(vec!["m".to_owned(), "r".to_owned()], names(&[]));
        let listed = || RoleSource::Listed(vec!["editor".to_owned()]);
        let org = |pairs: &[(&str, &str)]| RoleSource::OrgRole(names(pairs));
        let many = json!({"m": {"r": ["editor", "viewer"]}});
        for (more, claims, wish, role) in [
            (listed(), json!({}), "user", "user"),
            (listed(), json!({}), "editor", "editor"),
            (listed(), json!({}), "Editor", NO),
            (listed(), json!({}), "admin", NO),
            (listed(), json!({}), "editor,user", NO),
            (listed(), json!({}), "", NO),
            (listed(), json!({}), "anonymous", NO),
            (claim(), many.clone(), "viewer", "viewer"),
            (claim(), many.clone(), "user", "user"),
            (claim(), many, "admin", NO),
            (claim(), json!({"m": {"r": "editor"}}), "editor", "editor"),
            (claim(), json!({"m": {"r": ["editor", 7]}}), "editor", NO),
            (claim(), json!({"m": {"r": {"editor": 1}}}), "editor", NO),
            (claim(), json!({"m": {"r": null}}), "editor", NO),
            (claim(), json!({"r": ["editor"]}), "editor", NO),
            (org(&[]), json!({}), "org:admin", "org:admin"),
            (org(&[]), json!({}), "org:owner", NO),
            (
                org(&[("org:admin", "manager")]),
                json!({}),
                "manager",
                "manager",
            ),
            (org(&[("org:admin", "manager")]), json!({}), "org:admin", NO),
            (org(&[("org:owner", "manager")]), json!({}), "manager", NO),
        ] {
            let shown = format!("{more:?} {claims} {wish}");
            let session = session(&claims);
            let wish = wish.to_owned().leak() as &'static str;
            assert_eq!(chosen(more, Some(&session), &[wish]), role, "{shown}");
        }
    }

    #[test]
    fn without_a_wish_it_is_the_default_and_without_a_session_anonymous() {
        let listed = || RoleSource::Listed(vec!["editor".to_owned()]);
        let session = session(&json!({}));
        assert_eq!(chosen(listed(), Some(&session), &[]), "user");
        assert_eq!(chosen(listed(), None, &[]), "anonymous");
        assert_eq!(chosen(listed(), None, &["anonymous"]), "anonymous");
        for wish in ["user", "editor", "admin"] {
            assert_eq!(chosen(listed(), None, &[wish]), "hasura-role-not-allowed");
        }
    }

    #[test]
    fn several_wishes_are_none() {
        let listed = RoleSource::Listed(vec!["editor".to_owned()]);
        let session = session(&json!({}));
        let wishes = ["user", "user"];
        assert_eq!(
            chosen(listed, Some(&session), &wishes),
            "hasura-role-repeated"
        );
    }
}
