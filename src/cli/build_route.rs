//! From a route's checked settings to the route that runs.

use std::sync::Arc;

use ipnet::IpNet;

use crate::{
    config::{
        Auth, CredentialFate as CredentialSetting, CredentialSettings, RouteSettings, Settings,
        TokenSettings,
    },
    credential::{Source, Sources},
    handle::{Clerk, SetupError, VerifierOptions},
    limit::rate::{Buckets, RateLimits},
    mutate::{
        managed_headers::HeaderSet,
        strip_prefix::Prefix,
        template_token::{OrganizationRule, TokenRequest},
    },
    pipeline::{CredentialFate, Route},
    policy::{
        cross_site::SameSite,
        sign_in::{KnownPlaces, SignIn},
    },
    rule::{self, Rule, TokenOutput},
    server::Target,
};

/// What all routes are made with.
pub(super) struct RouteParts<'a> {
    clerk: &'a Clerk,
    session_id_callers: &'a [IpNet],
    known_places: Arc<KnownPlaces>,
}

impl<'a> RouteParts<'a> {
    pub(super) fn new(settings: &'a Settings, clerk: &'a Clerk) -> Self {
        Self {
            clerk,
            session_id_callers: &settings.session.session_id_callers,
            known_places: Arc::new(known_places(settings)),
        }
    }

    /// Makes a route that leads to `target`.
    ///
    /// # Errors
    ///
    /// What shows only now, such as a template token without a secret key.
    pub(super) fn route(
        &self,
        name: String,
        settings: &RouteSettings,
        target: Target,
    ) -> Result<Route<Target>, SetupError> {
        let suffix = self.clerk.instance().cookie_suffix();
        let order = settings.credentials.iter().map(source).collect();
        let sources = Sources::new(order, suffix)?;
        let sign_in = settings.sign_in_url.as_deref();
        Ok(Route {
            name,
            rule: self.rule(settings, &sources)?,
            headers: HeaderSet::new(settings.headers.clone()),
            token_header: settings.token.as_ref().map(|token| token.header.clone()),
            hasura: settings.hasura,
            credential: match settings.credential {
                CredentialSetting::Forward => CredentialFate::Forward,
                CredentialSetting::Remove => CredentialFate::Remove(sources),
            },
            strip_headers: settings.strip_headers.clone(),
            same_site: same_site(settings),
            cors: settings.cors.clone(),
            rates: RateLimits {
                per_address: settings.rate_limit.per_address.map(|r| Buckets::new(r.0)),
                per_session: settings.rate_limit.per_session.map(|r| Buckets::new(r.0)),
            },
            strip_prefix: settings.strip_prefix.as_deref().map(Prefix::new),
            sign_in: sign_in.map(|url| SignIn::new(url, Arc::clone(&self.known_places))),
            target,
        })
    }

    fn rule(
        &self,
        settings: &RouteSettings,
        sources: &Sources,
    ) -> Result<Option<Rule>, SetupError> {
        let auth = match settings.auth {
            Auth::None => return Ok(None),
            Auth::Optional => rule::Auth::Optional,
            Auth::Required => rule::Auth::Required,
        };
        let verifier = self.clerk.verifier(VerifierOptions {
            mode: Some(settings.verify),
            authorized_parties: settings.authorized_parties.clone(),
        })?;
        let token = match &settings.token {
            None => None,
            Some(token) => Some(TokenOutput {
                request: Arc::new(token_request(token)),
                minter: self.clerk.template_tokens()?,
            }),
        };
        Ok(Some(Rule {
            auth,
            sources: sources.clone(),
            session_id_callers: self.session_id_callers.to_vec(),
            verifier,
            requirements: settings.require.clone(),
            token,
        }))
    }
}

/// Returns what judges a route's requests that cookies authenticate, where there can be any.
fn same_site(settings: &RouteSettings) -> Option<SameSite> {
    let by_cookie = settings.credentials.contains(&CredentialSettings::Cookie);
    let trusted = settings.authorized_parties.clone().unwrap_or_default();
    (settings.csrf && by_cookie && settings.auth != Auth::None).then(|| SameSite::new(trusted))
}

/// The places that a sign-in page may send its users back to.
fn known_places(settings: &Settings) -> KnownPlaces {
    let hosts = settings.routes.iter().filter_map(|r| r.host.clone());
    let of_routes = settings.routes.iter().map(|r| &r.authorized_parties);
    let parties = of_routes.chain([&settings.clerk.authorized_parties]);
    KnownPlaces::new(
        hosts.collect(),
        parties.flatten().flatten().cloned().collect(),
    )
}

fn token_request(token: &TokenSettings) -> TokenRequest {
    TokenRequest {
        template: token.template.clone(),
        lifetime: token.lifetime,
        max_age: token.max_age,
        organization: match token.any_organization {
            true => OrganizationRule::Any,
            false => OrganizationRule::Same,
        },
    }
}

pub(super) fn source(settings: &CredentialSettings) -> Source {
    match settings {
        CredentialSettings::Bearer => Source::Bearer,
        CredentialSettings::Cookie => Source::Cookie,
        CredentialSettings::Header(name) => Source::SessionIdHeader(name.clone()),
        CredentialSettings::Query(name) => Source::SessionIdQuery(name.clone()),
    }
}
