//! A stage's error becomes a refusal: every refusal's status is chosen here.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};

#[cfg(feature = "client")]
use crate::clerk::outage::Outage;
#[cfg(feature = "client")]
use crate::mutate::template_token::TemplateTokenError;
use crate::{
    credential::CredentialError,
    policy::Denied,
    problem::{Challenge, Problem},
    verify::VerifyError,
};
#[cfg(feature = "gateway")]
use crate::{
    limit::rate::RateLimited,
    mutate::{managed_headers::HeaderError, role_wish::RoleWishError},
    policy::cross_site::CrossSite,
    request::{HeadFault, RequestError},
    webhook::WebhookError,
};

/// Where Clerk does not say how long to wait, clients are told this.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request does not pass.
///
/// It tells the reason; what a stage knows beyond that is for logs (its source), never for the
/// response.
#[derive(Clone, Debug)]
pub struct Rejection(Cause);

#[derive(Clone, Debug)]
enum Cause {
    #[cfg(feature = "gateway")]
    CallerNotTrusted,
    Credential(CredentialError),
    #[cfg(feature = "gateway")]
    CrossSite(CrossSite),
    Denied(Denied),
    #[cfg(feature = "gateway")]
    EndpointNotFound,
    #[cfg(feature = "gateway")]
    Header(HeaderError),
    LayerMissing,
    #[cfg(feature = "gateway")]
    RateLimited(RateLimited),
    #[cfg(feature = "gateway")]
    Request(RequestError),
    #[cfg(feature = "gateway")]
    RoleWish(RoleWishError),
    #[cfg(feature = "gateway")]
    RouteNotFound,
    SessionTokenMissing,
    #[cfg(feature = "client")]
    TemplateToken(TemplateTokenError),
    Verify(VerifyError),
    #[cfg(feature = "gateway")]
    Webhook(WebhookError),
}

impl Rejection {
    /// The request presents no credential where one is required.
    pub(crate) fn session_token_missing() -> Self {
        Self(Cause::SessionTokenMissing)
    }

    /// An extractor ran without the layer.
    pub(crate) fn layer_missing() -> Self {
        Self(Cause::LayerMissing)
    }

    /// No route matches.
    #[cfg(feature = "gateway")]
    pub(crate) fn route_not_found() -> Self {
        Self(Cause::RouteNotFound)
    }

    /// Who asks is none of those who may.
    #[cfg(feature = "gateway")]
    pub(crate) fn caller_not_trusted() -> Self {
        Self(Cause::CallerNotTrusted)
    }

    /// No decision endpoint has this path.
    #[cfg(feature = "gateway")]
    pub(crate) fn endpoint_not_found() -> Self {
        Self(Cause::EndpointNotFound)
    }

    /// Tells whether the request merely presents no credential.
    #[cfg(feature = "axum")]
    pub(crate) fn is_signed_out(&self) -> bool {
        matches!(self.0, Cause::SessionTokenMissing)
    }

    /// Tells whether signing in is all that is missing: no credential, or one of a browser's past its time.
    #[cfg(feature = "gateway")]
    pub(crate) fn is_cured_by_sign_in(&self) -> bool {
        match &self.0 {
            Cause::SessionTokenMissing
            | Cause::Credential(
                CredentialError::ClientSignedOut | CredentialError::IssuedBeforeClientUat,
            ) => true,
            Cause::Verify(error) => error.is_out_of_time(),
            _ => false,
        }
    }

    /// Returns the rate that was exceeded, where it is that.
    #[cfg(feature = "gateway")]
    pub(crate) fn rate_limited(&self) -> Option<&RateLimited> {
        match &self.0 {
            Cause::RateLimited(limited) => Some(limited),
            _ => None,
        }
    }

    /// Names the check that refuses.
    #[cfg(feature = "gateway")]
    pub(crate) fn stage(&self) -> &'static str {
        match &self.0 {
            Cause::CallerNotTrusted | Cause::EndpointNotFound => "the decision endpoint",
            Cause::Request(_) => "the canonical request",
            Cause::RouteNotFound => "the routes",
            Cause::RateLimited(_) => "the rate limit",
            Cause::Credential(_) | Cause::SessionTokenMissing => "the credential",
            Cause::Verify(_) => "verification",
            Cause::CrossSite(_) => "the cross-site check",
            Cause::Denied(_) => "the policy",
            Cause::Header(_) => "the headers for the upstream",
            Cause::TemplateToken(_) => "the template token",
            Cause::RoleWish(_) => "the wished role",
            Cause::LayerMissing => "the set-up",
            Cause::Webhook(_) => "the webhook",
        }
    }

    /// Returns the reason slug, as in `token-expired`: Clerk's own where Clerk has one.
    pub fn reason(&self) -> &'static str {
        match &self.0 {
            #[cfg(feature = "gateway")]
            Cause::CallerNotTrusted => "caller-not-trusted",
            Cause::Credential(error) => error.slug(),
            #[cfg(feature = "gateway")]
            Cause::CrossSite(_) => "cross-site-request",
            Cause::Denied(denied) => denied.slug(),
            #[cfg(feature = "gateway")]
            Cause::EndpointNotFound => "decision-endpoint-not-found",
            #[cfg(feature = "gateway")]
            Cause::Header(error) => error.slug(),
            Cause::LayerMissing => "layer-missing",
            #[cfg(feature = "gateway")]
            Cause::RateLimited(_) => "rate-limited",
            #[cfg(feature = "gateway")]
            Cause::Request(error) => error.slug(),
            #[cfg(feature = "gateway")]
            Cause::RoleWish(error) => error.slug(),
            #[cfg(feature = "gateway")]
            Cause::RouteNotFound => "route-not-found",
            Cause::SessionTokenMissing => "session-token-missing",
            #[cfg(feature = "client")]
            Cause::TemplateToken(error) => error.slug(),
            Cause::Verify(error) => error.slug(),
            #[cfg(feature = "gateway")]
            Cause::Webhook(error) => error.slug(),
        }
    }

    /// Returns the response's status.
    pub fn status(&self) -> StatusCode {
        match &self.0 {
            Cause::Credential(_) | Cause::SessionTokenMissing => StatusCode::UNAUTHORIZED,
            Cause::Denied(_) => StatusCode::FORBIDDEN,
            #[cfg(feature = "gateway")]
            Cause::CallerNotTrusted | Cause::CrossSite(_) | Cause::Header(_) => {
                StatusCode::FORBIDDEN
            }
            Cause::LayerMissing => StatusCode::INTERNAL_SERVER_ERROR,
            #[cfg(feature = "gateway")]
            Cause::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            #[cfg(feature = "gateway")]
            Cause::Request(RequestError::MethodNotAllowed) => StatusCode::METHOD_NOT_ALLOWED,
            #[cfg(feature = "gateway")]
            Cause::Request(RequestError::TargetTooLong) => StatusCode::URI_TOO_LONG,
            #[cfg(feature = "gateway")]
            Cause::Request(
                RequestError::TooManyCookies | RequestError::Head(HeadFault::TooManyFields),
            ) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            #[cfg(feature = "gateway")]
            Cause::Request(_) => StatusCode::BAD_REQUEST,
            #[cfg(feature = "gateway")]
            Cause::RoleWish(RoleWishError::Repeated) => StatusCode::BAD_REQUEST,
            #[cfg(feature = "gateway")]
            Cause::RoleWish(RoleWishError::NotAllowed) => StatusCode::FORBIDDEN,
            #[cfg(feature = "gateway")]
            Cause::EndpointNotFound | Cause::RouteNotFound => StatusCode::NOT_FOUND,
            #[cfg(feature = "client")]
            Cause::TemplateToken(error) => template_token_status(error),
            Cause::Verify(error) => verify_status(error),
            #[cfg(feature = "gateway")]
            Cause::Webhook(error) => webhook_status(*error),
        }
    }

    /// Returns how long the client should wait before it tries again, where that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        let wait = match &self.0 {
            #[cfg(feature = "client")]
            Cause::Verify(VerifyError::Outage(Outage::RateLimited(wait))) => *wait,
            #[cfg(feature = "client")]
            Cause::TemplateToken(TemplateTokenError::Outage(Outage::RateLimited(wait))) => *wait,
            #[cfg(feature = "gateway")]
            Cause::RateLimited(limited) => Some(limited.retry_after),
            _ => None,
        };
        let passes = matches!(
            self.status(),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        passes.then(|| wait.unwrap_or(RETRY_AFTER).max(RETRY_AFTER))
    }

    /// Builds the response: problem+json (RFC 9457) with the reason as `code`, `no-store`, and the
    /// challenge of RFC 6750.
    pub fn to_response(&self) -> Response<Bytes> {
        self.problem(None).to_response()
    }

    /// Says what [`Rejection::to_response`] does, for the form to be chosen.
    pub(crate) fn problem<'a>(&self, request_id: Option<&'a str>) -> Problem<'a> {
        let status = self.status();
        Problem {
            status,
            code: self.reason(),
            detail: self.detail(),
            challenge: self.challenge(status),
            retry_after: self.retry_after().map(whole_seconds),
            request_id,
        }
    }

    fn challenge(&self, status: StatusCode) -> Option<Challenge> {
        match (&self.0, status) {
            (Cause::SessionTokenMissing, _) => Some(Challenge::Missing),
            (_, StatusCode::UNAUTHORIZED) => Some(Challenge::InvalidToken),
            (Cause::Denied(_), _) => Some(Challenge::InsufficientScope),
            _ => None,
        }
    }

    /// One sentence a status: the code tells the rest, and nothing of what was presented.
    fn detail(&self) -> &'static str {
        match &self.0 {
            #[cfg(feature = "gateway")]
            Cause::CallerNotTrusted => "Nobody at this address may ask for decisions.",
            Cause::LayerMissing => "The server is set up wrongly; its log says how.",
            Cause::SessionTokenMissing => "The request presents no session token.",
            #[cfg(feature = "gateway")]
            Cause::Webhook(WebhookError::Signature(_)) => {
                "The delivery is not known to be Clerk's."
            }
            #[cfg(feature = "gateway")]
            Cause::Webhook(WebhookError::NotShared) => {
                "The delivery holds here, and is to be sent again for the other replicas."
            }
            #[cfg(feature = "gateway")]
            Cause::Webhook(_) => "The delivery cannot be taken.",
            _ => match self.status() {
                StatusCode::BAD_REQUEST => "The request can be read in more than one way.",
                StatusCode::FORBIDDEN => "The session does not permit this request.",
                StatusCode::METHOD_NOT_ALLOWED => "The method is not served here.",
                StatusCode::NOT_FOUND => "Nothing is served here.",
                StatusCode::TOO_MANY_REQUESTS => "There are too many requests.",
                StatusCode::SERVICE_UNAVAILABLE => "The session cannot be checked just now.",
                StatusCode::URI_TOO_LONG => "The request's target is too long.",
                StatusCode::UNAUTHORIZED => "The presented credential is not accepted.",
                _ => "The request cannot be served.",
            },
        }
    }
}

/// Rounds up: who comes back a moment too early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn verify_status(error: &VerifyError) -> StatusCode {
    match error {
        #[cfg(feature = "client")]
        VerifyError::Outage(_) => StatusCode::SERVICE_UNAVAILABLE,
        #[cfg(feature = "client")]
        VerifyError::NotGood(_) | VerifyError::Revoked(_) => StatusCode::UNAUTHORIZED,
        VerifyError::Credential(_) | VerifyError::SessionIdNetworkless | VerifyError::Token(_) => {
            StatusCode::UNAUTHORIZED
        }
    }
}

// 400 for a bad signature too, as Clerk's own guides have it: there is no challenge to answer.
#[cfg(feature = "gateway")]
fn webhook_status(error: WebhookError) -> StatusCode {
    match error {
        WebhookError::Busy | WebhookError::NotShared => StatusCode::SERVICE_UNAVAILABLE,
        WebhookError::Event(_) | WebhookError::Signature(_) => StatusCode::BAD_REQUEST,
        WebhookError::Incomplete => StatusCode::REQUEST_TIMEOUT,
        WebhookError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
    }
}

#[cfg(feature = "client")]
fn template_token_status(error: &TemplateTokenError) -> StatusCode {
    match error {
        TemplateTokenError::OrganizationMismatch => StatusCode::FORBIDDEN,
        TemplateTokenError::Outage(_) => StatusCode::SERVICE_UNAVAILABLE,
        TemplateTokenError::Revoked(_) | TemplateTokenError::SessionNotGood => {
            StatusCode::UNAUTHORIZED
        }
        TemplateTokenError::TemplateNotFound | TemplateTokenError::Unreadable => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

impl From<CredentialError> for Rejection {
    fn from(error: CredentialError) -> Self {
        Self(Cause::Credential(error))
    }
}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Self {
        Self(Cause::Denied(denied))
    }
}

impl From<VerifyError> for Rejection {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Credential(error) => error.into(),
            error => Self(Cause::Verify(error)),
        }
    }
}

#[cfg(feature = "client")]
impl From<TemplateTokenError> for Rejection {
    fn from(error: TemplateTokenError) -> Self {
        Self(Cause::TemplateToken(error))
    }
}

#[cfg(feature = "gateway")]
impl From<RequestError> for Rejection {
    fn from(error: RequestError) -> Self {
        Self(Cause::Request(error))
    }
}

#[cfg(feature = "gateway")]
impl From<WebhookError> for Rejection {
    fn from(error: WebhookError) -> Self {
        Self(Cause::Webhook(error))
    }
}

#[cfg(feature = "gateway")]
impl From<RoleWishError> for Rejection {
    fn from(error: RoleWishError) -> Self {
        Self(Cause::RoleWish(error))
    }
}

#[cfg(feature = "gateway")]
impl From<HeaderError> for Rejection {
    fn from(error: HeaderError) -> Self {
        Self(Cause::Header(error))
    }
}

#[cfg(feature = "gateway")]
impl From<CrossSite> for Rejection {
    fn from(error: CrossSite) -> Self {
        Self(Cause::CrossSite(error))
    }
}

#[cfg(feature = "gateway")]
impl From<RateLimited> for Rejection {
    fn from(error: RateLimited) -> Self {
        Self(Cause::RateLimited(error))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status().as_u16(), self.reason())
    }
}

impl std::error::Error for Rejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Cause::Credential(error) => Some(error),
            #[cfg(feature = "gateway")]
            Cause::CrossSite(error) => Some(error),
            Cause::Denied(denied) => Some(denied),
            #[cfg(feature = "gateway")]
            Cause::Header(error) => Some(error),
            #[cfg(feature = "gateway")]
            Cause::RateLimited(error) => Some(error),
            #[cfg(feature = "gateway")]
            Cause::Request(error) => Some(error),
            #[cfg(feature = "gateway")]
            Cause::RoleWish(error) => Some(error),
            #[cfg(feature = "gateway")]
            Cause::CallerNotTrusted | Cause::EndpointNotFound | Cause::RouteNotFound => None,
            Cause::LayerMissing | Cause::SessionTokenMissing => None,
            #[cfg(feature = "client")]
            Cause::TemplateToken(error) => Some(error),
            Cause::Verify(error) => Some(error),
            #[cfg(feature = "gateway")]
            Cause::Webhook(error) => Some(error),
        }
    }
}
