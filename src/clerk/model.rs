//! Clerk's wire types: what its API says, open to fields and values it may add.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::session::SessionStatus;

/// A session as the Sessions API gives it; all times are Unix milliseconds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SessionObject {
    /// `"session"`.
    #[serde(default = "session_word")]
    pub object: String,
    /// `sess_…`.
    pub id: String,
    /// `user_…`.
    pub user_id: String,
    /// `client_…`.
    pub client_id: String,
    /// The impersonator; free-form, `sub` names them.
    #[serde(default)]
    pub actor: Option<Value>,
    /// The session's status.
    pub status: SessionStatus,
    /// `org_…` of the active organization.
    #[serde(default)]
    pub last_active_organization_id: Option<String>,
    /// When the session was last seen active.
    pub last_active_at: i64,
    /// Where it was last seen.
    #[serde(default)]
    pub latest_activity: Option<SessionActivity>,
    /// When its allowed period ends.
    pub expire_at: i64,
    /// When it counts as given up.
    pub abandon_at: i64,
    /// When it last changed.
    pub updated_at: i64,
    /// When it began.
    pub created_at: i64,
    /// What the user still has to do; `pending` sessions have some.
    #[serde(default)]
    pub tasks: Option<Vec<SessionTask>>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A device that a session was seen on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SessionActivity {
    /// `"session_activity"`.
    #[serde(default)]
    pub object: String,
    /// The activity's ID.
    pub id: String,
    /// Whether the device is a mobile one.
    #[serde(default)]
    pub is_mobile: bool,
    /// The device's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// The browser's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_name: Option<String>,
    /// The browser's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_version: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// The city the address is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// The country the address is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// Something a pending session's user must do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SessionTask {
    /// Which task, as in `choose-organization`.
    pub key: String,
}

/// One page of sessions; read from either shape that the list comes in, an array or this object.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(from = "ListShape")]
#[non_exhaustive]
pub struct SessionPage {
    /// The page's sessions, newest first.
    pub data: Vec<SessionObject>,
    /// How many there are in all; only the paginated shape tells.
    pub total_count: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ListShape {
    Bare(Vec<SessionObject>),
    Paginated {
        data: Vec<SessionObject>,
        #[serde(default)]
        total_count: Option<u64>,
    },
}

/// A minted token.
#[derive(Clone, Deserialize, Serialize)]
#[non_exhaustive]
pub struct MintedToken {
    /// `"token"`; an answer may leave it out.
    #[serde(default = "token_word")]
    pub object: String,
    /// The token: a secret.
    pub jwt: String,
}

/// What a refresh gives: a token, or the cookies to set.
#[derive(Clone, Deserialize, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Refreshed {
    /// `Set-Cookie` values, asked for with the `cookie` format: secrets.
    Cookies {
        /// `"cookies"`; an answer may leave it out.
        #[serde(default = "cookies_word")]
        object: String,
        /// The header's values, one a cookie.
        cookies: Vec<String>,
    },
    /// A new session token.
    Token(MintedToken),
}

/// Clerk's error body.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClerkErrors {
    /// The errors, the most important first.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub errors: Vec<ClerkError>,
    /// Free-form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
    /// Clerk's trace ID, to quote to its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clerk_trace_id: Option<String>,
}

/// One of Clerk's errors.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClerkError {
    /// The code, as in `resource_not_found`.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub code: String,
    /// A short text.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub message: String,
    /// A longer text.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub long_message: String,
    /// Free-form, as in `{"param_name": "user_id"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
}

fn session_word() -> String {
    "session".to_owned()
}

fn token_word() -> String {
    "token".to_owned()
}

fn cookies_word() -> String {
    "cookies".to_owned()
}

/// Reads an error body's part as empty where it is `null`, so that one `null` does not lose the rest.
fn null_as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl From<ListShape> for SessionPage {
    fn from(shape: ListShape) -> Self {
        match shape {
            ListShape::Bare(data) => Self {
                data,
                total_count: None,
            },
            ListShape::Paginated { data, total_count } => Self { data, total_count },
        }
    }
}

impl std::fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cookies { .. } => "Cookies(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

impl std::fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintedToken").finish_non_exhaustive()
    }
}
