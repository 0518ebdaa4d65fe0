//! Public key sets, fetched without a secret key.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::ACCEPT};
use reqwest::Url;

use super::{
    ClientError, Error,
    budget::Budget,
    endpoint,
    transport::{Call, Limits, Transport, http_client},
};
use crate::time::Clock;

/// The most of a key set that is read, in bytes.
pub(super) const MAX_JWKS: usize = 64 * 1024;

/// A public key set's URL, as a Frontend API's `https://<host>/.well-known/jwks.json`.
///
/// It has the time-outs and repetitions of a [`Client`](super::Client) with its defaults, and no
/// secret.
pub struct PublicJwks {
    url: Url,
    transport: Transport,
}

impl PublicJwks {
    /// Takes the key set's URL: `https`, or `http` on loopback.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the URL is not one to fetch, or the HTTP client cannot be set up.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let url = endpoint::parse(url)?;
        let limits = Limits::default();
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(ACCEPT, json)]);
        let http = http_client(&url, limits.connect_timeout, headers)?;
        Ok(Self {
            url,
            transport: Transport::new(http, limits, Clock::system(), Budget::new(0)),
        })
    }

    /// Fetches the key set: the body as it came, 64 KiB at most.
    ///
    /// # Errors
    ///
    /// [`Error`] where it could not be had.
    pub async fn fetch(&self) -> Result<Bytes, Error> {
        let call = Call {
            max_body: MAX_JWKS,
            ..Call::new("GetPublicJWKS", Method::GET, self.url.clone())
        };
        self.transport.send(call).await
    }
}

impl fmt::Debug for PublicJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicJwks")
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}
