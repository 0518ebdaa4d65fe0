//! `[webhooks]`: where Clerk's webhooks come in, and what signs them.

use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{
    checks,
    error::Findings,
    secret::{Secret, ValueOrFile, read_secret},
};
use crate::webhook::SigningSecret;

/// `[webhooks]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebhooksSection {
    /// Where Clerk posts them, on the public listener; an ordinary path unless a secret is set.
    pub(crate) path: String,
    /// The signing secret of Clerk's dashboard; better CLERK_WEBHOOK_SIGNING_SECRET, or in files.
    pub(crate) secret: Option<Secret>,
    /// The files with signing secrets, one each: several while they are rotated.
    pub(crate) secret_files: Vec<PathBuf>,
}

/// `[webhooks]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct WebhookSettings {
    pub(crate) path: String,
    /// Never empty: any of them may have signed.
    pub(crate) secrets: Vec<SigningSecret>,
}

impl Default for WebhooksSection {
    fn default() -> Self {
        Self {
            path: "/-/webhooks/clerk".to_owned(),
            secret: None,
            secret_files: Vec::new(),
        }
    }
}

impl WebhooksSection {
    /// Returns the settings; `None` where there is no secret, or after noting what is wrong.
    pub(crate) fn check(&self, findings: &mut Findings) -> Option<WebhookSettings> {
        checks::own_path("webhooks.path", &self.path, findings);
        let given = ValueOrFile {
            key: "webhooks.secret",
            value: self.secret.as_ref(),
            file: None,
        };
        let given = given.read_secret(findings);
        let given = given.map(|text| ("webhooks.secret".to_owned(), text));
        let mut texts: Vec<_> = given.into_iter().collect();
        for (index, path) in self.secret_files.iter().enumerate() {
            let key = format!("webhooks.secret_files[{index}]");
            if let Some(text) = read_secret(&key, path, findings) {
                texts.push((key, text.trim().into()));
            }
        }
        let mut secrets = Vec::new();
        for (key, text) in texts {
            match SigningSecret::parse(text.expose_secret()) {
                Ok(secret) => secrets.push(secret),
                Err(error) => {
                    let what = format!("is no signing secret: {error}");
                    let fix = "copy it from the endpoint's page in the Clerk dashboard";
                    findings.problem(&key, what, fix);
                }
            }
        }
        (!secrets.is_empty()).then(|| WebhookSettings {
            path: self.path.clone(),
            secrets,
        })
    }
}
