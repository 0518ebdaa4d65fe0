//! One call to Clerk: the attempts, their pauses, and a body that is never longer than wanted.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_LENGTH, header::CONTENT_TYPE,
};
use reqwest::{Response, Url};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    ClientError, Error, Refusal,
    budget::{Budget, Priority},
    gate::{Gate, Patience},
    model::ClerkErrors,
    retry::{is_safe, pause, retry_after},
};
use crate::{telemetry::metrics, time::Clock};

/// The most of an ordinary answer that is read, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The wait after a 429 that names none.
const UNNAMED_WAIT: Duration = Duration::from_secs(1);
/// Longer time-outs are as good as none.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The name and version we give ourselves.
const USER_AGENT: &str = concat!("clerk-gateway/", env!("CARGO_PKG_VERSION"));

/// The header that selects the API's version.
pub(super) const API_VERSION: http::HeaderName = http::HeaderName::from_static("clerk-api-version");

/// How long a call may take, and how often it is made again.
#[derive(Clone)]
pub(super) struct Limits {
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
    pub(super) retries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            retries: 2,
        }
    }
}

/// What is asked of Clerk.
pub(super) struct Call {
    /// Clerk's name of the operation, for metrics.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    /// JSON; absent: a body of no length.
    pub(super) body: Option<Bytes>,
    /// Sent instead of the client's own API version.
    pub(super) api_version: Option<HeaderValue>,
    /// In bytes.
    pub(super) max_body: usize,
    pub(super) priority: Priority,
}

impl Call {
    /// Asks without a body, for an ordinary answer.
    pub(super) fn new(operation: &'static str, method: Method, url: Url) -> Self {
        Self {
            operation,
            method,
            url,
            body: None,
            api_version: None,
            max_body: MAX_BODY,
            priority: Priority::Request,
        }
    }
}

/// Names a call's end for metrics.
fn outcome(result: &Result<Bytes, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(Error::RateLimited { .. }) => "rate_limited",
        Err(error) if error.is_unavailable() => "unavailable",
        Err(_) => "refused",
    }
}

/// Makes calls, within limits.
pub(super) struct Transport {
    http: reqwest::Client,
    limits: Limits,
    clock: Clock,
    gate: Gate,
    key_refused: AtomicBool,
}

impl Transport {
    pub(super) fn new(http: reqwest::Client, limits: Limits, clock: Clock, budget: Budget) -> Self {
        Self {
            http,
            limits,
            gate: Gate::new(clock.clone(), budget),
            clock,
            key_refused: AtomicBool::new(false),
        }
    }

    /// Makes a call, again where that is safe, until the total time-out; returns a 2xx's body.
    pub(super) async fn send(&self, call: Call) -> Result<Bytes, Error> {
        let began = Instant::now();
        let deadline = began + self.limits.timeout.min(MAX_TIMEOUT);
        let patience = Patience {
            closed: deadline,
            budget: began + self.limits.timeout.min(MAX_TIMEOUT) / 2,
        };
        let result = timeout_at(deadline, self.attempts(&call, patience))
            .await
            .unwrap_or(Err(Error::TimedOut));
        metrics::clerk_request(call.operation, outcome(&result), began.elapsed());
        self.note_key(&result);
        result
    }

    /// Tells whether Clerk refused the secret key when it was last sent.
    pub(super) fn is_key_refused(&self) -> bool {
        self.key_refused.load(Ordering::Relaxed)
    }

    /// Returns where its calls wait.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Takes the place of another: its calls count as this one's, and so does a wait that Clerk asked for.
    #[cfg(feature = "gateway")]
    pub(super) fn succeed(&mut self, previous: &Self) {
        self.gate.succeed(&previous.gate);
    }

    fn note_key(&self, result: &Result<Bytes, Error>) {
        match result {
            Ok(_) => self.key_refused.store(false, Ordering::Relaxed),
            Err(error) if error.names_the_key() => {
                if !self.key_refused.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "clerk refuses the secret key: check CLERK_SECRET_KEY");
                }
            }
            Err(_) => {}
        }
    }

    async fn attempts(&self, call: &Call, patience: Patience) -> Result<Bytes, Error> {
        let mut tried = 0;
        loop {
            self.gate.pass(call.priority, patience).await?;
            let error = match self.attempt(call).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            if let Error::RateLimited { retry_after, .. } = &error {
                self.gate.close_for(*retry_after);
                tracing::warn!(wait = ?retry_after, "clerk's rate limit is used up");
            }
            let wait = pause(tried, &error);
            let fits = wait < patience.closed.saturating_duration_since(Instant::now());
            if tried == self.limits.retries || !fits || !is_safe(&call.method, &error) {
                return Err(error);
            }
            tracing::debug!(%error, ?wait, "asking clerk again");
            sleep(wait).await;
            tried += 1;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Bytes, Error> {
        let mut request = self.http.request(call.method.clone(), call.url.clone());
        request = match &call.body {
            Some(body) => request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone()),
            // hyper would leave it out, and some servers then ask for it (411).
            None if call.method == Method::POST => request.header(CONTENT_LENGTH, "0"),
            None => request,
        };
        if let Some(version) = &call.api_version {
            request = request.header(API_VERSION, version);
        }
        let response = request.send().await.map_err(Error::transport)?;
        if response.status().is_success() {
            return read(response, call.max_body).await;
        }
        Err(self.refusal(response).await)
    }

    async fn refusal(&self, response: Response) -> Error {
        let status = response.status();
        let retry_after = retry_after(response.headers(), self.clock.now());
        let ray = text(response.headers(), "cf-ray");
        let body = match read(response, MAX_BODY).await {
            Ok(body) => body,
            Err(error) if needs_words(status) => return error,
            Err(_) => Bytes::new(),
        };
        let errors = errors(&body);
        let refusal = Box::new(Refusal {
            status: status.as_u16(),
            clerk_trace_id: errors.clerk_trace_id.clone().or(ray),
            errors,
            retry_after,
        });
        match status {
            StatusCode::GONE => Error::OperationDeprecated(refusal),
            StatusCode::TOO_MANY_REQUESTS => Error::RateLimited {
                retry_after: retry_after.unwrap_or(UNNAMED_WAIT),
                refusal: Some(refusal),
            },
            _ => Error::Refused(refusal),
        }
    }
}

/// Builds the HTTP client for `url`, which sends `headers` with every request.
pub(super) fn http_client(
    url: &Url,
    connect_timeout: Duration,
    headers: HeaderMap,
) -> Result<reqwest::Client, ClientError> {
    let mut builder = reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(USER_AGENT)
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .tcp_keepalive(KEEP_ALIVE)
        .http2_keep_alive_interval(KEEP_ALIVE);
    if url.scheme() == "http" {
        // No TLS will be spoken, and a machine without certificates must still do.
        builder = builder.tls_certs_only([]);
    }
    builder
        .build()
        .map_err(|error| ClientError::Http(Box::new(error)))
}

/// Reads a body, and stops reading where it passes `limit`.
async fn read(mut response: Response, limit: usize) -> Result<Bytes, Error> {
    let too_large = Error::BodyTooLarge { limit };
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).map_or(true, |length| length > limit) {
        return Err(too_large);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(Error::transport)? {
        if body.len() + chunk.len() > limit {
            return Err(too_large);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Tells whether only its body says what a refusal means: what is not known, and whose fault it is.
fn needs_words(status: StatusCode) -> bool {
    let says_enough = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    );
    status.is_client_error() && !says_enough
}

/// Reads Clerk's errors, whatever content type they came with; none where it is not its JSON.
fn errors(body: &[u8]) -> ClerkErrors {
    let text = String::from_utf8_lossy(body);
    serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
