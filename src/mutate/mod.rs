//! What the upstream is told: managed headers, the template token.

#[cfg(feature = "gateway")]
pub(crate) mod claim_header;
#[cfg(feature = "gateway")]
pub(crate) mod hasura_roles;
#[cfg(feature = "gateway")]
pub(crate) mod managed_headers;
#[cfg(feature = "gateway")]
pub(crate) mod role_wish;
#[cfg(feature = "client")]
mod shared_token;
#[cfg(feature = "gateway")]
pub(crate) mod strip_prefix;
#[cfg(feature = "client")]
pub(crate) mod template_token;
#[cfg(feature = "client")]
pub(crate) mod template_tokens;
#[cfg(feature = "client")]
mod token_key;
