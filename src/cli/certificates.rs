//! Warns of certificates that are not good, or soon will not be.

use std::time::Duration;

use crate::{
    config::{Loaded, Problem},
    server::{ServedCertificate, Tls},
    telemetry::access::rfc3339,
    time::Timestamp,
};

/// Certificates of 90 days are renewed 30 days before they end: one with less was forgotten.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Returns a warning for each certificate that is not good at `now`, or not for long.
pub(super) fn warnings(loaded: &Loaded, tls: &Tls, now: Timestamp) -> Vec<Problem> {
    let warning = |(index, certificate): (usize, ServedCertificate)| {
        let (what, fix) = judge(&certificate, now)?;
        Some(loaded.note(&format!("server.tls[{index}].cert"), what, fix))
    };
    let certificates = tls.certificates().into_iter().enumerate();
    certificates.filter_map(warning).collect()
}

fn judge(certificate: &ServedCertificate, now: Timestamp) -> Option<(String, &'static str)> {
    const RENEW: &str = "put a renewed one there, with its key: it is read at the next reload";
    let (file, validity) = (&certificate.file, certificate.validity);
    if now > validity.until {
        let what = format!("{file} expired at {}", date(validity.until));
        return Some((what, RENEW));
    }
    if now < validity.from {
        let what = format!("{file} is good only from {} on", date(validity.from));
        return Some((
            what,
            "check this machine's clock, or use another certificate",
        ));
    }
    if validity.until.since(now) < SOON {
        let what = format!("{file} expires at {}", date(validity.until));
        return Some((what, RENEW));
    }
    None
}

fn date(time: Timestamp) -> String {
    rfc3339(time.since(Timestamp::from_secs(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Validity;

    #[test]
    fn a_certificate_is_warned_of_in_its_last_two_weeks_and_outside_its_time() {
        const DAY: i64 = 24 * 60 * 60;
        let certificate = ServedCertificate {
            file: "cert.pem".to_owned(),
            validity: Validity {
                from: Timestamp::from_secs(10 * DAY),
                until: Timestamp::from_secs(100 * DAY),
            },
        };
        for (now, said) in [
            (
                10 * DAY - 1,
                Some("cert.pem is good only from 1970-01-11T00:00:00.000Z on"),
            ),
            (10 * DAY, None),
            (86 * DAY, None),
            (
                86 * DAY + 1,
                Some("cert.pem expires at 1970-04-11T00:00:00.000Z"),
            ),
            (
                100 * DAY,
                Some("cert.pem expires at 1970-04-11T00:00:00.000Z"),
            ),
            (
                100 * DAY + 1,
                Some("cert.pem expired at 1970-04-11T00:00:00.000Z"),
            ),
        ] {
            let judged = judge(&certificate, Timestamp::from_secs(now));
            let what = judged.as_ref().map(|(what, _)| what.as_str());
            assert_eq!(what, said, "{now}");
        }
    }
}
