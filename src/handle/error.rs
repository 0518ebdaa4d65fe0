//! What cannot be set up, and what to do about it.

#[cfg(feature = "client")]
use crate::clerk::ClientError;
use crate::{
    credential::SourcesError,
    instance::InstanceError,
    verify::{KeyError, ProfileError},
};

/// Why a handle, a layer or a gateway cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The client of Clerk's API cannot be made.
    #[cfg(feature = "client")]
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An environment variable is not Unicode.
    #[error("the environment variable {0} is not valid unicode")]
    Environment(&'static str),
    /// A header's name is not one.
    #[error("{0:?} is not a header name")]
    HeaderName(String),
    /// The issuer or the publishable key is not one.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The verification key or key set is not usable.
    #[error("the verification key is not usable: {0}")]
    Key(#[source] KeyError),
    /// A bare-ID source comes with networkless verification, which cannot look IDs up.
    #[error(
        "bare session IDs need verification through the Sessions API: remove the source, or the networkless mode"
    )]
    NetworklessSessionId,
    /// There is nothing to verify tokens with.
    #[error(
        "there is no key to verify tokens with: set CLERK_JWT_KEY (or a JWKS), CLERK_SECRET_KEY, or CLERK_PUBLISHABLE_KEY"
    )]
    NoKeys,
    /// A bare-ID source comes without a way to tell who sent a request.
    #[error(
        "bare session IDs are for trusted callers, and nothing says who sent a request: add .peer(…) to the SessionLayer's builder"
    )]
    NoPeer,
    /// There is no issuer.
    #[error("there is no issuer to check tokens against: set CLERK_PUBLISHABLE_KEY, or the issuer")]
    NoIssuer,
    /// Something needs the secret key, which is absent.
    #[error(
        "{0} needs Clerk's secret key: set CLERK_SECRET_KEY, or verify networkless and mint nothing"
    )]
    NoSecretKey(&'static str),
    /// A bare-ID source comes without the callers that may use it.
    #[error(
        "a bare session ID proves nothing by itself: name the trusted callers whose IDs are accepted (session_id_callers)"
    )]
    NoSessionIdCallers,
    /// A token is to be forwarded, and no template is named.
    #[error("there is no template token to forward: name its template")]
    NoTemplate,
    /// The token profile is not usable.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A trusted caller is not a CIDR.
    #[error("session_id_callers: {0:?} is not a CIDR, as in 127.0.0.0/8")]
    SessionIdCaller(String),
    /// The credential sources cannot work.
    #[error("{0}")]
    Sources(String),
    /// A template's name cannot be one, or its lifetime is out of range.
    #[error(
        "template token {0:?}: a template's name is letters, digits, _ and -, and its lifetime 30 s to 315360000 s"
    )]
    Template(String),
}

impl From<SourcesError> for SetupError {
    fn from(error: SourcesError) -> Self {
        Self::Sources(error.to_string())
    }
}
