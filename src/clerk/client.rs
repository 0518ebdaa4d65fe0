//! The client of Clerk's Backend API, and how it is built.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::ACCEPT, header::AUTHORIZATION};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

#[cfg(feature = "redis")]
use super::books::Books;
#[cfg(feature = "gateway")]
use super::budget::Pace;
use super::{
    Error, Sessions,
    budget::{Budget, Priority},
    endpoint, gate,
    jwks::MAX_JWKS,
    transport::{API_VERSION, Call, Limits, Transport, http_client},
};
use crate::{
    telemetry::metrics,
    time::{Clock, Timestamp},
};

const API_URL: &str = "https://api.clerk.com";
const DEFAULT_API_VERSION: &str = "2026-05-12";

/// Nine tenths of what Clerk allows a production and a development instance: others call Clerk too.
/// <https://clerk.com/docs/guides/how-clerk-works/system-limits>
const PRODUCTION_CALLS: u32 = 900;
const DEVELOPMENT_CALLS: u32 = 90;

/// A client of Clerk's Backend API; a clone costs one reference count and shares everything.
///
/// Its connections, and the wait that Clerk asks for when its rate limit is used up, are shared by
/// all clones: make one for the process.
///
/// ```no_run
/// use clerk_gateway::clerk::{Client, SessionQuery};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder(std::env::var("CLERK_SECRET_KEY")?.into()).build()?;
/// let page = client.sessions().list(&SessionQuery::new().user_id("user_1")).await?;
/// for session in page.data {
///     println!("{} {}", session.id, session.status);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    base: Url,
    api: Transport,
    /// Clerk does not limit its JWKS, so another operation's 429 must not withhold keys.
    jwks: Transport,
}

/// Builds a [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    secret_key: SecretString,
    api_url: String,
    api_version: String,
    calls_per_10s: Option<u32>,
    replicas: u32,
    #[cfg(feature = "redis")]
    books: Option<Arc<Books>>,
    limits: Limits,
    clock: Clock,
}

/// Why a client cannot be built; secrets and whole URLs are left out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The API version cannot be a header's value.
    #[error("the API version must be a date as in 2026-05-12")]
    ApiVersion,
    /// The HTTP client cannot be set up, as where the machine has no certificates.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A production key would go over plain HTTP.
    #[error("a sk_live_ key is never sent over http: use an https API URL, or a sk_test_ key")]
    LiveKeyOverHttp,
    /// Plain HTTP to a host that is not this machine.
    #[error("http is only for loopback, which {0:?} is not: use https")]
    PlainHttp(String),
    /// The secret key has not Clerk's form.
    #[error("the secret key must be sk_test_… or sk_live_… as the Clerk dashboard shows it")]
    SecretKey,
    /// The URL is not one to talk to.
    #[error("the URL must be https://host, without a user, a query or a fragment")]
    Url,
}

impl Client {
    /// Starts building a client with an instance's secret key, `sk_test_…` or `sk_live_…`.
    pub fn builder(secret_key: SecretString) -> ClientBuilder {
        ClientBuilder {
            secret_key,
            api_url: API_URL.to_owned(),
            api_version: DEFAULT_API_VERSION.to_owned(),
            calls_per_10s: None,
            replicas: 1,
            #[cfg(feature = "redis")]
            books: None,
            limits: Limits::default(),
            clock: Clock::system(),
        }
    }

    /// Returns the operations of the Sessions API.
    pub fn sessions(&self) -> Sessions {
        Sessions::new(Some(self.clone()))
    }

    /// Fetches the instance's key set, `GET /jwks`: the body as it came, 64 KiB at most.
    ///
    /// # Errors
    ///
    /// As every operation: see [`Error`].
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/JWKS>
    pub async fn jwks(&self) -> Result<Bytes, Error> {
        let call = Call {
            max_body: MAX_JWKS,
            ..self.call("GetJWKS", Method::GET, "/jwks")
        };
        self.0.jwks.send(call).await
    }

    /// Starts a call; what comes from outside in `path` must have been checked.
    pub(super) fn call(&self, operation: &'static str, method: Method, path: &str) -> Call {
        Call::new(operation, method, endpoint::under(&self.0.base, path))
    }

    /// Tells whether Clerk refused the secret key when it was last sent.
    pub(crate) fn is_key_refused(&self) -> bool {
        self.0.api.is_key_refused() || self.0.jwks.is_key_refused()
    }

    /// Tells whether calls are held back because Clerk's rate limit, or our part of it, is used up.
    pub(crate) fn is_rate_limited(&self) -> bool {
        self.0.api.gate().is_closed()
    }

    /// Returns which part of the budget of calls is used up, from 0 to about 1.
    pub(crate) fn pressure(&self, now: Timestamp) -> f64 {
        self.0.api.gate().pressure(now)
    }

    /// Tells whether a call may be made now; counts one that is left out.
    pub(crate) fn has_room(&self, priority: Priority) -> bool {
        let has_room = self.0.api.gate().has_room(priority);
        if !has_room {
            metrics::clerk_call_limited(priority.label(), gate::turned_away(priority));
        }
        has_room
    }

    /// Returns what is left of the budget of calls.
    #[cfg(feature = "gateway")]
    pub(crate) fn pace(&self) -> Pace {
        self.0.api.gate().pace()
    }

    /// Returns the client that takes another's place: the calls made by that one count as its own.
    #[cfg(feature = "gateway")]
    pub(crate) fn succeeding(mut self, previous: &Self) -> Self {
        // Nobody else has it yet.
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.api.succeed(&previous.0.api);
        }
        self
    }

    pub(super) async fn send(&self, call: Call) -> Result<Bytes, Error> {
        self.0.api.send(call).await
    }
}

impl ClientBuilder {
    /// Sets the API's URL, by default `https://api.clerk.com`; a `/v1` at its end is tolerated.
    ///
    /// `http` is for loopback alone, and never with a `sk_live_` key.
    pub fn api_url(mut self, url: &str) -> Self {
        url.clone_into(&mut self.api_url);
        self
    }

    /// Sets the API's version, by default `2026-05-12`: sent as `Clerk-API-Version`.
    pub fn api_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.api_version);
        self
    }

    /// Sets how long making a connection may take, by default 2 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout;
        self
    }

    /// Sets how long a call may take with all its repetitions and waits, by default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// Sets how often a call is made again where that is safe, by default 2 times.
    ///
    /// A `GET` is repeated after 429, 5xx and a failed connection; a `POST` only where Clerk did
    /// nothing: after 429, and where no connection was made.
    pub fn retries(mut self, retries: u32) -> Self {
        self.limits.retries = retries;
        self
    }

    /// Sets how many calls may be made in any 10 seconds by all who share this budget; 0: any number.
    ///
    /// By default nine tenths of what Clerk allows the instance: 900 with a `sk_live_` key, else 90. What does not
    /// fit waits for half of the time-out at most, and then fails as [`Error::RateLimited`]; calls in the
    /// background are left out before that. A 429 halves the budget, which then grows again.
    pub fn calls_per_10s(mut self, calls: u32) -> Self {
        self.calls_per_10s = Some(calls);
        self
    }

    /// Sets how many processes share the budget, by default 1: each takes its part, and one call at least. A gateway
    /// whose replicas share a Redis takes from the whole, and keeps to its part where Redis is away.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas.max(1);
        self
    }

    /// Counts calls in these books, which may be a fleet's.
    #[cfg(feature = "redis")]
    pub(crate) fn books(mut self, books: Arc<Books>) -> Self {
        self.books = Some(books);
        self
    }

    /// Sets the clock that `Retry-After` is reckoned by, by default the system's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the client; nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the key, the URL or the version cannot be used.
    pub fn build(self) -> Result<Client, ClientError> {
        let base = endpoint::parse_base(&self.api_url)?;
        let key = self.secret_key.expose_secret().trim();
        if base.scheme() == "http" && key.starts_with("sk_live_") {
            return Err(ClientError::LiveKeyOverHttp);
        }
        let headers = headers(key, &self.api_version)?;
        let http = http_client(&base, self.limits.connect_timeout, headers)?;
        let transport = |budget| {
            let (limits, clock) = (self.limits.clone(), self.clock.clone());
            Transport::new(http.clone(), limits, clock, budget)
        };
        Ok(Client(Arc::new(Inner {
            api: transport(self.budget(key)),
            jwks: transport(Budget::new(0)),
            base,
        })))
    }

    fn budget(&self, key: &str) -> Budget {
        let by_kind = match key.starts_with("sk_live_") {
            true => PRODUCTION_CALLS,
            false => DEVELOPMENT_CALLS,
        };
        let budget = Budget::new(self.calls_per_10s.unwrap_or(by_kind)).among(self.replicas);
        #[cfg(feature = "redis")]
        if let Some(books) = &self.books {
            return budget.counted_in(Arc::clone(books));
        }
        budget
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("api_url", &self.0.base.as_str())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("api_version", &self.api_version)
            .finish_non_exhaustive()
    }
}

fn headers(key: &str, api_version: &str) -> Result<HeaderMap, ClientError> {
    if !key.starts_with("sk_") || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ClientError::SecretKey);
    }
    let mut bearer =
        HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| ClientError::SecretKey)?;
    bearer.set_sensitive(true);
    let is_date = api_version.bytes().all(|b| b.is_ascii_graphic()) && !api_version.is_empty();
    let version = HeaderValue::from_str(api_version)
        .ok()
        .filter(|_| is_date)
        .ok_or(ClientError::ApiVersion)?;
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, bearer),
        (API_VERSION, version),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ]))
}

#[cfg(all(test, feature = "gateway"))]
mod tests {
    use super::*;

    #[test]
    fn each_replica_takes_its_part_of_the_calls_that_the_instances_kind_may_make() {
        let live = || Client::builder("sk_live_key".into());
        let test = || Client::builder("sk_test_key".into());
        for (builder, calls) in [
            (live(), Some(900)),
            (test(), Some(90)),
            (live().replicas(4), Some(225)),
            (test().replicas(400), Some(1)),
            (test().replicas(0), Some(90)),
            (test().calls_per_10s(50).replicas(2), Some(25)),
            (live().calls_per_10s(0), None),
        ] {
            let client = builder.build().unwrap();
            assert_eq!(client.pace().left, calls);
        }
    }
}
