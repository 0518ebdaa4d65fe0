//! The role that a caller wishes to have in Hasura: it goes on only where the minted token allows it.

use http::{HeaderName, HeaderValue, request::Parts};

use super::template_token::TemplateToken;

/// The one header of Hasura's that a caller may send.
pub(crate) const X_HASURA_ROLE: HeaderName = HeaderName::from_static("x-hasura-role");

/// The wish, kept in the request's extensions while its headers are stripped.
#[derive(Clone, Debug)]
pub(crate) enum RoleWish {
    One(HeaderValue),
    Several,
}

/// Why a wish is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum RoleWishError {
    /// It is not among the roles that the caller may have.
    #[error("the caller may not have the role in x-hasura-role")]
    NotAllowed,
    /// There is more than one.
    #[error("x-hasura-role is there more than once")]
    Repeated,
}

impl RoleWish {
    /// Keeps the wish aside, where there is one; in another spelling it is none.
    pub(crate) fn keep(parts: &mut Parts) {
        // Seldom there, which is seen sooner than looked up.
        if !parts.headers.keys().any(|name| *name == X_HASURA_ROLE) {
            return;
        }
        let mut values = parts.headers.get_all(X_HASURA_ROLE).iter();
        let wish = match (values.next(), values.next()) {
            (None, _) => return,
            (Some(role), None) => Self::One(role.clone()),
            (Some(_), Some(_)) => Self::Several,
        };
        parts.extensions.insert(wish);
    }

    /// Returns the role where the token allows it.
    pub(crate) fn grant(self, token: Option<&TemplateToken>) -> Result<HeaderValue, RoleWishError> {
        let Self::One(role) = self else {
            return Err(RoleWishError::Repeated);
        };
        let allowed = token.is_some_and(|token| token.hasura_roles().allow(role.as_bytes()));
        allowed.then_some(role).ok_or(RoleWishError::NotAllowed)
    }
}

impl RoleWishError {
    /// Returns the reason slug.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::NotAllowed => "hasura-role-not-allowed",
            Self::Repeated => "hasura-role-repeated",
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request};

    use super::*;

    fn kept(fields: &[(&'static str, &'static str)]) -> Option<RoleWish> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.headers = headers;
        RoleWish::keep(&mut parts);
        parts.extensions.remove()
    }

    #[test]
    fn one_role_in_hasuras_own_spelling_is_a_wish() {
        let one = kept(&[("x-hasura-role", "editor"), ("accept", "a")]);
        assert!(matches!(one, Some(RoleWish::One(role)) if role == "editor"));
        let several = kept(&[("x-hasura-role", "editor"), ("x-hasura-role", "editor")]);
        assert!(matches!(several, Some(RoleWish::Several)));
        for fields in [&[("accept", "a")][..], &[("x_hasura_role", "editor")], &[]] {
            assert!(kept(fields).is_none(), "{fields:?}");
        }
    }

    #[test]
    fn without_a_token_no_wish_is_granted() {
        for (wish, error) in [
            (RoleWish::Several, RoleWishError::Repeated),
            (
                RoleWish::One(HeaderValue::from_static("a")),
                RoleWishError::NotAllowed,
            ),
        ] {
            assert_eq!(wish.grant(None), Err(error));
        }
        assert_eq!(RoleWishError::NotAllowed.slug(), "hasura-role-not-allowed");
        assert_eq!(RoleWishError::Repeated.slug(), "hasura-role-repeated");
    }
}
