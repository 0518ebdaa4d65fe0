//! The admin port: is the process alive, is it ready, what runs, what has it counted; and its operations.

use std::{fmt, net::IpAddr, sync::Arc};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE},
    },
    middleware::{Next, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Drain, connection::ConnectionInfo, gateway::Gateway};
use crate::{
    clerk::id::SessionId,
    handle::NotReady,
    instance::is_loopback,
    telemetry::{exporter::Exporter, shared, traffic, webhooks},
};

/// Reads the configuration again; the error is for people.
pub(crate) type Reload = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the admin port speaks of.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) gateway: Gateway,
    pub(crate) exporter: Exporter,
    pub(crate) drain: Drain,
    pub(crate) reload: Reload,
    /// What operations need; `None`: to come from this machine, and not by way of a browser.
    pub(crate) token: Option<SecretString>,
}

impl Admin {
    /// Returns the port's pages and operations.
    pub(crate) fn router(self) -> Router {
        let admit = from_fn_with_state(self.clone(), admit);
        Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/config", get(config))
            .route("/reload", post(reload).route_layer(admit.clone()))
            .route(
                "/sessions/{id}/evict",
                post(evict).route_layer(admit.clone()),
            )
            .route("/sessions/{id}/revoke", post(revoke).route_layer(admit))
            .layer(map_response(no_store))
            .with_state(self)
    }
}

async fn no_store(mut response: Response) -> Response {
    let value = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, value);
    response
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let current = admin.gateway.current();
    let mut reasons: Vec<Value> = Vec::new();
    if admin.drain.has_begun() {
        reasons.push("draining".into());
    }
    if let Err(NotReady { reason }) = current.clerk.ready().await {
        reasons.push(reason.into());
    }
    for upstream in current.upstreams.iter().filter(|up| !up.is_healthy()) {
        reasons.push(format!("upstream-unhealthy: {}", upstream.name()).into());
    }
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    let body = json!({ "ready": false, "reason": reasons.first(), "reasons": reasons });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let clerk = &admin.gateway.current().clerk;
    traffic::build_info();
    if let Some(age) = clerk.keys_age() {
        traffic::keys_age(age);
    }
    if let Some(pace) = clerk.pace() {
        traffic::budget(pace.left, pace.held_back, pace.is_shared);
    }
    webhooks::revocations(clerk.revocations().len());
    if let Some(is_up) = clerk.revocations().is_connected() {
        shared::up(is_up);
    }
    let text = admin.exporter.render();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn config(State(admin): State<Admin>) -> String {
    admin.gateway.current().shown.clone()
}

async fn reload(State(admin): State<Admin>) -> Response {
    let reload = admin.reload;
    let outcome = tokio::task::spawn_blocking(move || reload()).await;
    match outcome.unwrap_or_else(|_| Err("the reload broke off".to_owned())) {
        Ok(()) => Json(json!({ "reloaded": true })).into_response(),
        Err(error) => {
            let body = json!({ "reloaded": false, "error": error });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    }
}

async fn evict(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let Ok(id) = SessionId::parse(&id) else {
        return no_session_id();
    };
    admin.gateway.current().clerk.evict_session(id.as_str());
    Json(json!({ "evicted": true })).into_response()
}

/// Refuses the session here first, so that it ends at once whatever Clerk answers; then asks Clerk to end it.
async fn revoke(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let Ok(id) = SessionId::parse(&id) else {
        return no_session_id();
    };
    let clerk = admin.gateway.current().clerk.clone();
    clerk.refuse_session(id.as_str());
    tracing::info!(
        session.id = id.as_str(),
        "session revoked by the admin port"
    );
    if !clerk.can_ask() {
        let body = json!({ "revoked": true, "clerk": "not-asked" });
        return Json(body).into_response();
    }
    match clerk.sessions().revoke(id.as_str()).await {
        Ok(session) => {
            Json(json!({ "revoked": true, "clerk": session.status.as_str() })).into_response()
        }
        Err(error) => {
            tracing::warn!(session.id = id.as_str(), %error, "clerk has not revoked the session");
            let body = json!({
                "revoked": true,
                "clerk": "failed",
                "error": error.to_string(),
            });
            (StatusCode::BAD_GATEWAY, Json(body)).into_response()
        }
    }
}

fn no_session_id() -> Response {
    refused(
        StatusCode::BAD_REQUEST,
        "write a session's ID, as in sess_2abc",
    )
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

/// Lets operations through for who may ask for them.
async fn admit(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectionInfo>();
    let peer = peer.map(|connection| connection.peer.address());
    match judge(admin.token.as_ref(), peer, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(Inadmissible::Token) => {
            let mut response = refused(StatusCode::UNAUTHORIZED, &Inadmissible::Token.to_string());
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            response
        }
        Err(error) => refused(StatusCode::FORBIDDEN, &error.to_string()),
    }
}

/// Why an operation is not carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Inadmissible {
    Browser,
    Elsewhere,
    Token,
}

impl fmt::Display for Inadmissible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Browser => "operations are not for pages in a browser",
            Self::Elsewhere => {
                "without server.admin_token_file, operations are for this machine alone"
            }
            Self::Token => "send the token of server.admin_token_file as a bearer",
        })
    }
}

fn judge(
    token: Option<&SecretString>,
    peer: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<(), Inadmissible> {
    if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err(Inadmissible::Browser);
    }
    let Some(token) = token else {
        // A page of another site, whose name was made to lead here, sends that name.
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.map(without_port);
        let here = peer.is_some_and(|peer| peer.is_loopback()) && host.is_some_and(is_loopback);
        return here.then_some(()).ok_or(Inadmissible::Elsewhere);
    };
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return Err(Inadmissible::Token);
    };
    let sent = value.as_bytes().strip_prefix(b"Bearer ");
    let good = sent.is_some_and(|sent| {
        verify_slices_are_equal(sent, token.expose_secret().as_bytes()).is_ok()
    });
    good.then_some(()).ok_or(Inadmissible::Token)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(
        token: Option<&str>,
        peer: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(), Inadmissible> {
        let pair = |(name, value): &(&'static str, &str)| {
            let name = axum::http::HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        let token = token.map(SecretString::from);
        judge(token.as_ref(), peer.parse().ok(), &headers)
    }

    #[test]
    fn without_a_token_operations_are_for_this_machine_alone() {
        for (peer, host, good) in [
            ("127.0.0.1", "127.0.0.1:9090", true),
            ("127.0.0.1", "localhost:9090", true),
            ("::1", "[::1]:9090", true),
            ("127.0.0.1", "evil.test:9090", false),
            ("127.0.0.1", "localhost.evil.test", false),
            ("192.0.2.1", "127.0.0.1:9090", false),
        ] {
            let expected = if good {
                Ok(())
            } else {
                Err(Inadmissible::Elsewhere)
            };
            assert_eq!(
                judged(None, peer, &[("host", host)]),
                expected,
                "{peer} {host}"
            );
        }
        assert_eq!(judged(None, "127.0.0.1", &[]), Err(Inadmissible::Elsewhere));
    }

    #[test]
    fn with_a_token_it_is_all_that_counts() {
        for (value, good) in [
            ("Bearer 0123456789abcdef", true),
            ("Bearer 0123456789abcdeX", false),
            ("Bearer 0123456789abcde", false),
            ("bearer 0123456789abcdef", false),
            ("Basic 0123456789abcdef", false),
        ] {
            let expected = if good {
                Ok(())
            } else {
                Err(Inadmissible::Token)
            };
            let headers = [("authorization", value)];
            assert_eq!(
                judged(Some("0123456789abcdef"), "192.0.2.1", &headers),
                expected,
                "{value}"
            );
        }
        let none = judged(
            Some("0123456789abcdef"),
            "127.0.0.1",
            &[("host", "localhost")],
        );
        assert_eq!(none, Err(Inadmissible::Token));
    }

    #[test]
    fn a_page_in_a_browser_is_never_let_through() {
        for header in [
            ("origin", "http://localhost:9090"),
            ("sec-fetch-site", "same-origin"),
        ] {
            let headers = [
                header,
                ("host", "localhost"),
                ("authorization", "Bearer 0123456789abcdef"),
            ];
            for token in [None, Some("0123456789abcdef")] {
                assert_eq!(
                    judged(token, "127.0.0.1", &headers),
                    Err(Inadmissible::Browser)
                );
            }
        }
    }
}
