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
