//! What a template token is kept by: session, organization, role, actor and what was asked for.
//!
//! The instance is not among them, because a cache belongs to one instance's handle.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use equivalent::Equivalent;

use super::template_token::TokenRequest;
use crate::session::Session;

#[derive(Clone, Eq, PartialEq)]
pub(super) struct TokenKey {
    session_id: Box<str>,
    organization: Option<(Box<str>, Option<Box<str>>)>,
    actor: Option<Box<str>>,
    request: Arc<TokenRequest>,
}

pub(super) struct TokenQuery<'a> {
    pub(super) session: &'a Session,
    pub(super) request: &'a Arc<TokenRequest>,
}

impl TokenKey {
    pub(super) fn of(query: &TokenQuery<'_>) -> Self {
        let session = query.session;
        let organization = session.organization().map(|organization| {
            let role = organization.role.as_deref().map(Box::from);
            (Box::from(organization.id.as_str()), role)
        });
        Self {
            session_id: session.id().into(),
            organization,
            actor: session.actor().map(|actor| actor.sub.as_str().into()),
            request: Arc::clone(query.request),
        }
    }

    #[cfg(feature = "gateway")]
    pub(super) fn session_id(&self) -> &str {
        &self.session_id
    }

    #[cfg(feature = "gateway")]
    pub(super) fn organization_id(&self) -> Option<&str> {
        self.organization.as_ref().map(|(id, _)| &**id)
    }

    fn parts(&self) -> KeyParts<'_> {
        let organization = self.organization.as_ref();
        KeyParts {
            session_id: &self.session_id,
            organization: organization.map(|(id, role)| (id.as_ref(), role.as_deref())),
            actor: self.actor.as_deref(),
            request: &self.request,
        }
    }
}

#[derive(Eq, Hash, PartialEq)]
struct KeyParts<'a> {
    session_id: &'a str,
    organization: Option<(&'a str, Option<&'a str>)>,
    actor: Option<&'a str>,
    request: &'a TokenRequest,
}

impl TokenQuery<'_> {
    fn parts(&self) -> KeyParts<'_> {
        let organization = self.session.organization();
        KeyParts {
            session_id: self.session.id(),
            organization: organization
                .map(|organization| (organization.id.as_str(), organization.role.as_deref())),
            actor: self.session.actor().map(|actor| actor.sub.as_str()),
            request: self.request,
        }
    }
}

impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl Hash for TokenQuery<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl Equivalent<TokenKey> for TokenQuery<'_> {
    fn equivalent(&self, key: &TokenKey) -> bool {
        self.parts() == key.parts()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use foldhash::quality::RandomState;

    use super::*;
    use crate::{
        mutate::template_token::OrganizationRule,
        session::{Actor, Organization, SessionData},
    };

    fn request(template: &str) -> Arc<TokenRequest> {
        Arc::new(TokenRequest {
            template: template.to_owned(),
            lifetime: None,
            max_age: None,
            organization: OrganizationRule::Any,
        })
    }

    fn data(organization: Option<(&str, Option<&str>)>, actor: Option<&str>) -> SessionData {
        SessionData {
            organization: organization.map(|(id, role)| Organization {
                id: id.to_owned(),
                slug: None,
                role: role.map(str::to_owned),
                permissions: Vec::new(),
            }),
            actor: actor.map(|sub| {
                Box::new(Actor {
                    sub: sub.to_owned(),
                    iss: None,
                    sid: None,
                })
            }),
            ..SessionData::plain()
        }
    }

    #[test]
    fn a_token_is_kept_for_all_that_it_was_minted_from() {
        let plain = || data(Some(("org_1", Some("org:admin"))), Some("user_2"));
        let other_session = SessionData {
            id: "sess_2".into(),
            ..plain()
        };
        let variants = [
            (plain(), "a"),
            (plain(), "b"),
            (other_session, "a"),
            (data(Some(("org_1", None)), Some("user_2")), "a"),
            (
                data(Some(("org_2", Some("org:admin"))), Some("user_2")),
                "a",
            ),
            (data(None, Some("user_2")), "a"),
            (data(Some(("org_1", Some("org:admin"))), None), "a"),
        ];
        let variants = variants.map(|(data, template)| (Session::new(data), request(template)));
        let hasher = RandomState::default();
        for (at, (session, request)) in variants.iter().enumerate() {
            let query = TokenQuery { session, request };
            for (other, (session, request)) in variants.iter().enumerate() {
                let key = TokenKey::of(&TokenQuery { session, request });
                let same_hash = hasher.hash_one(&query) == hasher.hash_one(&key);
                let same = (query.equivalent(&key), same_hash);
                assert_eq!(same, (at == other, at == other), "{at} {other}");
            }
        }
    }

    #[test]
    #[cfg(feature = "gateway")]
    fn a_key_says_whose_token_it_is_of() {
        let request = request("a");
        for (organization, id) in [(Some(("org_1", None)), Some("org_1")), (None, None)] {
            let session = &Session::new(data(organization, None));
            let key = TokenKey::of(&TokenQuery {
                session,
                request: &request,
            });
            assert_eq!((key.session_id(), key.organization_id()), ("sess_1", id));
        }
    }
}
