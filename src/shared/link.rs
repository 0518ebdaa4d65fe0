//! Connections to Redis, and how long to wait before the next try.

use std::time::Duration;

use aws_lc_rs::rand;
use redis::{
    AsyncConnectionConfig, Client, RedisResult, TlsCertificates, aio::MultiplexedConnection,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::SharedError;

/// A connection that is not there by then is none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Waits double from the first to the longest; each is cut at random, so that replicas do not come back together.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Where Redis is.
#[derive(Debug)]
pub(super) struct Link(Client);

/// The waits between tries.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Link {
    /// Takes a URL, and PEM of the authorities that count where not the system's do; nothing is connected yet.
    pub(super) fn new(url: &str, authorities: Option<&str>) -> Result<Self, SharedError> {
        let client = Client::open(url).map_err(SharedError::Address)?;
        match authorities {
            None => Ok(Self(client)),
            Some(pem) => trusting(url, pem).map(Self),
        }
    }

    /// Returns the address, without user and password.
    pub(super) fn address(&self) -> String {
        self.0.get_connection_info().addr().to_string()
    }

    /// Connects; an answer that takes longer than `patience` ends a command with an error.
    pub(super) async fn connect(&self, patience: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(patience));
        let connecting = self.0.get_multiplexed_async_connection_with_config(&config);
        connecting.await
    }
}

fn trusting(url: &str, pem: &str) -> Result<Client, SharedError> {
    // None at all is no error to the client, and trusts nobody.
    if CertificateDer::pem_slice_iter(pem.as_bytes())
        .next()
        .is_none()
    {
        return Err(SharedError::Authorities);
    }
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(pem.into()),
    };
    Client::build_with_tls(url, certificates).map_err(|_| SharedError::Authorities)
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self(FIRST_WAIT)
    }

    /// Returns how long to wait: between half of the time that is due and all of it.
    pub(super) fn next(&mut self) -> Duration {
        let mut bytes = [0; 2];
        // Without randomness the replicas come back together, which is no reason to fail.
        let _ = rand::fill(&mut bytes);
        let part = 0.5 + f64::from(u16::from_le_bytes(bytes)) / 131_072.0;
        let due = self.0;
        self.0 = (due * 2).min(LONGEST_WAIT);
        due.mul_f64(part)
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new();
        let mut due = FIRST_WAIT;
        for _ in 0..20 {
            let wait = backoff.next();
            assert!(due / 2 <= wait && wait <= due, "{wait:?} of {due:?}");
            due = (due * 2).min(LONGEST_WAIT);
        }
        assert_eq!(due, LONGEST_WAIT);
        backoff.reset();
        assert!(backoff.next() <= FIRST_WAIT);
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let link = Link::new("redis://user:secret@127.0.0.1:6380/2", None).unwrap();
        assert_eq!(link.address(), "127.0.0.1:6380");
        assert!(Link::new("http://127.0.0.1", None).is_err());
    }
}
