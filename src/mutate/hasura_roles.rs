//! The roles that a minted token allows in Hasura, read as Hasura's JWT mode reads them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

const ALLOWED_ROLES: &str = "x-hasura-allowed-roles";

/// The allowed roles of one token; none where its claims are missing or Hasura could not read them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct HasuraRoles(Box<[String]>);

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "https://hasura.io/jwt/claims")]
    claims: Option<Value>,
}

impl HasuraRoles {
    /// Reads a JWT that Clerk minted for us.
    pub(super) fn of(jwt: &str) -> Self {
        Self(roles(jwt).unwrap_or_default().into())
    }

    /// Tells whether the role is among them, letter for letter.
    pub(crate) fn allow(&self, role: &[u8]) -> bool {
        self.0.iter().any(|allowed| allowed.as_bytes() == role)
    }
}

fn roles(jwt: &str) -> Option<Vec<String>> {
    let payload = jwt.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims = serde_json::from_slice::<Payload>(&payload).ok()?.claims?;
    let claims = match claims {
        // Hasura's `claims_format` "stringified_json".
        Value::String(text) => serde_json::from_str(&text).ok()?,
        claims => claims,
    };
    let mut named = claims
        .as_object()?
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(ALLOWED_ROLES));
    let (_, allowed) = named.next()?;
    // Of two spellings, nobody can say which one Hasura would take.
    if named.next().is_some() {
        return None;
    }
    let text = |role: &Value| role.as_str().map(str::to_owned);
    allowed.as_array()?.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn roles_of(claims: &Value) -> Vec<String> {
        let payload = json!({"sub": "user_1", "https://hasura.io/jwt/claims": claims});
        let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
        HasuraRoles::of(&format!("e30.{payload}.c2ln")).0.into_vec()
    }

    #[test]
    fn roles_are_read_as_hasura_reads_them() {
        let stringified = json!({"x-hasura-allowed-roles": ["user"]}).to_string();
        for (claims, roles) in [
            (
                json!({"x-hasura-allowed-roles": ["user", "editor"]}),
                vec!["user", "editor"],
            ),
            (json!({"X-Hasura-Allowed-Roles": ["user"]}), vec!["user"]),
            (json!(stringified), vec!["user"]),
            (json!({"x-hasura-allowed-roles": []}), vec![]),
            (json!({"x-hasura-allowed-roles": "user"}), vec![]),
            (json!({"x-hasura-allowed-roles": ["user", 7]}), vec![]),
            (json!({"x-hasura-allowed-roles": {"user": true}}), vec![]),
            (
                json!({"x-hasura-allowed-roles": ["user"], "X-HASURA-ALLOWED-ROLES": ["admin"]}),
                vec![],
            ),
            (
                json!({"x-hasura-role": "user", "x-hasura-default-role": "user"}),
                vec![],
            ),
            (json!("{"), vec![]),
            (json!(["x-hasura-allowed-roles"]), vec![]),
            (json!(null), vec![]),
        ] {
            assert_eq!(roles_of(&claims), roles, "{claims}");
        }
    }

    #[test]
    fn a_token_without_hasuras_claims_allows_no_role() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"x-hasura-allowed-roles":["user"]}"#);
        for jwt in [
            &format!("e30.{payload}.c2ln"),
            "e30",
            "e30.e30.c2ln",
            "a.!.b",
        ] {
            assert_eq!(HasuraRoles::of(jwt), HasuraRoles::default(), "{jwt}");
        }
    }

    #[test]
    fn a_role_is_compared_letter_for_letter() {
        let roles = HasuraRoles(Box::new(["user".to_owned()]));
        assert!(roles.allow(b"user"));
        for other in ["User", "use", "users", "user,admin", " user", ""] {
            assert!(!roles.allow(other.as_bytes()), "{other:?}");
        }
    }
}
