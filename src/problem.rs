//! How a refusal looks on the wire: RFC 9457 problem bodies with RFC 6750 challenges, and gRPC's status.

use bytes::Bytes;
#[cfg(feature = "gateway")]
use http::{HeaderMap, HeaderName, header::LOCATION, header::VARY};
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};

#[cfg(feature = "gateway")]
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
#[cfg(feature = "gateway")]
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The content types of gRPC and gRPC-Web, as a refusal answers them; the first is for all others of theirs.
#[cfg(feature = "gateway")]
const GRPC_TYPES: [&str; 6] = [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// The request headers that a refusal, and its form, depend on.
#[cfg(feature = "gateway")]
const FORM_DEPENDS_ON: HeaderValue = HeaderValue::from_static(
    "accept, authorization, cookie, content-type, sec-fetch-dest, sec-fetch-mode",
);

/// The form in which a client understands a refusal.
#[cfg(feature = "gateway")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// RFC 9457 `application/problem+json`.
    Problem,
    /// A gRPC response of trailers alone, of this content type.
    Grpc(&'static str),
}

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

    /// Builds the response in a form.
    #[cfg(feature = "gateway")]
    pub(crate) fn to_response_in(&self, form: Form) -> Response<Bytes> {
        let mut response = match form {
            Form::Problem => self.to_response(),
            Form::Grpc(content_type) => self.to_grpc(content_type),
        };
        response.headers_mut().insert(VARY, FORM_DEPENDS_ON);
        response
    }

    /// Builds gRPC's response of trailers alone: they stand where the headers do, and no body follows.
    #[cfg(feature = "gateway")]
    fn to_grpc(&self, content_type: &'static str) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(GRPC_STATUS, HeaderValue::from(grpc_status(self.status)));
        // A slug needs no percent-encoding.
        if let Ok(message) = HeaderValue::from_str(self.code) {
            headers.insert(GRPC_MESSAGE, message);
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

#[cfg(feature = "gateway")]
impl Form {
    /// Returns the form that the sender of these headers understands.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map_or(&[][..], |v| v.as_bytes());
        let (name, rest) = content_type
            .split_at_checked(GRPC_TYPES[0].len())
            .unwrap_or_default();
        let is_grpc = name.eq_ignore_ascii_case(GRPC_TYPES[0].as_bytes())
            && matches!(rest.first(), None | Some(b'+' | b'-' | b';' | b' '));
        if !is_grpc {
            return Self::Problem;
        }
        let known = GRPC_TYPES
            .iter()
            .find(|known| content_type.eq_ignore_ascii_case(known.as_bytes()));
        Self::Grpc(known.unwrap_or(&GRPC_TYPES[0]))
    }
}

/// Sends a browser to where its user signs in.
#[cfg(feature = "gateway")]
pub(crate) fn sign_in_redirect(location: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, FORM_DEPENDS_ON);
    response
}

/// Returns the gRPC status code that says what an HTTP status says.
#[cfg(feature = "gateway")]
fn grpc_status(status: StatusCode) -> u16 {
    const UNKNOWN: u16 = 2;
    const INVALID_ARGUMENT: u16 = 3;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match status {
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => UNIMPLEMENTED,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYLOAD_TOO_LARGE => RESOURCE_EXHAUSTED,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            UNAVAILABLE
        }
        StatusCode::INTERNAL_SERVER_ERROR => INTERNAL,
        status if status.is_client_error() => INVALID_ARGUMENT,
        _ => UNKNOWN,
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

    #[cfg(feature = "gateway")]
    #[test]
    fn grpc_is_told_by_its_content_type_alone() {
        for (content_type, form) in [
            ("application/grpc", Form::Grpc("application/grpc")),
            (
                "Application/gRPC+proto",
                Form::Grpc("application/grpc+proto"),
            ),
            (
                "application/grpc-web-text",
                Form::Grpc("application/grpc-web-text"),
            ),
            ("application/grpc;x=y", Form::Grpc("application/grpc")),
            ("application/grpc+json", Form::Grpc("application/grpc")),
            ("application/grpcish", Form::Problem),
            ("application/json", Form::Problem),
            ("text/application/grpc", Form::Problem),
            ("", Form::Problem),
        ] {
            let value = HeaderValue::from_static(content_type);
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            assert_eq!(Form::of(&headers), form, "{content_type}");
        }
        assert_eq!(Form::of(&HeaderMap::new()), Form::Problem);
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn grpc_gets_trailers_alone_with_the_reason() {
        let response = problem(None).to_response_in(Form::Grpc("application/grpc"));
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.body().is_empty());
        let headers = response.headers();
        assert_eq!(headers["grpc-status"], "16");
        assert_eq!(headers["grpc-message"], "token-expired");
        assert_eq!(headers["cache-control"], "no-store");
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn grpc_statuses_say_what_the_http_status_says() {
        for (status, code) in [
            (400, 3),
            (401, 16),
            (403, 7),
            (404, 12),
            (413, 8),
            (414, 3),
            (429, 8),
            (431, 3),
            (500, 13),
            (502, 14),
            (503, 14),
            (504, 14),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(grpc_status(status), code, "{status}");
        }
    }
}
