//! When a call may be made again, and after how long.

use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::rand;
use http::{HeaderMap, Method, header::RETRY_AFTER};

use super::Error;
use crate::time::Timestamp;

/// The longest `Retry-After` believed; after it, one call asks again.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_DOUBLINGS: u32 = 5;

/// Tells whether repeating a failed call can do no harm.
///
/// Anything where Clerk certainly did nothing: no connection, or a 429. A `GET` also after 5xx and
/// after a connection lost half-way; a `POST` not, because Clerk may have acted on it.
pub(super) fn is_safe(method: &Method, error: &Error) -> bool {
    match error {
        Error::Connect(_) | Error::RateLimited { .. } => true,
        Error::Transport(_) => *method == Method::GET,
        Error::Refused(refusal) => *method == Method::GET && refusal.status >= 500,
        _ => false,
    }
}

/// Returns the pause before the next try, `tried` repetitions having been made.
pub(super) fn pause(tried: u32, error: &Error) -> Duration {
    let backoff = FIRST_PAUSE * 2_u32.pow(tried.min(MAX_DOUBLINGS));
    let asked_for = error.retry_after().unwrap_or_default();
    asked_for.max(backoff / 2) + jitter(backoff / 2)
}

/// Returns a random duration below `most`, so that callers do not come back together.
pub(super) fn jitter(most: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without randomness the callers come back together, which is no reason to fail.
    let _ = rand::fill(&mut bytes);
    most.mul_f64(f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
}

/// Reads `Retry-After`, in seconds or as an HTTP date: at most [`MAX_RETRY_AFTER`].
///
/// <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.bytes().all(|b| b.is_ascii_digit()) {
        // Digits that overflow are still a long time.
        true if !text.is_empty() => Duration::from_secs(text.parse().unwrap_or(u64::MAX)),
        _ => until(text, now)?,
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn until(date: &str, now: Timestamp) -> Option<Duration> {
    let date = httpdate::parse_http_date(date).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(0).plus(since_epoch).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clerk::Refusal;

    fn read(text: &'static str) -> Option<u64> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        // Sun, 06 Nov 1994 08:49:37 GMT.
        retry_after(&headers, Timestamp::from_secs(784_111_777)).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("10", Some(10)),
            (" 10 ", Some(10)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("86400", Some(600)),
            ("99999999999999999999999999", Some(600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(read(text), seconds, "{text:?}");
        }
    }

    #[test]
    fn only_harmless_repetitions_are_made() {
        let refused = |status| {
            Error::Refused(Box::new(Refusal {
                status,
                ..Refusal::default()
            }))
        };
        let limited = Error::RateLimited {
            retry_after: Duration::ZERO,
            refusal: None,
        };
        for (error, get, post) in [
            (refused(404), false, false),
            (refused(401), false, false),
            (refused(503), true, false),
            (limited, true, true),
            (Error::TimedOut, false, false),
        ] {
            assert_eq!(is_safe(&Method::GET, &error), get, "{error}");
            assert_eq!(is_safe(&Method::POST, &error), post, "{error}");
        }
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        for (tried, least, most) in [(0, 50, 100), (1, 100, 200), (u32::MAX, 1_600, 3_200)] {
            let pause = pause(tried, &Error::TimedOut).as_millis();
            assert!((least..=most).contains(&pause), "{tried}: {pause}");
        }
    }
}
