//! From checked settings to what runs: the handle, the routes, the pipeline.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::digest::Digest;
use http::{
    HeaderName,
    header::{AUTHORIZATION, COOKIE},
};
use secrecy::ExposeSecret;

use super::{
    build_route::RouteParts,
    build_shared::{self, Shared},
};
use crate::{
    config::{ConfigError, CredentialSettings, KeySettings, Loaded, RouteSettings, Settings},
    decision::Decider,
    handle::{CacheSettings, Clerk, ClerkBuilder, SetupError},
    mutate::{managed_headers::ManagedNames, role_wish::X_HASURA_ROLE},
    pipeline::Pipeline,
    proxy::{self, BodyLimits, ReverseProxy, Tunnels, Upstream},
    request::TrustedProxies,
    route::{Pattern, Table},
    server::{Target, Tls, TlsError, Transport},
    telemetry::{access::AccessLog, traffic::RouteCounter},
};

/// Makes the handle of the configured instance; it refuses the sessions that `previous` refused, and counts its calls.
///
/// # Errors
///
/// What shows only now, such as a key that is none, with its place in the configuration.
pub(super) fn clerk(
    loaded: &Loaded,
    previous: Option<&Clerk>,
    shared: Option<&Shared>,
) -> Result<Clerk, ConfigError> {
    let settings = &loaded.settings;
    let clerk = &settings.clerk;
    let session = &settings.session;
    let mut builder = Clerk::builder()
        .issuer(clerk.instance.issuer())
        .clock_skew(clerk.clock_skew)
        .max_token_lifetime(clerk.max_token_lifetime)
        .audience(clerk.audience.clone())
        .pending(session.pending)
        .operation(session.operation)
        .on_unavailable(session.on_unavailable)
        .api_url(clerk.api_url.to_string())
        .cache(cache(settings))
        .replicas(clerk.replicas);
    if let Some(calls) = clerk.calls_per_10s {
        builder = builder.calls_per_10s(calls);
    }
    if let Some(key) = &clerk.publishable_key {
        builder = builder.publishable_key(key.as_str());
    }
    if let Some(key) = &clerk.secret_key {
        builder = builder.secret_key(key.expose_secret());
    }
    if let Some(parties) = &clerk.authorized_parties {
        builder = builder.authorized_parties(parties.clone());
    }
    if clerk.allow_missing_azp {
        builder = builder.allow_missing_azp();
    }
    if let Some(previous) = previous {
        builder = builder.succeeding(previous);
    }
    if let Some(shared) = shared {
        builder = build_shared::sharing(builder, shared);
    }
    keys(builder, &clerk.keys, clerk.instance.issuer())
        .build()
        .map_err(|error| refuse(loaded, setup_key(&error), &error))
}

/// Makes the pipeline of the configured routes.
///
/// # Errors
///
/// What shows only now, such as routes that cannot be ordered, with its place in the configuration.
pub(super) fn pipeline(
    loaded: &Loaded,
    clerk: &Clerk,
    upstreams: &Upstreams,
    tunnels: &Tunnels,
) -> Result<Pipeline<Target>, ConfigError> {
    let settings = &loaded.settings;
    let managed = managed_names(settings);
    let names = managed.clone();
    let names = proxy::ManagedNames::new(move |name| names.contains(name.as_str()));
    let proxy = ReverseProxy::new(names, tunnels.clone());
    let parts = RouteParts::new(settings, clerk);
    let mut table = Table::builder();
    for (index, route) in settings.routes.iter().enumerate() {
        let key = format!("route[{index}]");
        let pattern = Pattern {
            host: route.host.clone(),
            path: route.path.clone(),
            methods: route.methods.clone(),
        };
        let upstream = route.upstream.as_ref().map(|name| {
            let found = upstreams
                .get(name)
                .map(|(_, upstream)| Arc::clone(upstream));
            found.ok_or_else(|| loaded.refuse(&key, "names no upstream".to_owned(), "name one"))
        });
        let target = Target {
            upstream: upstream.transpose()?,
            proxy: proxy.clone(),
            counter: RouteCounter::new(&route.path),
            body: body_limits(route, settings),
        };
        if let Some(name) = managed_source(route, &managed) {
            let what =
                format!("looks for session IDs in {name}, a header that only the gateway sets");
            let fix = "use another header, as in x-session-id";
            return Err(loaded.refuse(&format!("{key}.credentials"), what, fix));
        }
        let built = parts
            .route(format!("{key} {pattern}"), route, target)
            .map_err(|error| refuse(loaded, &key, &error))?;
        table = table.insert(pattern, Arc::new(built));
    }
    let routes = table.build().map_err(|error| {
        let fix = "make one of them more specific, by host, path or methods";
        loaded.refuse("route", error.to_string(), fix)
    })?;
    let trusted = settings.server.trusted_proxies.clone();
    let trusted_proxies = TrustedProxies::new(trusted).map_err(|error| {
        let fix = "name the networks of your own proxies";
        loaded.refuse("server.trusted_proxies", error.to_string(), fix)
    })?;
    Ok(Pipeline {
        routes,
        managed,
        trusted_proxies,
        max_target_bytes: settings.server.max_uri_bytes,
        notes_clients: settings.log.access.is_some(),
        clock: clerk.clock().clone(),
    })
}

/// Makes what answers those who ask for decisions, where anybody may.
///
/// # Errors
///
/// Networks that are everybody's.
pub(super) fn decider(
    loaded: &Loaded,
    proxies: &TrustedProxies,
) -> Result<Option<Decider>, ConfigError> {
    let decision = &loaded.settings.decision;
    if !decision.is_on() {
        return Ok(None);
    }
    let callers = TrustedProxies::new(decision.trusted_callers.clone()).map_err(|error| {
        let fix = "name the networks of those who ask";
        loaded.refuse("decision.trusted_callers", error.to_string(), fix)
    })?;
    let names = answered_names(&loaded.settings);
    Ok(Some(Decider::new(callers, proxies, names)))
}

/// Every header that some route gives to an upstream or keeps from it; answers to proxies say all of them.
fn answered_names(settings: &Settings) -> Vec<HeaderName> {
    let mut names = vec![AUTHORIZATION, COOKIE];
    for route in &settings.routes {
        names.extend(route.headers.iter().map(|(name, _)| name.clone()));
        names.extend(route.token.iter().map(|token| token.header.clone()));
        names.extend(route.strip_headers.iter().cloned());
        names.extend(route.hasura.then_some(X_HASURA_ROLE));
        names.extend(route.credentials.iter().filter_map(|source| match source {
            CredentialSettings::Header(name) => Some(name.clone()),
            _ => None,
        }));
    }
    names
}

/// Makes what the public listener speaks.
///
/// # Errors
///
/// A certificate or key that cannot be used, with its place in the configuration.
pub(super) fn transport(loaded: &Loaded) -> Result<Transport, ConfigError> {
    let server = &loaded.settings.server;
    let Some(identity) = &server.tls else {
        return Ok(match server.h2c {
            true => Transport::PlainOrH2c,
            false => Transport::Plain,
        });
    };
    let tls = Tls::new(identity).map_err(|error| refuse_tls(loaded, &error))?;
    Ok(Transport::Tls(Arc::new(tls)))
}

/// Returns the error for certificates that cannot be used, with its place in the configuration.
pub(super) fn refuse_tls(loaded: &Loaded, error: &TlsError) -> ConfigError {
    let key = match error {
        TlsError::Certificate(index, _) => format!("server.tls[{index}].cert"),
        TlsError::Key(index, _) => format!("server.tls[{index}].key"),
        TlsError::ClientAuthorities(_) => "server.client_ca".to_owned(),
        _ => "server.tls".to_owned(),
    };
    let fix = "give PEM files: the certificate with its chain, and the key that it was made for";
    loaded.refuse(&key, error.to_string(), fix)
}

/// The upstreams by name, each with the digest of what it was made from.
pub(super) type Upstreams = HashMap<String, (Digest, Arc<Upstream>)>;

/// Makes the configured upstreams; those of `previous` that are still the same go on.
///
/// # Errors
///
/// What shows only now, such as a certificate that is none, with its place in the configuration.
pub(super) fn upstreams(loaded: &Loaded, previous: &Upstreams) -> Result<Upstreams, ConfigError> {
    let upstreams = loaded.settings.upstreams.iter().enumerate();
    upstreams
        .map(|(index, config)| {
            let digest = config.fingerprint();
            let kept = previous.get(&config.name);
            if let Some((_, same)) = kept.filter(|(known, _)| known.as_ref() == digest.as_ref()) {
                return Ok((config.name.clone(), (digest, Arc::clone(same))));
            }
            let upstream = Upstream::new(config.clone()).map_err(|error| {
                let fix = "see config/clerk-gateway.toml on [[upstream]]";
                loaded.refuse(&format!("upstream[{index}]"), error.to_string(), fix)
            })?;
            Ok((config.name.clone(), (digest, Arc::new(upstream))))
        })
        .collect()
}

/// Opens the access log, where there is to be one.
///
/// # Errors
///
/// A file that cannot be written, with its place in the configuration.
pub(super) fn access_log(loaded: &Loaded) -> Result<Option<AccessLog>, ConfigError> {
    let log = &loaded.settings.log;
    let Some(destination) = &log.access else {
        return Ok(None);
    };
    let opened = AccessLog::open(destination, log.access_format).map_err(|error| {
        let fix = "check that the folder is there and that this user may write to it";
        loaded.refuse("log.access", error.to_string(), fix)
    })?;
    Ok(Some(opened))
}

fn body_limits(route: &RouteSettings, settings: &Settings) -> BodyLimits {
    let server = &settings.server;
    let max_bytes = route.max_body_bytes.unwrap_or(server.max_body_bytes);
    BodyLimits {
        max_bytes: (max_bytes > 0).then_some(max_bytes),
        idle: server.body_idle_timeout,
    }
}

/// Every header that only the gateway sets, whichever route sets it.
fn managed_names(settings: &Settings) -> ManagedNames {
    let by_session = settings.routes.iter().flat_map(|route| &route.headers);
    let by_token = settings.routes.iter().filter_map(|route| {
        let header = &route.token.as_ref()?.header;
        (header != AUTHORIZATION).then_some(header)
    });
    ManagedNames::new(by_session.map(|(name, _)| name).chain(by_token))
}

/// Finds a bare-ID header that is dropped from every request before anyone could look for it.
fn managed_source<'a>(route: &'a RouteSettings, managed: &ManagedNames) -> Option<&'a HeaderName> {
    route
        .credentials
        .iter()
        .find_map(|credential| match credential {
            CredentialSettings::Header(name) if managed.contains(name.as_str()) => Some(name),
            _ => None,
        })
}

fn keys(builder: ClerkBuilder, keys: &KeySettings, issuer: &str) -> ClerkBuilder {
    match keys {
        // The builder's own choice, where there is a secret key and nothing else is said.
        KeySettings::BackendApi => builder,
        KeySettings::FrontendApi => builder.jwks_url(format!("{issuer}/.well-known/jwks.json")),
        KeySettings::Jwks(json) => builder.jwks(json),
        KeySettings::Pem(pem) => builder.jwt_key(pem),
        KeySettings::Url(url) => builder.jwks_url(url.to_string()),
    }
}

fn cache(settings: &Settings) -> CacheSettings {
    let cache = &settings.cache;
    CacheSettings {
        sessions: cache.sessions,
        tokens: cache.tokens,
        template_tokens: cache.template_tokens,
        session_ttl: cache.session_ttl,
        session_ttl_max: cache.session_ttl_max,
        negative_ttl: cache.negative_ttl,
        stale_if_error: cache.stale_if_error,
    }
}

/// Names the key of the configuration that an error speaks of.
fn setup_key(error: &SetupError) -> &'static str {
    match error {
        SetupError::Key(_) => "clerk.jwt_key",
        SetupError::Instance(_) => "clerk.publishable_key",
        SetupError::Client(_) => "clerk.secret_key",
        _ => "clerk",
    }
}

pub(super) fn refuse(loaded: &Loaded, key: &str, error: &SetupError) -> ConfigError {
    let fix = match error {
        SetupError::Key(_) => {
            "give the PEM public key, or the JWKS, of the Clerk dashboard's API keys page"
        }
        SetupError::Client(_) => {
            "see config/clerk-gateway.toml on clerk.secret_key and clerk.api_url"
        }
        _ => "see config/clerk-gateway.toml on this key",
    };
    loaded.refuse(key, error.to_string(), fix)
}
