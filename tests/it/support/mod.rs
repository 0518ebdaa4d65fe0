//! What several tests arrange: a sandbox and a handle on one clock, a service that shows what it
//! was given, and requests.

pub(crate) mod meanwhile;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod redis;
pub(crate) mod scene;
pub(crate) mod upstream;
pub(crate) mod wire;

use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use clerk_gateway::{
    CacheSettings, Clerk, ClerkBuilder, Clock, Session, SessionLayer, TemplateToken, Timestamp,
    layer::ResponseBody, sandbox::Sandbox,
};
use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Layer, ServiceExt};

pub(crate) type Body = Full<Bytes>;

/// A sandbox and a clock that it shares with the handles made from it.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Clock,
}

/// What a service behind the layer was given.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) session: Option<Session>,
    pub(crate) token: Option<TemplateToken>,
    pub(crate) headers: HeaderMap,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let clock = Clock::manual(Timestamp::from_secs(now.as_secs().try_into().unwrap()));
        // The built-in key: making one takes most of a test's time.
        let sandbox = Sandbox::builder().deterministic().clock(clock.clone());
        let sandbox = sandbox.start().await;
        Self {
            sandbox: sandbox.unwrap(),
            clock,
        }
    }

    /// A handle that asks the sandbox, on the same clock.
    pub(crate) fn builder(&self) -> ClerkBuilder {
        Clerk::builder()
            .publishable_key(self.sandbox.publishable_key())
            .secret_key(self.sandbox.secret_key())
            .api_url(self.sandbox.url())
            .clock(self.clock.clone())
    }

    pub(crate) fn clerk(&self) -> Clerk {
        self.builder().build().unwrap()
    }

    /// A fresh token of the ready session.
    pub(crate) fn token(&self) -> String {
        self.sandbox.mint(self.sandbox.session_id())
    }

    pub(crate) fn lookups(&self) -> usize {
        self.sandbox.requests("GetSession")
    }

    pub(crate) fn mints(&self) -> usize {
        self.sandbox.requests("CreateSessionTokenFromTemplate")
    }

    pub(crate) fn pass(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }
}

/// Caches that outlive nothing: each test says what it needs.
pub(crate) fn cache(session_ttl: u64, stale: u64) -> CacheSettings {
    CacheSettings {
        session_ttl: Duration::from_secs(session_ttl),
        stale_if_error: Duration::from_secs(stale),
        ..CacheSettings::default()
    }
}

/// Puts what it was given into the response's extensions.
pub(crate) async fn show(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let seen = Seen {
        session: request.extensions().get().cloned(),
        token: request.extensions().get().cloned(),
        headers: request.headers().clone(),
    };
    let mut response = Response::new(Body::default());
    response.extensions_mut().insert(seen);
    Ok(response)
}

pub(crate) async fn call(
    layer: &SessionLayer,
    request: Request<Body>,
) -> Response<ResponseBody<Body>> {
    let service = layer.layer(tower::service_fn(show));
    service.oneshot(request).await.unwrap()
}

/// The status, and the reason in the refusal's body (empty where the request passed).
pub(crate) async fn verdict(layer: &SessionLayer, request: Request<Body>) -> (StatusCode, String) {
    let response = call(layer, request).await;
    let status = response.status();
    (status, code(response).await)
}

pub(crate) async fn code(response: Response<ResponseBody<Body>>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}

/// What the inner service was given; panics where the request was refused.
pub(crate) async fn seen(layer: &SessionLayer, request: Request<Body>) -> Seen {
    let response = call(layer, request).await;
    let seen = response.extensions().get::<Seen>().cloned();
    seen.unwrap_or_else(|| panic!("refused: {}", response.status()))
}

pub(crate) fn plain() -> Request<Body> {
    Request::new(Body::default())
}

pub(crate) fn bearer(token: &str) -> Request<Body> {
    with("authorization", &format!("Bearer {token}"))
}

pub(crate) fn cookie(value: &str) -> Request<Body> {
    with("cookie", value)
}

pub(crate) fn with(name: &str, value: &str) -> Request<Body> {
    Request::builder()
        .header(name, value)
        .body(Body::default())
        .unwrap()
}

/// A refusal's verdict.
pub(crate) fn refused(status: u16, code: &str) -> (StatusCode, String) {
    (StatusCode::from_u16(status).unwrap(), code.to_owned())
}

/// A pass's verdict.
pub(crate) fn passed() -> (StatusCode, String) {
    refused(200, "")
}

pub(crate) fn has_authorization(seen: &Seen) -> Option<String> {
    let value = seen.headers.get(AUTHORIZATION)?;
    Some(value.to_str().unwrap().to_owned())
}
