//! Whether a credential is genuine, and its session still good.

mod claims;
mod json;
mod jws;
pub mod keys;
mod permissions;
mod profile;
pub mod session_token;

pub use keys::{KeyError, KeySet};
pub use session_token::{
    Malformed, Pending, ProfileError, TokenError, TokenProfile, verify as verify_session_token,
};
