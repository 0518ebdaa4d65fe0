//! How a layer is set up: what cannot work is refused by `build`.

use std::{fmt, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{Extensions, HeaderName, Response};
use ipnet::IpNet;

use super::{OnRejection, PeerOf, Refused, SessionLayer, Settings};
#[cfg(feature = "client")]
use crate::{
    clerk::id::TemplateName,
    handle::CacheSettings,
    mutate::template_token::{OrganizationRule, TokenRequest},
    rule::TokenOutput,
};
use crate::{
    credential::{Source, Sources},
    handle::{Clerk, SetupError, VerifierOptions},
    policy::Requirement,
    reject::Rejection,
    rule::{Auth, Rule},
    verify::VerifyMode,
};

/// Where a layer looks for a credential.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CredentialSource {
    /// A session token in `Authorization: Bearer`.
    Bearer,
    /// A session token in Clerk's session cookie, the instance's suffixed name first.
    Cookie,
    /// A bare session ID in this header; see [`SessionLayerBuilder::session_id_header`].
    SessionIdHeader(String),
    /// A bare session ID in this query parameter; see [`SessionLayerBuilder::session_id_header`].
    SessionIdQuery(String),
}

/// Sets a [`SessionLayer`] up.
pub struct SessionLayerBuilder {
    clerk: Clerk,
    auth: Auth,
    sources: Vec<CredentialSource>,
    session_id_callers: Vec<String>,
    options: VerifierOptions,
    requirements: Vec<Requirement>,
    peer: Option<Box<PeerOf>>,
    on_rejection: Option<Box<OnRejection>>,
    #[cfg(feature = "client")]
    cache: Option<CacheSettings>,
    #[cfg(feature = "client")]
    template: Option<String>,
    #[cfg(feature = "client")]
    token_organization: OrganizationRule,
    #[cfg(feature = "client")]
    forward_token: bool,
}

impl SessionLayerBuilder {
    pub(super) fn new(clerk: Clerk) -> Self {
        Self {
            clerk,
            auth: Auth::Required,
            sources: vec![CredentialSource::Bearer, CredentialSource::Cookie],
            session_id_callers: Vec::new(),
            options: VerifierOptions::default(),
            requirements: Vec::new(),
            peer: None,
            on_rejection: None,
            #[cfg(feature = "client")]
            cache: None,
            #[cfg(feature = "client")]
            template: None,
            #[cfg(feature = "client")]
            token_organization: OrganizationRule::Same,
            #[cfg(feature = "client")]
            forward_token: false,
        }
    }

    /// Passes requests without a credential as signed out.
    ///
    /// A bad credential is refused all the same, with one exception: a cookie past its time (or not
    /// yet in it) counts as signed out, because browsers hold such ones all the time.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.auth = Auth::Optional;
        self
    }

    /// Refuses requests without a good session: the default.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.auth = Auth::Required;
        self
    }

    /// Looks for credentials in these places, in this order: the first that holds anything decides.
    #[must_use]
    pub fn sources(mut self, sources: impl IntoIterator<Item = CredentialSource>) -> Self {
        self.sources = sources.into_iter().collect();
        self
    }

    /// Also looks for a bare session ID (`sess_…`) in this header, after the other sources.
    ///
    /// An ID is an identifier, not a secret: it stands in every token, webhook and log. So this
    /// works only with the Sessions API, only for peers in
    /// [`session_id_callers`](Self::session_id_callers) (one's own trusted callers), and the session
    /// has no claims.
    #[must_use]
    pub fn session_id_header(mut self, name: impl Into<String>) -> Self {
        self.sources
            .push(CredentialSource::SessionIdHeader(name.into()));
        self
    }

    /// Accepts bare session IDs from these addresses, as CIDRs; needs [`peer`](Self::peer).
    #[must_use]
    pub fn session_id_callers<I>(mut self, cidrs: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.session_id_callers = cidrs.into_iter().map(Into::into).collect();
        self
    }

    /// Says who sent a request, from its extensions: in axum, `ConnectInfo<SocketAddr>`.
    ///
    /// Without it nobody is a trusted caller.
    #[must_use]
    pub fn peer<F>(mut self, peer: F) -> Self
    where
        F: Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    {
        self.peer = Some(Box::new(peer));
        self
    }

    /// Says how sessions are verified, in place of the handle's mode.
    #[must_use]
    pub fn verify(mut self, mode: VerifyMode) -> Self {
        self.options.mode = Some(mode);
        self
    }

    /// Accepts tokens minted for these origins only, in place of the handle's.
    #[must_use]
    pub fn authorized_parties<I>(mut self, parties: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.options.authorized_parties = Some(parties.into_iter().map(Into::into).collect());
        self
    }

    /// Requires this of the session, beside what is required already: else 403.
    ///
    /// On an optional layer it is required of those who are signed in.
    #[must_use]
    pub fn require(mut self, requirement: Requirement) -> Self {
        self.requirements.push(requirement);
        self
    }

    /// Answers refusals with the hook's response in place of problem+json.
    ///
    /// The [`Rejection`] is put into the response's extensions in both cases.
    #[must_use]
    pub fn on_rejection<F>(mut self, hook: F) -> Self
    where
        F: Fn(&Rejection, &Refused<'_>) -> Response<Bytes> + Send + Sync + 'static,
    {
        self.on_rejection = Some(Box::new(hook));
        self
    }

    /// Makes the layer.
    ///
    /// # Errors
    ///
    /// [`SetupError`] for what cannot work: a source without a name, bare session IDs without
    /// callers, without a peer or with networkless verification, an empty list of authorized parties, a template
    /// that cannot be one, anything that needs a secret key where there is none.
    pub fn build(self) -> Result<SessionLayer, SetupError> {
        let clerk = self.clerk();
        let sources = self.credential_sources(&clerk)?;
        let session_id_callers = self.callers()?;
        let verifier = clerk.verifier(self.options.clone())?;
        if sources.iter().any(Source::is_session_id) {
            if session_id_callers.is_empty() {
                return Err(SetupError::NoSessionIdCallers);
            }
            if verifier.is_networkless() {
                return Err(SetupError::NetworklessSessionId);
            }
            if self.peer.is_none() {
                return Err(SetupError::NoPeer);
            }
        }
        let rule = Rule {
            auth: self.auth,
            sources,
            session_id_callers,
            verifier,
            #[cfg(feature = "client")]
            token: self.token_output(&clerk)?,
            requirements: self.requirements,
        };
        Ok(SessionLayer(Arc::new(Settings {
            rule,
            clock: clerk.clock().clone(),
            peer: self.peer,
            on_rejection: self.on_rejection,
            #[cfg(feature = "client")]
            forward_token: self.forward_token,
        })))
    }

    /// Makes a layer that nothing was set of but [`Auth`]: all of it was judged with the handle.
    pub(super) fn build_plain(self) -> SessionLayer {
        let rule = Rule {
            auth: self.auth,
            sources: Sources::usual(self.clerk.instance().cookie_suffix()),
            session_id_callers: Vec::new(),
            verifier: self.clerk.own_verifier(),
            requirements: Vec::new(),
            #[cfg(feature = "client")]
            token: None,
        };
        SessionLayer(Arc::new(Settings {
            rule,
            clock: self.clerk.clock().clone(),
            peer: None,
            on_rejection: None,
            #[cfg(feature = "client")]
            forward_token: false,
        }))
    }

    #[cfg(feature = "client")]
    fn clerk(&self) -> Clerk {
        match &self.cache {
            Some(settings) => self.clerk.with_caches(settings),
            None => self.clerk.clone(),
        }
    }

    #[cfg(not(feature = "client"))]
    fn clerk(&self) -> Clerk {
        self.clerk.clone()
    }

    fn credential_sources(&self, clerk: &Clerk) -> Result<Sources, SetupError> {
        let order: Result<Vec<_>, _> = self.sources.iter().map(source).collect();
        Ok(Sources::new(order?, clerk.instance().cookie_suffix())?)
    }

    fn callers(&self) -> Result<Vec<IpNet>, SetupError> {
        let parse = |text: &String| {
            text.parse()
                .map_err(|_| SetupError::SessionIdCaller(text.clone()))
        };
        self.session_id_callers.iter().map(parse).collect()
    }
}

#[cfg(feature = "client")]
impl SessionLayerBuilder {
    /// Gives the layer caches of its own, of these sizes and times.
    #[must_use]
    pub fn cache(mut self, settings: CacheSettings) -> Self {
        self.cache = Some(settings);
        self
    }

    /// Mints a token from this JWT template and puts it into the request's extensions as a
    /// [`TemplateToken`](crate::TemplateToken).
    ///
    /// It is minted once per session, organization and template, and refreshed ahead of its end.
    /// Clerk mints for the session's active organization: where that is not the presented token's,
    /// the request is refused with 403 `organization-mismatch`.
    #[must_use]
    pub fn template_token(mut self, template: impl Into<String>) -> Self {
        self.template = Some(template.into());
        self
    }

    /// Also sets `Authorization: Bearer` to the template token, in place of whatever was there.
    #[must_use]
    pub fn forward_template_token(mut self) -> Self {
        self.forward_token = true;
        self
    }

    /// Mints the template token though the session's active organization be another than the
    /// presented token's.
    #[must_use]
    pub fn any_organization(mut self) -> Self {
        self.token_organization = OrganizationRule::Any;
        self
    }

    fn token_output(&self, clerk: &Clerk) -> Result<Option<TokenOutput>, SetupError> {
        let Some(template) = &self.template else {
            return match self.forward_token {
                true => Err(SetupError::NoTemplate),
                false => Ok(None),
            };
        };
        TemplateName::parse(template).map_err(|_| SetupError::Template(template.clone()))?;
        Ok(Some(TokenOutput {
            request: Arc::new(TokenRequest {
                template: template.clone(),
                lifetime: None,
                max_age: None,
                organization: self.token_organization,
            }),
            minter: clerk.template_tokens()?,
        }))
    }
}

fn source(source: &CredentialSource) -> Result<Source, SetupError> {
    Ok(match source {
        CredentialSource::Bearer => Source::Bearer,
        CredentialSource::Cookie => Source::Cookie,
        CredentialSource::SessionIdHeader(name) => {
            let header = HeaderName::try_from(name.as_str());
            Source::SessionIdHeader(header.map_err(|_| SetupError::HeaderName(name.clone()))?)
        }
        CredentialSource::SessionIdQuery(name) => Source::SessionIdQuery(name.clone()),
    })
}

impl fmt::Debug for SessionLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayerBuilder")
            .field("clerk", &self.clerk)
            .field("auth", &self.auth)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}
