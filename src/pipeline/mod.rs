//! What happens to a request of the gateway, a stage a line: the file to read first.
//!
//! `canonical request → route → credential → verify → policy → outputs`; the proxy (or a decision's
//! answer) comes after.

mod route;

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, header::ORIGIN, request::Parts};
use tokio::task::yield_now;

use crate::{
    mutate::{managed_headers::ManagedNames, role_wish::RoleWish},
    policy::cors::{Preflight, preflight_for},
    reject::Rejection,
    request::{
        CanonicalRequest, ForwardedFor, PathError, Peer, RequestError, TrustedProxies, join_cookies,
    },
    route::Table,
    rule::{Decision, RequestHead},
    session::Session,
    telemetry::traffic,
    time::Clock,
};

pub(crate) use route::{CredentialFate, Route};

/// The stages, set up.
pub(crate) struct Pipeline<U> {
    pub(crate) routes: Table<Arc<Route<U>>>,
    pub(crate) managed: ManagedNames,
    pub(crate) trusted_proxies: TrustedProxies,
    /// The longest path and query, in bytes.
    pub(crate) max_target_bytes: usize,
    /// Whether requests get a [`ClientAddress`], for the access log.
    pub(crate) notes_clients: bool,
    pub(crate) clock: Clock,
}

/// Who sent a request, behind the trusted proxies; in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// A refusal, and the route that it came from where one was found.
pub(crate) struct Refusal<U> {
    pub(crate) rejection: Rejection,
    pub(crate) route: Option<Arc<Route<U>>>,
    /// Where the client is sent instead, where it is a browser that need only sign in.
    pub(crate) sign_in: Option<HeaderValue>,
}

/// What becomes of a request that is not refused.
pub(crate) enum Passed<U> {
    /// It goes on, along its route, as somebody or as nobody.
    Forward(Arc<Route<U>>, Option<Session>),
    /// It is a CORS preflight, which these headers answer.
    Preflight(Arc<Route<U>>, HeaderMap),
}

impl<U> Pipeline<U> {
    /// Decides on a request and makes its head what the upstream is to see.
    pub(crate) async fn decide(
        &self,
        peer: &Peer,
        parts: &mut Parts,
    ) -> Result<Passed<U>, Refusal<U>> {
        self.decide_behind(&self.trusted_proxies, peer, parts).await
    }

    /// Decides as [`Pipeline::decide`] does, where other proxies are to be believed.
    pub(crate) async fn decide_behind(
        &self,
        proxies: &TrustedProxies,
        peer: &Peer,
        parts: &mut Parts,
    ) -> Result<Passed<U>, Refusal<U>> {
        RoleWish::keep(parts);
        self.managed.strip(&mut parts.headers);
        join_cookies(&mut parts.headers);
        let request = self.canonical(parts).map_err(Refusal::before_route)?;
        let from = ForwardedFor::resolve(peer, &request, &parts.headers, proxies);
        if self.notes_clients {
            parts.extensions.insert(ClientAddress(from.client()));
        }
        let asking = self.preflights_route(&request, &parts.headers);
        if let Some(route) = asking.map_err(Refusal::before_route)? {
            let passed = self.preflight(&route, &request, &from, parts);
            return passed.map_err(|rejection| Refusal::of(route, rejection));
        }
        let route = self.route(&request)?;
        let decided = match self.permit(&route, &request, &from, &parts.headers).await {
            Ok(decision) => route
                .write(&decision, &request, &from, parts)
                .map(|()| decision.session),
            Err(rejection) => Err(rejection),
        };
        match decided {
            Ok(session) => Ok(Passed::Forward(route, session)),
            Err(rejection) => {
                let sign_in = route.sign_in(&rejection, &request, &from, &parts.headers);
                // The others' sockets come first: to refuse a bad token takes a signature's check, and one connection
                // may have sent thousands.
                yield_now().await;
                Err(Refusal {
                    sign_in,
                    ..Refusal::of(route, rejection)
                })
            }
        }
    }

    /// Finds the route with CORS that a preflight asks about, by the method that is to follow.
    fn preflights_route(
        &self,
        request: &CanonicalRequest,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Route<U>>>, RequestError> {
        let Some(method) = preflight_for(request.method(), headers) else {
            return Ok(None);
        };
        let found = self.find(request, &method)?;
        Ok(found.filter(|route| route.cors.is_some()).map(Arc::clone))
    }

    /// Answers a preflight, or passes it on; it never has credentials, so none are looked for.
    fn preflight(
        &self,
        route: &Arc<Route<U>>,
        request: &CanonicalRequest,
        from: &ForwardedFor,
        parts: &mut Parts,
    ) -> Result<Passed<U>, Rejection> {
        route.rates.take_address(from.client(), self.clock.now())?;
        match &route.cors {
            Some(cors) if cors.preflight == Preflight::Answer => {
                let answer = cors.preflight(parts.headers.get(ORIGIN));
                Ok(Passed::Preflight(Arc::clone(route), answer))
            }
            _ => {
                route.write(&Decision::signed_out(), request, from, parts)?;
                Ok(Passed::Forward(Arc::clone(route), None))
            }
        }
    }

    /// Returns the address of the client, as far as trusted proxies tell; `None` where there is no saying.
    pub(crate) fn client(&self, peer: &Peer, parts: &Parts) -> Option<IpAddr> {
        let request = self.canonical(parts).ok()?;
        let from = ForwardedFor::resolve(peer, &request, &parts.headers, &self.trusted_proxies);
        Some(from.client())
    }

    /// Reads a request that no route answers, and who sent it.
    ///
    /// # Errors
    ///
    /// A [`RequestError`] where it is ambiguous.
    pub(crate) fn read(
        &self,
        peer: &Peer,
        parts: &mut Parts,
    ) -> Result<(CanonicalRequest, ForwardedFor), RequestError> {
        join_cookies(&mut parts.headers);
        let request = self.canonical(parts)?;
        let from = ForwardedFor::resolve(peer, &request, &parts.headers, &self.trusted_proxies);
        Ok((request, from))
    }

    fn canonical(&self, parts: &Parts) -> Result<CanonicalRequest, RequestError> {
        let target = parts.uri.path_and_query();
        if target.is_some_and(|target| target.as_str().len() > self.max_target_bytes) {
            return Err(RequestError::TargetTooLong);
        }
        CanonicalRequest::parse(parts)
    }

    fn route(&self, request: &CanonicalRequest) -> Result<Arc<Route<U>>, Refusal<U>> {
        let found = self.find(request, request.method());
        let missing = || Refusal::before_route(Rejection::route_not_found());
        let found = found.map_err(Refusal::before_route)?;
        found.map(Arc::clone).ok_or_else(missing)
    }

    /// Finds the route of a path; a path that a server may fold into another route's is refused.
    fn find(
        &self,
        request: &CanonicalRequest,
        method: &Method,
    ) -> Result<Option<&Arc<Route<U>>>, RequestError> {
        let (host, path) = (request.host().map(|host| host.name()), request.path());
        let Some(found) = self.routes.find(host, path, method) else {
            return Ok(None);
        };
        let mut is_weaker = false;
        for other in self.routes.find_folded(host, path, method) {
            if Arc::ptr_eq(found, other) {
                return Ok(Some(found));
            }
            // Who is checked on the way to what is open to all has come no further than anyone may.
            is_weaker |= found.rule.is_none() || other.rule.is_some();
        }
        match is_weaker {
            true => Err(RequestError::Path(PathError::AnotherRoute)),
            false => Ok(Some(found)),
        }
    }

    async fn permit(
        &self,
        route: &Route<U>,
        request: &CanonicalRequest,
        from: &ForwardedFor,
        headers: &HeaderMap,
    ) -> Result<Decision, Rejection> {
        let now = self.clock.now();
        route.rates.take_address(from.client(), now)?;
        let Some(rule) = &route.rule else {
            return Ok(Decision::signed_out());
        };
        let head = RequestHead {
            headers,
            query: request.query(),
            peer: Some(from.client()),
        };
        let decision = match rule.decide_at_hand(head, now) {
            Some(decided) => decided,
            // Apart: it is seldom awaited, and every request would carry the room for it.
            None => Box::pin(rule.decide(head, now)).await,
        }?;
        if let Some(session) = &decision.session {
            if let Some(issued_at) = session.issued_at() {
                traffic::token_age(now.since(issued_at));
            }
            route.judge_site(request, from, head)?;
            route.rates.take_session(session.id(), now)?;
        }
        Ok(decision)
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

    /// A request that its route does not let pass.
    pub(crate) fn of(route: Arc<Route<U>>, rejection: Rejection) -> Self {
        Self {
            rejection,
            route: Some(route),
            sign_in: None,
        }
    }
}
