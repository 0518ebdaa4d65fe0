//! `[[route]]`, checked: each by itself, against its neighbours, and against the upstreams.

use std::collections::HashSet;

use http::{HeaderName, Method, header::AUTHORIZATION};

use super::{
    checks,
    error::Findings,
    hasura, pattern,
    rate::RateLimitSection,
    route::{Auth, CredentialFate, RouteSection},
    session::{CredentialSettings, SessionSettings, VerifyMode, check_credentials},
    token::{TokenSection, TokenSettings},
};
use crate::{
    mutate::managed_headers::HeaderSource,
    policy::{Requirement, cors::Cors},
    request::canonical_path,
};

/// One `[[route]]`, checked, with what it takes over from `[clerk]` and `[session]`.
#[derive(Clone, Debug)]
pub(crate) struct RouteSettings {
    pub(crate) path: String,
    /// In lower case, without a port; `None`: any.
    pub(crate) host: Option<String>,
    /// `None`: any. Never empty.
    pub(crate) methods: Option<Vec<Method>>,
    pub(crate) auth: Auth,
    /// The name of an upstream that exists; `None` where there is none at all, and decisions are all that is made.
    pub(crate) upstream: Option<String>,
    pub(crate) require: Vec<Requirement>,
    pub(crate) token: Option<TokenSettings>,
    pub(crate) hasura: bool,
    pub(crate) credential: CredentialFate,
    /// Sorted by name; each name once.
    pub(crate) headers: Vec<(HeaderName, HeaderSource)>,
    pub(crate) verify: VerifyMode,
    pub(crate) credentials: Vec<CredentialSettings>,
    /// `None`: `azp` is not judged. Never empty.
    pub(crate) authorized_parties: Option<Vec<String>>,
    /// 0: any size; `None`: the server's.
    pub(crate) max_body_bytes: Option<u64>,
    pub(crate) strip_headers: Vec<HeaderName>,
    pub(crate) cors: Option<Cors>,
    pub(crate) csrf: bool,
    pub(crate) rate_limit: RateLimitSection,
    /// Canonical, the beginning of `path`, and not `/`.
    pub(crate) strip_prefix: Option<String>,
    pub(crate) sign_in_url: Option<String>,
}

/// What routes are checked against.
pub(crate) struct RouteContext<'a> {
    pub(crate) session: &'a SessionSettings,
    pub(crate) authorized_parties: Option<&'a [String]>,
    pub(crate) upstreams: &'a [&'a str],
    /// Whether decisions are made for others, who have upstreams of their own.
    pub(crate) decides: bool,
}

impl RouteSection {
    /// Returns the settings, or `None` after noting why there are none.
    pub(crate) fn check(
        &self,
        place: &str,
        context: &RouteContext<'_>,
        findings: &mut Findings,
    ) -> Option<RouteSettings> {
        let key = |name: &str| format!("{place}.{name}");
        pattern::check_path(&key("path"), &self.path, findings);
        let host = self
            .host
            .as_deref()
            .map(|host| pattern::check_host(&key("host"), host, findings));
        let methods = pattern::check_methods(&key("methods"), self.methods.as_deref(), findings);
        let token = self
            .token
            .as_ref()
            .map(|token| token.check(&key("token"), self.any_organization, findings));
        let cors = self
            .cors
            .as_ref()
            .map(|cors| cors.check(&key("cors"), methods.as_deref(), findings));
        let (verify, credentials) = self.check_proof(place, context.session, findings);
        self.check_session_use(place, findings);
        self.check_credential(place, findings);
        hasura::check(self, place, findings);
        if let Some(parties) = &self.authorized_parties {
            checks::parties(&key("authorized_parties"), parties, findings);
        }
        let parties = self
            .authorized_parties
            .as_deref()
            .or(context.authorized_parties);
        Some(RouteSettings {
            path: self.path.clone(),
            methods,
            auth: self.auth,
            upstream: self.check_upstream(place, context, findings),
            require: match &self.require {
                Some(require) => require.check(&key("require"), findings),
                None => Vec::new(),
            },
            hasura: self.hasura,
            credential: self.credential.unwrap_or(CredentialFate::Remove),
            headers: self.check_headers(place, findings),
            verify,
            credentials,
            authorized_parties: parties.map(<[String]>::to_vec),
            max_body_bytes: self.max_body_bytes,
            strip_headers: self.check_strip_headers(place, findings),
            cors,
            csrf: self.csrf,
            rate_limit: self.check_rate_limit(place, findings),
            strip_prefix: self.check_strip_prefix(place, findings),
            sign_in_url: self.check_sign_in(place, context.session, findings),
            host: all_or_none(host)?,
            token: all_or_none(token)?,
        })
    }

    fn check_proof(
        &self,
        place: &str,
        session: &SessionSettings,
        findings: &mut Findings,
    ) -> (VerifyMode, Vec<CredentialSettings>) {
        let verify = self.verify.unwrap_or(session.verify);
        let credentials = match &self.credentials {
            Some(own) => check_credentials(&format!("{place}.credentials"), own, findings),
            None => session.credentials.clone(),
        };
        let differs = self.verify.is_some() || self.credentials.is_some();
        if differs && self.auth != Auth::None {
            session.check_bare_ids(place, &credentials, verify, findings);
        }
        (verify, credentials)
    }

    /// Notes keys that need a session on a route that may have none.
    fn check_session_use(&self, place: &str, findings: &mut Findings) {
        if self.auth == Auth::None && self.token.is_some() {
            let fix = "remove token, or set auth = \"required\"";
            let what = "a template token needs a session, which auth = \"none\" never looks for";
            findings.problem(&format!("{place}.token"), what, fix);
        }
        if self.auth != Auth::Required && self.require.is_some() {
            let fix = "remove require, or set auth = \"required\"";
            let what = "only a session can meet requirements, and this route passes without one";
            findings.problem(&format!("{place}.require"), what, fix);
        }
    }

    fn check_credential(&self, place: &str, findings: &mut Findings) {
        let forwards = self.credential == Some(CredentialFate::Forward);
        let in_authorization =
            |token: &TokenSection| token.header.eq_ignore_ascii_case(AUTHORIZATION.as_str());
        if forwards && self.token.as_ref().is_some_and(in_authorization) {
            findings.problem(
                &format!("{place}.credential"),
                "the caller's credential and the template token cannot both be in Authorization",
                "set credential = \"remove\", or give the token a header of its own",
            );
        }
    }

    fn check_upstream(
        &self,
        place: &str,
        context: &RouteContext<'_>,
        findings: &mut Findings,
    ) -> Option<String> {
        let known = context.upstreams;
        let key = format!("{place}.upstream");
        let names = known.join(", ");
        if findings.is_broken("upstream") {
            return None;
        }
        match &self.upstream {
            Some(name) if known.contains(&name.as_str()) => return Some(name.clone()),
            None if known.is_empty() && context.decides => return None,
            Some(name) if known.is_empty() => {
                let what = format!("no [[upstream]] is named {name:?}; there is none at all");
                findings.problem(&key, what, "add it, with name and url");
            }
            Some(name) => {
                let what = format!("no [[upstream]] is named {name:?}");
                findings.problem(&key, what, format!("use one of: {names}"));
            }
            None if known.is_empty() => {
                let fix = "add an [[upstream]] with name and url, or use --upstream URL";
                findings.problem(&key, "there is nowhere to send requests to", fix);
            }
            None => {
                let fix = format!("name one of: {names}");
                findings.problem(&key, "is missing, and there are several upstreams", fix);
            }
        }
        None
    }

    fn check_headers(
        &self,
        place: &str,
        findings: &mut Findings,
    ) -> Vec<(HeaderName, HeaderSource)> {
        let token_header = self.token.as_ref().map(|token| token.header.to_lowercase());
        let mut seen = HashSet::new();
        let mut headers = Vec::new();
        for (text, section) in &self.headers {
            let key = format!("{place}.headers.{text}");
            let Some(name) = checks::header(&key, text, findings) else {
                continue;
            };
            if token_header.as_deref() == Some(name.as_str()) {
                findings.problem(&key, "the template token goes there", "choose another name");
            } else if seen.insert(name.clone()) {
                headers.push((name, section.check(&key, findings)));
            } else {
                findings.problem(&key, "is set twice, in another spelling", "remove one");
            }
        }
        headers
    }

    fn check_rate_limit(&self, place: &str, findings: &mut Findings) -> RateLimitSection {
        let Some(limit) = &self.rate_limit else {
            return RateLimitSection::default();
        };
        let key = format!("{place}.rate_limit");
        limit.check(&key, findings);
        if self.auth == Auth::None && limit.per_session.is_some() {
            let what = "there is no session to count, which auth = \"none\" never looks for";
            findings.problem(&format!("{key}.per_session"), what, "use per_address");
        }
        limit.clone()
    }

    fn check_strip_prefix(&self, place: &str, findings: &mut Findings) -> Option<String> {
        let prefix = self.strip_prefix.as_deref()?;
        let key = format!("{place}.strip_prefix");
        let literal = prefix.len() > 1 && !prefix.contains(['{', '}', '*', '?']);
        if !literal || !matches!(canonical_path(prefix), Ok(path) if path == prefix) {
            let what = format!("{prefix:?} is not a prefix of whole segments");
            findings.problem(&key, what, "write it as in /api, without {name} and *");
            return None;
        }
        let prefix = prefix.trim_end_matches('/');
        let begins = self.path.strip_prefix(prefix);
        if !begins.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let what = format!(
                "{prefix:?} is not how the route's path begins, {:?}",
                self.path
            );
            findings.problem(&key, what, "make it the path's first segments");
        }
        Some(prefix.to_owned())
    }

    fn check_sign_in(
        &self,
        place: &str,
        session: &SessionSettings,
        findings: &mut Findings,
    ) -> Option<String> {
        if let Some(url) = &self.sign_in_url {
            checks::url(&format!("{place}.sign_in_url"), url, findings);
        }
        self.sign_in_url.clone().or(session.sign_in_url.clone())
    }

    fn check_strip_headers(&self, place: &str, findings: &mut Findings) -> Vec<HeaderName> {
        self.strip_headers
            .iter()
            .enumerate()
            .filter_map(|(index, text)| {
                checks::header(&format!("{place}.strip_headers[{index}]"), text, findings)
            })
            .collect()
    }
}

/// Notes routes that no request could tell apart.
pub(crate) fn check_distinct(routes: &[RouteSection], findings: &mut Findings) {
    for (index, route) in routes.iter().enumerate() {
        let twin = routes[..index].iter().position(|other| same(route, other));
        if let Some(twin) = twin {
            let first = findings.origins.nearest(&format!("route[{twin}].path"));
            findings.problem(
                &format!("route[{index}].path"),
                format!(
                    "{:?} is met by the same requests as route[{twin}] ({first})",
                    route.path
                ),
                "remove one, or tell them apart by host, path or methods",
            );
        }
    }
}

fn same(a: &RouteSection, b: &RouteSection) -> bool {
    let host = |route: &RouteSection| route.host.as_deref().map(str::to_ascii_lowercase);
    let methods_meet = match (&a.methods, &b.methods) {
        (None, None) => true,
        (Some(a), Some(b)) => a.iter().any(|method| b.contains(method)),
        _ => false,
    };
    host(a) == host(b) && pattern::shape(&a.path) == pattern::shape(&b.path) && methods_meet
}

/// Turns a value that is given but bad into `None`, for `?`.
fn all_or_none<T>(checked: Option<Option<T>>) -> Option<Option<T>> {
    match checked {
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
        None => Some(None),
    }
}
