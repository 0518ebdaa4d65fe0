//! From when until when a certificate is good.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use webpki::{EndEntityCert, Error, KeyUsage};

use crate::time::Timestamp;

/// The time in which a certificate is good, both ends included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Validity {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl Validity {
    /// Reads it from a certificate.
    ///
    /// # Errors
    ///
    /// Times that are none, or in the wrong order.
    pub(super) fn of(certificate: &EndEntityCert<'_>) -> Result<Self, Error> {
        let from = match judged_at(Duration::ZERO, certificate) {
            Error::CertNotValidYet { not_before, .. } => timestamp(not_before),
            error @ (Error::BadDer | Error::BadDerTime | Error::InvalidCertValidity) => {
                return Err(error);
            }
            _ => Timestamp::from_secs(0),
        };
        match judged_at(Duration::MAX, certificate) {
            Error::CertExpired { not_after, .. } => Ok(Self {
                from,
                until: timestamp(not_after),
            }),
            error => Err(error),
        }
    }
}

/// Judges a certificate by nobody's authority: webpki looks at the time first, and says the
/// certificate's own only where it is not good.
fn judged_at(since_1970: Duration, certificate: &EndEntityCert<'_>) -> Error {
    let time = UnixTime::since_unix_epoch(since_1970);
    let usage = KeyUsage::server_auth();
    let judged = certificate.verify_for_usage(&[], &[], &[], time, usage, None, None);
    judged.err().unwrap_or(Error::UnknownIssuer)
}

fn timestamp(time: UnixTime) -> Timestamp {
    Timestamp::from_secs(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIUUnu8cm1snBJm2ua3kdk9MDzPPucwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHZ3cudGVzdDAeFw0yNjExMjkwOTE2NTNaFw0yNzAyMjcwOTE2
NTNaMBIxEDAOBgNVBAMMB2d3LnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASXDyJT6ICSP4LBZg6AUV3vJjzCFprnG0+snMwn4rxgBuKzYuUsco4KT1dnfbHr
C1QONZ/2c5HMnhJ/voADB2Smo1MwUTAdBgNVHQ4EFgQUVA00lMHgKNfOaAOeEhTF
ZTMmH9wwHwYDVR0jBBgwFoAUVA00lMHgKNfOaAOeEhTFZTMmH9wwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAi/lHLmQUbmifvLrHjEfYTD+IZkAs
IUNjyOCVNotqsngCIQDGwXSrEcP0SWIJ8uWUcK5+BaNdJRM7I2hGkyf2qEC4sA==
-----END CERTIFICATE-----";

    #[test]
    fn a_certificate_says_from_when_until_when_it_is_good() {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let parsed = EndEntityCert::try_from(&certificate).unwrap();
        let validity = Validity {
            from: Timestamp::from_secs(1_795_943_813),
            until: Timestamp::from_secs(1_803_719_813),
        };
        assert_eq!(Validity::of(&parsed).unwrap(), validity);
    }

    #[test]
    fn times_in_the_wrong_order_are_an_error() {
        let mut der = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes())
            .unwrap()
            .to_vec();
        // Both ends are UTCTimes of 13 bytes; the first becomes later than the second.
        let at = der.windows(2).position(|tag| tag == [0x17, 13]).unwrap();
        der[at + 2..at + 4].copy_from_slice(b"49");
        let certificate = CertificateDer::from(der);
        let parsed = EndEntityCert::try_from(&certificate).unwrap();
        assert!(matches!(
            Validity::of(&parsed),
            Err(Error::InvalidCertValidity)
        ));
    }
}
