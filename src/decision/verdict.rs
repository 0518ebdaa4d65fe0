//! The verdict on a request that somebody asks about.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Original;
use crate::{
    pipeline::{ClientAddress, Passed, Pipeline, Refusal, Route},
    request::TrustedProxies,
    session::Session,
};

/// Decides on requests that callers ask about.
#[derive(Clone, Debug)]
pub(crate) struct Decider {
    callers: TrustedProxies,
    /// The callers, and the proxies before them.
    proxies: TrustedProxies,
    /// What every answer that allows says of the request's headers.
    names: Vec<HeaderName>,
}

/// A verdict, and who the client is where that is noted.
pub(crate) struct Decided<U> {
    pub(crate) verdict: Verdict<U>,
    pub(crate) client: Option<ClientAddress>,
}

/// What becomes of a request that is asked about.
pub(crate) enum Verdict<U> {
    /// It may pass.
    Allowed(Allowed<U>),
    /// It is a CORS preflight that the gateway would answer itself; it may pass, as nobody's.
    Preflight(Allowed<U>),
    /// It may not.
    Refused(Refusal<U>),
}

/// A request that may pass, and what its head is to be.
pub(crate) struct Allowed<U> {
    pub(crate) route: Arc<Route<U>>,
    pub(crate) session: Option<Session>,
    /// What replaces the request's headers of the same names; empty: there is to be none.
    pub(crate) headers: HeaderMap,
}

impl<U> Allowed<U> {
    /// Returns why the request may pass.
    pub(crate) fn reason(&self) -> &'static str {
        match (&self.route.rule, &self.session) {
            (None, _) => "no-auth",
            (Some(_), None) => "signed-out",
            (Some(_), Some(_)) => "ok",
        }
    }
}

impl Decider {
    /// Takes who may ask, the proxies that may stand before them, and the headers that only the gateway sets.
    pub(crate) fn new(
        callers: TrustedProxies,
        proxies: &TrustedProxies,
        names: impl IntoIterator<Item = HeaderName>,
    ) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Self {
            proxies: proxies.and(&callers),
            callers,
            names,
        }
    }

    /// Tells whether somebody at this address may ask.
    pub(crate) fn may_ask(&self, address: IpAddr) -> bool {
        self.callers.contains(address)
    }

    /// Decides by the pipeline.
    pub(crate) async fn decide<U>(&self, pipeline: &Pipeline<U>, original: Original) -> Decided<U> {
        let Original { peer, mut parts } = original;
        let forged = pipeline.managed.found_in(&parts.headers);
        let passed = pipeline.decide_behind(&self.proxies, &peer, &mut parts);
        let verdict = match passed.await {
            Ok(Passed::Forward(route, session)) => Verdict::Allowed(Allowed {
                route,
                session,
                headers: self.headers(&parts.headers, forged),
            }),
            Ok(Passed::Preflight(route, _)) => {
                let allowed = Allowed {
                    route,
                    session: None,
                    headers: self.headers(&HeaderMap::new(), forged),
                };
                Verdict::Preflight(allowed)
            }
            Err(refusal) => Verdict::Refused(refusal),
        };
        let client = parts.extensions.remove();
        Decided { verdict, client }
    }

    /// Returns what `upstream` is to have of the names, and nothing of the forged.
    fn headers(&self, upstream: &HeaderMap, forged: Vec<HeaderName>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.names.len() + forged.len());
        for name in self.names.iter().cloned().chain(forged) {
            if headers.contains_key(&name) {
                continue;
            }
            for value in upstream.get_all(&name) {
                headers.append(&name, value.clone());
            }
            let empty = HeaderValue::from_static("");
            headers.entry(name).or_insert(empty);
        }
        headers
    }
}
