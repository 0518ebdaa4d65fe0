//! A route as it runs, and what it makes of a request that it lets through.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION, request::Parts,
    uri::PathAndQuery,
};

use crate::{
    credential::{Carrier, Sources, remove_credentials, strip_query},
    limit::rate::RateLimits,
    mutate::{
        managed_headers::HeaderSet,
        role_wish::{RoleWish, X_HASURA_ROLE},
        strip_prefix::Prefix,
        template_token::TemplateToken,
    },
    policy::{
        cors::Cors,
        cross_site::SameSite,
        sign_in::{SignIn, is_navigation},
    },
    reject::Rejection,
    request::{CanonicalRequest, ForwardedFor, Host, RequestError},
    rule::{Decision, RequestHead, Rule},
};

/// A route: what it asks of a request, what it tells the upstream, and where it leads.
pub(crate) struct Route<U> {
    /// Which one it is, as in `route[0] GET /api/*`.
    pub(crate) name: String,
    /// `None`: credentials are not looked at.
    pub(crate) rule: Option<Rule>,
    pub(crate) headers: HeaderSet,
    /// The header that carries the template token, where the route mints one.
    pub(crate) token_header: Option<HeaderName>,
    /// Whether the caller may wish for a role that the token allows.
    pub(crate) hasura: bool,
    pub(crate) credential: CredentialFate,
    pub(crate) strip_headers: Vec<HeaderName>,
    /// `None`: requests that a cookie authenticates may come from any site.
    pub(crate) same_site: Option<SameSite>,
    /// `None`: pages of other origins read nothing.
    pub(crate) cors: Option<Cors>,
    pub(crate) rates: RateLimits,
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

impl<U> Route<U> {
    /// Returns where a refused browser signs in, where that is all it needs.
    pub(super) fn sign_in(
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

    /// Refuses what a page of another site makes a browser send with its cookies.
    pub(super) fn judge_site(
        &self,
        request: &CanonicalRequest,
        from: &ForwardedFor,
        head: RequestHead<'_>,
    ) -> Result<(), Rejection> {
        let (Some(same_site), Some(rule)) = (&self.same_site, &self.rule) else {
            return Ok(());
        };
        // A browser adds cookies by itself, and nothing else.
        if SameSite::concerns(request.method(), head.headers)
            && matches!(rule.presented(head), Ok(Some(Carrier::Cookie)))
        {
            let host = from.host().map(Host::authority);
            same_site.judge(request.method(), host, head.headers)?;
        }
        Ok(())
    }

    /// Makes the request's head what the upstream is to see.
    pub(super) fn write(
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
        self.write_role(decision.token.as_ref(), parts)?;
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

    /// Passes on the role that the caller wishes for, where the token allows it.
    fn write_role(
        &self,
        token: Option<&TemplateToken>,
        parts: &mut Parts,
    ) -> Result<(), Rejection> {
        let wish = parts.extensions.remove::<RoleWish>();
        if let Some(wish) = wish.filter(|_| self.hasura) {
            parts.headers.insert(X_HASURA_ROLE, wish.grant(token)?);
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
