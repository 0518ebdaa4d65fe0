//! What happens to a request of the gateway, a stage a line: the file to read first.
//!
//! `canonical request → route → credential → verify → policy → outputs`; the proxy (or a decision's
//! answer) comes after.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION, request::Parts,
    uri::PathAndQuery,
};

use crate::{
    credential::{Sources, remove_credentials, strip_query},
    mutate::{
        managed_headers::{HeaderSet, ManagedNames},
        strip_prefix::Prefix,
        template_token::TemplateToken,
    },
    policy::sign_in::{SignIn, is_navigation},
    reject::Rejection,
    request::{CanonicalRequest, ForwardedFor, Peer, RequestError, TrustedProxies, join_cookies},
    route::Table,
    rule::{Decision, RequestHead, Rule},
    time::Clock,
};

/// The stages, set up.
pub(crate) struct Pipeline<U> {
    pub(crate) routes: Table<Arc<Route<U>>>,
    pub(crate) managed: ManagedNames,
    pub(crate) trusted_proxies: TrustedProxies,
    /// The longest path and query, in bytes.
    pub(crate) max_target_bytes: usize,
    pub(crate) clock: Clock,
}

/// A route: what it asks of a request, what it tells the upstream, and where it leads.
pub(crate) struct Route<U> {
    /// `None`: credentials are not looked at.
    pub(crate) rule: Option<Rule>,
    pub(crate) headers: HeaderSet,
    /// The header that carries the template token, where the route mints one.
    pub(crate) token_header: Option<HeaderName>,
    pub(crate) credential: CredentialFate,
    pub(crate) strip_headers: Vec<HeaderName>,
    /// What is taken off the path before it is forwarded.
    pub(crate) strip_prefix: Option<Prefix>,
    /// Where browsers go that are signed out; `None`: they are refused like anyone.
    pub(crate) sign_in: Option<SignIn>,
    /// Where it leads.
    pub(crate) target: U,
}

/// What becomes of the caller's own credential.
#[derive(Clone, Debug)]
pub(crate) enum CredentialFate {
    /// It goes on to the upstream.
    Forward,
    /// It stays here, from every place that it is looked for in.
    Remove(Sources),
}

/// A refusal, and the route that it came from where one was found.
pub(crate) struct Refusal<U> {
    pub(crate) rejection: Rejection,
    pub(crate) route: Option<Arc<Route<U>>>,
    /// Where the client is sent instead, where it is a browser that need only sign in.
    pub(crate) sign_in: Option<HeaderValue>,
}

impl<U> Pipeline<U> {
    /// Decides on a request and makes its head what the upstream is to see.
    pub(crate) async fn decide(
        &self,
        peer: &Peer,
        parts: &mut Parts,
    ) -> Result<Arc<Route<U>>, Refusal<U>> {
        self.managed.strip(&mut parts.headers);
        join_cookies(parts);
        let request = self.canonical(parts).map_err(Refusal::before_route)?;
        let from = ForwardedFor::resolve(peer, &request, &parts.headers, &self.trusted_proxies);
        let route = self.route(&request)?;
        let decided = match self.permit(&route, &request, &from, &parts.headers).await {
            Ok(decision) => route.write(&decision, &request, &from, parts),
            Err(rejection) => Err(rejection),
        };
        match decided {
            Ok(()) => Ok(route),
            Err(rejection) => Err(Refusal {
                sign_in: route.sign_in(&rejection, &request, &from, &parts.headers),
                rejection,
                route: Some(route),
            }),
        }
    }

    fn canonical(&self, parts: &Parts) -> Result<CanonicalRequest, RequestError> {
        let target = parts.uri.path_and_query();
        if target.is_some_and(|target| target.as_str().len() > self.max_target_bytes) {
            return Err(RequestError::TargetTooLong);
        }
        CanonicalRequest::parse(parts)
    }

    fn route(&self, request: &CanonicalRequest) -> Result<Arc<Route<U>>, Refusal<U>> {
        let host = request.host().map(|host| host.name());
        let found = self.routes.find(host, request.path(), request.method());
        let missing = || Refusal::before_route(Rejection::route_not_found());
        found.map(Arc::clone).ok_or_else(missing)
    }

    async fn permit(
        &self,
        route: &Route<U>,
        request: &CanonicalRequest,
        from: &ForwardedFor,
        headers: &HeaderMap,
    ) -> Result<Decision, Rejection> {
        let Some(rule) = &route.rule else {
            return Ok(Decision::signed_out());
        };
        let head = RequestHead {
            headers,
            query: request.query(),
            peer: Some(from.client()),
        };
        let now = self.clock.now();
        match rule.decide_at_hand(head, now) {
            Some(decided) => decided,
            None => rule.decide(head, now).await,
        }
    }
}

impl<U> Route<U> {
    /// Returns where a refused browser signs in, where that is all it needs.
    fn sign_in(
        &self,
        rejection: &Rejection,
        request: &CanonicalRequest,
        from: &ForwardedFor,
        headers: &HeaderMap,
    ) -> Option<HeaderValue> {
        let sign_in = self.sign_in.as_ref()?;
        let sent = rejection.is_cured_by_sign_in() && is_navigation(request.method(), headers);
        sent.then(|| sign_in.location(request, from)).flatten()
    }

    fn write(
        &self,
        decision: &Decision,
        request: &CanonicalRequest,
        from: &ForwardedFor,
        parts: &mut Parts,
    ) -> Result<(), Rejection> {
        request.apply(parts);
        if let Some(prefix) = &self.strip_prefix {
            parts.uri = prefix.strip(&parts.uri)?;
        }
        from.write(&mut parts.headers);
        self.remove_credential(parts)?;
        for name in &self.strip_headers {
            parts.headers.remove(name);
        }
        if let Some(session) = &decision.session {
            self.headers.set(session, &mut parts.headers)?;
        }
        self.write_token(decision.token.as_ref(), &mut parts.headers);
        Ok(())
    }

    fn remove_credential(&self, parts: &mut Parts) -> Result<(), Rejection> {
        let CredentialFate::Remove(sources) = &self.credential else {
            return Ok(());
        };
        remove_credentials(&mut parts.headers, sources);
        let Some(query) = parts.uri.query() else {
            return Ok(());
        };
        let stripped = strip_query(query, sources);
        if stripped != query {
            let target = match stripped.as_ref() {
                "" => parts.uri.path().to_owned(),
                query => format!("{}?{query}", parts.uri.path()),
            };
            let target = PathAndQuery::try_from(target).map_err(|_| RequestError::Query)?;
            parts.uri = Uri::from(target);
        }
        Ok(())
    }

    /// Sets the token, or makes sure that nothing of the client's stands in its place.
    fn write_token(&self, token: Option<&TemplateToken>, headers: &mut HeaderMap) {
        let Some(name) = &self.token_header else {
            return;
        };
        match token {
            None => drop(headers.remove(name)),
            Some(token) if name == AUTHORIZATION => drop(headers.insert(name, token.bearer())),
            Some(token) => drop(headers.insert(name, token.value())),
        }
    }
}

impl<U> Refusal<U> {
    /// A request that no route was looked up for.
    pub(crate) fn before_route(rejection: impl Into<Rejection>) -> Self {
        Self {
            rejection: rejection.into(),
            route: None,
            sign_in: None,
        }
    }
}
