//! What a sandbox starts with: the seed file.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::SandboxError;
use crate::session::SessionStatus;

/// A sandbox's first content: JSON, or TOML in builds with the gateway.
///
/// What it leaves out, the sandbox adds: without users it has a ready one in an organization,
/// without sessions the first user has one.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    /// The users; the first is the ready one.
    pub users: Vec<SeedUser>,
    /// The organizations.
    pub organizations: Vec<SeedOrganization>,
    /// Who is a member of what.
    pub memberships: Vec<SeedMembership>,
    /// The sessions; the first is the ready one.
    pub sessions: Vec<SeedSession>,
    /// JWT templates, beside the built-in `hasura`, `supabase` and `postgrest`.
    pub templates: Vec<SeedTemplate>,
    /// Custom claims of session tokens, with shortcodes.
    pub session_claims: Map<String, Value>,
    /// The key that signs tokens; absent: one made at start.
    pub signing_key: Option<SeedKey>,
}

/// A user of the seed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeedUser {
    /// `user_…`; absent: made up.
    pub id: Option<String>,
    /// The ID in another system.
    pub external_id: Option<String>,
    /// The username.
    pub username: Option<String>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// Verified addresses; the first is the primary one.
    pub email_address: Vec<String>,
    /// Verified numbers; the first is the primary one.
    pub phone_number: Vec<String>,
    /// Metadata that tokens may show.
    pub public_metadata: Map<String, Value>,
    /// Metadata for back ends alone.
    pub private_metadata: Map<String, Value>,
    /// Metadata that the user may write.
    pub unsafe_metadata: Map<String, Value>,
    /// The billing plan, as in `pro`.
    pub plan: Option<String>,
    /// The plan's features, as in `export`.
    pub features: Vec<String>,
}

/// An organization of the seed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeedOrganization {
    /// `org_…`; absent: made up.
    pub id: Option<String>,
    /// The name.
    pub name: String,
    /// The slug; absent: from the name.
    pub slug: Option<String>,
    /// Metadata that tokens may show.
    pub public_metadata: Map<String, Value>,
    /// Metadata for back ends alone.
    pub private_metadata: Map<String, Value>,
    /// The billing plan, as in `team`.
    pub plan: Option<String>,
    /// The plan's features, as in `invoices`.
    pub features: Vec<String>,
}

/// A membership of the seed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeedMembership {
    /// The user's ID.
    pub user: String,
    /// The organization's ID or slug.
    pub organization: String,
    /// The role with its prefix; absent: `org:member`.
    pub role: Option<String>,
    /// The role's permissions, as in `org:invoices:read`.
    pub permissions: Vec<String>,
    /// Metadata that tokens may show.
    pub public_metadata: Map<String, Value>,
}

/// A session of the seed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeedSession {
    /// `sess_…`; absent: made up.
    pub id: Option<String>,
    /// The user's ID; absent: the first user's.
    pub user: Option<String>,
    /// The active organization's ID or slug; absent: none.
    pub organization: Option<String>,
    /// The status; absent: active.
    pub status: Option<SessionStatus>,
    /// The impersonator, as in `{"sub": "user_…"}`.
    pub actor: Option<Value>,
    /// Seconds until the session expires; absent: seven days.
    pub expires_in: Option<u64>,
}

/// A JWT template of the seed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeedTemplate {
    /// The name that requests use.
    pub name: String,
    /// The claims, with shortcodes.
    pub claims: Map<String, Value>,
    /// Seconds that its tokens live, 30…315360000; absent: 60.
    pub lifetime: Option<u64>,
    /// Seconds that `nbf` lies before `iat`, 0…300; absent: 5.
    pub allowed_clock_skew: Option<u64>,
}

/// The seed's signing key.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SeedKey {
    /// The key ID; absent: the instance's ID.
    #[serde(default)]
    pub kid: Option<String>,
    /// An RSA private key, PKCS#8 PEM; `\n` escapes are allowed.
    pub pem: String,
}

impl Seed {
    /// Reads a seed file: TOML where its name ends in `.toml`, else JSON.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Seed`] where the file cannot be read or does not have a seed's form.
    pub fn read(path: &Path) -> Result<Self, SandboxError> {
        let wrong = |reason: String| SandboxError::Seed(format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        #[cfg(feature = "gateway")]
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            return toml::from_str(&text).map_err(|error| wrong(error.to_string()));
        }
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    }
}

impl std::fmt::Debug for SeedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
