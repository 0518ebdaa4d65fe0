//! RFC 9457 problem bodies and RFC 6750 challenges: how a refusal looks on the wire.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};

/// What a refusal tells the client; nothing of a token, a key or another program's error is in it.
#[derive(Clone, Debug)]
pub(crate) struct Problem<'a> {
    pub(crate) status: StatusCode,
    /// The reason slug.
    pub(crate) code: &'a str,
    /// One sentence for the developer who reads the answer.
    pub(crate) detail: &'a str,
    pub(crate) challenge: Option<Challenge>,
    /// In seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) request_id: Option<&'a str>,
}

/// The `WWW-Authenticate` challenge of RFC 6750 §3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Challenge {
    /// No credential was presented: no error code (§3.1).
    Missing,
    /// The credential is malformed, expired, revoked or otherwise invalid.
    InvalidToken,
    /// The credential is good and does not suffice.
    InsufficientScope,
}

impl Problem<'_> {
    /// Builds the response.
    pub(crate) fn to_response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(value) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        if let Some(secs) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }

    fn body(&self) -> Bytes {
        let mut body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if let Some(id) = self.request_id {
            body["request_id"] = id.into();
        }
        Bytes::from(body.to_string())
    }

    fn challenge(&self) -> Option<HeaderValue> {
        let error = match self.challenge? {
            Challenge::Missing => return Some(HeaderValue::from_static("Bearer")),
            Challenge::InvalidToken => "invalid_token",
            Challenge::InsufficientScope => "insufficient_scope",
        };
        let code = self.code;
        HeaderValue::try_from(format!(
            r#"Bearer error="{error}", error_description="{code}""#
        ))
        .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(challenge: Option<Challenge>) -> Problem<'static> {
        Problem {
            status: StatusCode::UNAUTHORIZED,
            code: "token-expired",
            detail: "The session token has expired.",
            challenge,
            retry_after: Some(3),
            request_id: Some("req_1"),
        }
    }

    #[test]
    fn a_refusal_is_a_problem_that_nobody_stores() {
        let response = problem(None).to_response();
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["retry-after"], "3");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank", "title": "Unauthorized", "status": 401,
                "detail": "The session token has expired.", "code": "token-expired",
                "request_id": "req_1",
            })
        );
    }

    #[test]
    fn challenges_follow_rfc_6750() {
        for (challenge, header) in [
            (Challenge::Missing, "Bearer"),
            (
                Challenge::InvalidToken,
                r#"Bearer error="invalid_token", error_description="token-expired""#,
            ),
            (
                Challenge::InsufficientScope,
                r#"Bearer error="insufficient_scope", error_description="token-expired""#,
            ),
        ] {
            let response = problem(Some(challenge)).to_response();
            assert_eq!(response.headers()[WWW_AUTHENTICATE], header);
        }
    }
}
