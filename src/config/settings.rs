//! What the gateway runs with: checked, typed, and free of how it was written.

use aws_lc_rs::digest::{Digest, SHA256, digest};
use secrecy::ExposeSecret;

use crate::proxy::UpstreamConfig;

use super::{
    cache::CacheSettings,
    clerk::ClerkSettings,
    decision::DecisionSettings,
    error::Findings,
    file::File,
    hasura_webhook::HasuraContext,
    log::LogSettings,
    route::Auth,
    route_check::{RouteContext, RouteSettings, check_distinct},
    route_warnings,
    server::ServerSettings,
    session::{CredentialSettings, SessionSettings, VerifyMode},
    shared::SharedSettings,
    sign_out::SignOutSettings,
    upstream,
    webhooks::WebhookSettings,
};

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) clerk: ClerkSettings,
    pub(crate) session: SessionSettings,
    pub(crate) cache: CacheSettings,
    pub(crate) server: ServerSettings,
    pub(crate) decision: DecisionSettings,
    /// `None`: no secret signs any.
    pub(crate) webhooks: Option<WebhookSettings>,
    /// `None`: nobody signs out here.
    pub(crate) sign_out: Option<SignOutSettings>,
    /// `None`: this process is alone.
    pub(crate) shared: Option<SharedSettings>,
    pub(crate) log: LogSettings,
    /// Each name once; empty only where decisions are all that is made.
    pub(crate) upstreams: Vec<UpstreamConfig>,
    /// Empty only where Hasura's webhook is all that there is; no two are met by the same requests.
    pub(crate) routes: Vec<RouteSettings>,
}

impl Settings {
    /// Returns a digest of what the handle to Clerk is made from: handles of one digest are the same.
    pub(crate) fn clerk_fingerprint(&self) -> Digest {
        // The secret key is the one thing that does not show itself.
        let secret = self
            .clerk
            .secret_key
            .as_ref()
            .map(ExposeSecret::expose_secret);
        let shown = format!(
            "{:?}{:?}{:?}{}",
            self.clerk,
            self.session,
            self.cache,
            secret.unwrap_or_default()
        );
        digest(&SHA256, shown.as_bytes())
    }

    /// Checks a file's values, each by itself and all together.
    pub(crate) fn check(file: &File, findings: &mut Findings) -> Option<Self> {
        let clerk = file.clerk.check(findings);
        let session = file.session.check(findings);
        let server = file.server.check(findings);
        let cache = file.cache.settings();
        let hasura = HasuraContext {
            session: &session,
            authorized_parties: file.clerk.authorized_parties.as_deref(),
            session_ttl: cache.session_ttl,
        };
        let decision = file.decision.check(&hasura, findings);
        let webhooks = file.webhooks.check(findings);
        let sign_out = file.sign_out.check(&session, findings);
        let secret_key = clerk.as_ref().and_then(|clerk| clerk.secret_key.as_ref());
        let shared = file.shared.check(secret_key, findings);
        let log = file.log.check(findings);
        let upstreams = upstream::check_all(&file.upstream, findings);
        let routes = check_routes(file, &session, findings);
        check_secret_key(file, findings);
        check_own_paths(file, webhooks.is_some(), findings);
        let settings = Self {
            clerk: clerk?,
            session,
            cache,
            server: server?,
            decision: decision?,
            webhooks,
            sign_out,
            shared,
            log,
            upstreams,
            routes,
        };
        settings.warn(findings);
        Some(settings)
    }

    fn warn(&self, findings: &mut Findings) {
        route_warnings::warn(&self.routes, findings);
        self.warn_of_nowhere_to_come_back_to(findings);
        self.warn_of_cookies(findings);
        self.warn_of_undivided_calls(findings);
    }

    fn warn_of_nowhere_to_come_back_to(&self, findings: &mut Findings) {
        let mut routes = self.routes.iter();
        let known = self.clerk.authorized_parties.is_some()
            || routes.any(|route| route.host.is_some() || route.authorized_parties.is_some());
        if self.session.sign_in_url.is_some() && !known {
            findings.warning(
                "session.sign_in_url",
                "browsers are sent there without redirect_url, as no host is known to be yours",
                "set clerk.authorized_parties to your origins, or host on your routes",
            );
        }
    }

    fn warn_of_undivided_calls(&self, findings: &mut Findings) {
        if self.shared.is_some() && self.clerk.replicas == 1 {
            findings.warning(
                "clerk.replicas",
                "is 1 and replicas share a redis: while that is away, each makes all of clerk.calls_per_10s",
                "say how many gateways there are",
            );
        }
    }

    fn warn_of_cookies(&self, findings: &mut Findings) {
        let reads_cookies = |route: &&RouteSettings| {
            route.auth != Auth::None && route.credentials.contains(&CredentialSettings::Cookie)
        };
        let mut with_cookies = self.routes.iter().filter(reads_cookies).peekable();
        if with_cookies.peek().is_none() {
            return;
        }
        if with_cookies.any(|route| route.authorized_parties.is_none()) {
            findings.warning(
                "clerk.authorized_parties",
                "is not set, so a session cookie counts whichever origin it was issued to",
                "set it to your application's origins, as in [\"https://app.example.com\"]",
            );
        }
        if self.clerk.publishable_key.is_none() {
            findings.warning(
                "clerk.publishable_key",
                "is not set, so the cookie's suffix is not known and only __session is read",
                "set CLERK_PUBLISHABLE_KEY",
            );
        }
    }
}

fn check_routes(
    file: &File,
    session: &SessionSettings,
    findings: &mut Findings,
) -> Vec<RouteSettings> {
    if file.route.is_empty() && file.upstream.is_empty() && file.decision.hasura.is_some() {
        // The webhook has a policy of its own.
        return Vec::new();
    }
    if file.route.is_empty() && !findings.is_broken("upstream") {
        let (what, fix) = match file.upstream.len() {
            0 if file.decision.is_on() => (
                "there is no route, so there is nothing to decide",
                "add a [[route]], as with path = \"/*\"",
            ),
            0 => (
                "there is neither a route nor an upstream, so there is nothing to protect",
                "add [[upstream]] and [[route]], or use --upstream URL",
            ),
            _ => (
                "there are several upstreams and no route, so no request could choose",
                "add a [[route]] for each upstream",
            ),
        };
        findings.problem("route", what, fix);
    }
    let names: Vec<&str> = file.upstream.iter().map(|up| up.name.as_str()).collect();
    let context = RouteContext {
        session,
        authorized_parties: file.clerk.authorized_parties.as_deref(),
        upstreams: &names,
        decides: file.decision.is_on(),
    };
    check_distinct(&file.route, findings);
    file.route
        .iter()
        .enumerate()
        .filter_map(|(index, route)| route.check(&format!("route[{index}]"), &context, findings))
        .collect()
}

/// Notes a path that two would answer at.
fn check_own_paths(file: &File, has_webhooks: bool, findings: &mut Findings) {
    let webhooks = has_webhooks.then_some(("webhooks.path", &file.webhooks.path));
    let sign_out = file.sign_out.path.as_ref();
    let sign_out = sign_out.map(|path| ("sign_out.path", path));
    if let (Some((_, path)), Some((key, same))) = (webhooks, sign_out)
        && path == same
    {
        let what = format!("{path} is webhooks.path too");
        findings.problem(key, what, "give each a path of its own");
    }
    for (key, path) in webhooks.into_iter().chain(sign_out) {
        let mut routes = file.route.iter();
        if let Some(index) = routes.position(|route| route.path == *path) {
            let what = format!("{path} is {key}, which no route can take");
            let fix = "give one of them another path";
            findings.problem(&format!("route[{index}].path"), what, fix);
        }
    }
}

/// Notes a missing secret key where Clerk's Backend API will be needed.
fn check_secret_key(file: &File, findings: &mut Findings) {
    let given = file.clerk.secret_key.is_some() || file.clerk.secret_key_file.is_some();
    let broken = ["session.verify", "clerk.secret_key_file"]
        .iter()
        .any(|key| findings.is_broken(key));
    if given || broken {
        return;
    }
    let asks =
        |mode: Option<VerifyMode>| mode.unwrap_or(file.session.verify) == VerifyMode::SessionsApi;
    let mut protected = file.route.iter().filter(|route| route.auth != Auth::None);
    let minting = file.route.iter().position(|route| route.token.is_some());
    let hasura = file.decision.hasura.as_ref();
    let hasura = hasura.is_some_and(|hasura| asks(hasura.verify));
    let (why, fix) = if hasura || protected.any(|route| asks(route.verify)) {
        (
            "is missing, and verify = \"sessions-api\" needs it".to_owned(),
            "set CLERK_SECRET_KEY or clerk.secret_key_file, or set session.verify = \"networkless\"",
        )
    } else if let Some(index) = minting {
        (
            format!("is missing, and the template token of route[{index}] needs it"),
            "set CLERK_SECRET_KEY or clerk.secret_key_file, or remove the route's token",
        )
    } else {
        return;
    };
    findings.problem("clerk.secret_key", why, fix);
}
