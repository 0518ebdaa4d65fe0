//! `[sign_out]`: where callers end their own session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    checks,
    error::Findings,
    session::{CredentialSettings, SessionSettings},
};

/// `[sign_out]` as it is written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SignOutSection {
    /// Where a POST revokes the caller's session, on the public listener; nowhere unless set.
    pub(crate) path: Option<String>,
}

/// `[sign_out]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct SignOutSettings {
    pub(crate) path: String,
    /// The session's, without those that prove nothing but an ID; never empty.
    pub(crate) credentials: Vec<CredentialSettings>,
}

impl SignOutSection {
    /// Returns the settings; `None` where nobody signs out here, or after noting what is wrong.
    pub(crate) fn check(
        &self,
        session: &SessionSettings,
        findings: &mut Findings,
    ) -> Option<SignOutSettings> {
        let path = self.path.as_ref()?;
        checks::own_path("sign_out.path", path, findings);
        let proves = |source: &&CredentialSettings| {
            matches!(
                source,
                CredentialSettings::Bearer | CredentialSettings::Cookie
            )
        };
        let credentials: Vec<_> = session.credentials.iter().filter(proves).cloned().collect();
        if credentials.is_empty() && !findings.is_broken("session.credentials") {
            let what = "is set, but callers present no session tokens";
            let fix = "add \"bearer\" or \"cookie\" to session.credentials, or remove the key";
            findings.problem("sign_out.path", what, fix);
        }
        Some(SignOutSettings {
            path: path.clone(),
            credentials,
        })
    }
}
