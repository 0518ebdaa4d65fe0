//! `[clerk]`: which instance, whose keys, what its tokens must say.

use std::{path::PathBuf, time::Duration};

use http::Uri;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    checks,
    duration::Period,
    error::Findings,
    secret::{Secret, ValueOrFile, read_text},
};
use crate::instance::{Instance, PublishableKey};

/// `[clerk]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClerkSection {
    /// The instance's secret key; better in `secret_key_file` or `CLERK_SECRET_KEY`.
    pub(crate) secret_key: Option<Secret>,
    /// The file that holds the secret key.
    pub(crate) secret_key_file: Option<PathBuf>,
    /// The publishable key: gives issuer, Frontend API and cookie suffix.
    pub(crate) publishable_key: Option<String>,
    /// The instance's public key, PEM (`\n` escapes allowed): nothing is fetched then.
    pub(crate) jwt_key: Option<Secret>,
    /// The file that holds the public key.
    pub(crate) jwt_key_file: Option<PathBuf>,
    /// Where the instance's keys are fetched from.
    pub(crate) jwks_url: Option<String>,
    /// The file that holds the instance's keys as a JWKS.
    pub(crate) jwks_file: Option<PathBuf>,
    /// Clerk's Backend API, without /v1.
    pub(crate) api_url: String,
    /// The issuer that tokens must name; needed without a publishable key.
    pub(crate) issuer: Option<String>,
    /// The origins that tokens may have been issued to (`azp`).
    pub(crate) authorized_parties: Option<Vec<String>>,
    /// Whether a token without `azp` passes although parties are given.
    pub(crate) allow_missing_azp: bool,
    /// The audiences of which tokens must name one; not judged where empty.
    pub(crate) audience: Vec<String>,
    /// How far clocks may differ.
    pub(crate) clock_skew: Period,
    /// The longest lifetime a session token may have.
    pub(crate) max_token_lifetime: Period,
    /// How many calls of the Backend API all replicas together may make in 10 s; 0: any number. By default nine
    /// tenths of what Clerk allows: 900 with a sk_live_ key, else 90.
    pub(crate) calls_per_10s: Option<u32>,
    /// How many replicas share those calls, each its part; with `[shared]` that is for while Redis is away.
    pub(crate) replicas: u32,
}

/// `[clerk]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct ClerkSettings {
    pub(crate) instance: Instance,
    pub(crate) publishable_key: Option<PublishableKey>,
    pub(crate) secret_key: Option<SecretString>,
    pub(crate) keys: KeySettings,
    /// The Backend API's base, without `/v1` and without a final slash.
    pub(crate) api_url: Uri,
    /// `None`: `azp` is not judged. Never empty.
    pub(crate) authorized_parties: Option<Vec<String>>,
    pub(crate) allow_missing_azp: bool,
    pub(crate) audience: Vec<String>,
    pub(crate) clock_skew: Duration,
    pub(crate) max_token_lifetime: Duration,
    /// `None`: by the secret key's kind. 0: any number.
    pub(crate) calls_per_10s: Option<u32>,
    /// At least 1.
    pub(crate) replicas: u32,
}

/// Where the keys that verify session tokens come from.
#[derive(Clone, Debug)]
pub(crate) enum KeySettings {
    /// `GET {api_url}/v1/jwks` with the secret key.
    BackendApi,
    /// `{issuer}/.well-known/jwks.json`.
    FrontendApi,
    /// This JWKS, as its file says.
    Jwks(String),
    /// A PEM public key, perhaps with `\n` escapes.
    Pem(String),
    /// A JWKS at this URL.
    Url(Uri),
}

impl Default for ClerkSection {
    fn default() -> Self {
        Self {
            secret_key: None,
            secret_key_file: None,
            publishable_key: None,
            jwt_key: None,
            jwt_key_file: None,
            jwks_url: None,
            jwks_file: None,
            api_url: "https://api.clerk.com".to_owned(),
            issuer: None,
            authorized_parties: None,
            allow_missing_azp: false,
            audience: Vec::new(),
            clock_skew: Period::secs(5),
            max_token_lifetime: Period::secs(24 * 3600),
            calls_per_10s: None,
            replicas: 1,
        }
    }
}

impl ClerkSection {
    /// Returns the settings, or `None` after noting why there are none.
    pub(crate) fn check(&self, findings: &mut Findings) -> Option<ClerkSettings> {
        let secret_key = self.secret_key(findings);
        let publishable_key = self.publishable_key(findings);
        let instance = self.instance(publishable_key.as_ref(), findings);
        let keys = self.keys(secret_key.is_some(), findings);
        let api_url = self.api_url(secret_key.as_ref(), findings);
        if let Some(parties) = &self.authorized_parties {
            checks::parties("clerk.authorized_parties", parties, findings);
        }
        self.check_bounds(findings);
        warn_about_mixed_keys(secret_key.as_ref(), publishable_key.as_ref(), findings);
        Some(ClerkSettings {
            instance: instance?,
            publishable_key,
            secret_key,
            keys: keys?,
            api_url: api_url?,
            authorized_parties: self.authorized_parties.clone(),
            allow_missing_azp: self.allow_missing_azp,
            audience: self.audience.clone(),
            clock_skew: self.clock_skew.0,
            max_token_lifetime: self.max_token_lifetime.0,
            calls_per_10s: self.calls_per_10s,
            replicas: self.replicas,
        })
    }

    fn secret_key(&self, findings: &mut Findings) -> Option<SecretString> {
        let key = ValueOrFile {
            key: "clerk.secret_key",
            value: self.secret_key.as_ref(),
            file: self.secret_key_file.as_deref(),
        }
        .read_secret(findings)?;
        if key.expose_secret().chars().all(|c| c.is_ascii_graphic()) {
            return Some(key);
        }
        findings.problem(
            "clerk.secret_key",
            "has blanks, line breaks or non-ASCII characters inside",
            "use the key alone, sk_test_… or sk_live_…, as the Clerk dashboard shows it",
        );
        None
    }

    fn publishable_key(&self, findings: &mut Findings) -> Option<PublishableKey> {
        let parsed = PublishableKey::parse(self.publishable_key.as_deref()?.trim());
        parsed
            .map_err(|_| {
                findings.problem(
                    "clerk.publishable_key",
                    "is not a publishable key",
                    "use pk_test_… or pk_live_… as the Clerk dashboard shows it",
                );
            })
            .ok()
    }

    fn instance(
        &self,
        publishable_key: Option<&PublishableKey>,
        findings: &mut Findings,
    ) -> Option<Instance> {
        let named = match (publishable_key, &self.issuer) {
            (Some(key), None) => return Some(Instance::from_publishable_key(key)),
            (Some(key), Some(issuer)) => Instance::from_publishable_key(key).with_issuer(issuer),
            (None, Some(issuer)) => Instance::from_issuer(issuer),
            // A broken publishable key has been complained about already.
            (None, None) if self.publishable_key.is_some() => return None,
            (None, None) if findings.is_broken("clerk.publishable_key") => return None,
            (None, None) => {
                findings.problem(
                    "clerk.issuer",
                    "neither a publishable key nor an issuer is given, so no token can be judged (a secret key does not tell the issuer)",
                    "set CLERK_PUBLISHABLE_KEY, or clerk.issuer to your Frontend API, as in https://clerk.example.com",
                );
                return None;
            }
        };
        named
            .map_err(|_| {
                findings.problem(
                    "clerk.issuer",
                    "is not an https:// origin",
                    "write it without a path or final slash, as in https://clerk.example.com",
                );
            })
            .ok()
    }

    fn keys(&self, has_secret_key: bool, findings: &mut Findings) -> Option<KeySettings> {
        let pem = ValueOrFile {
            key: "clerk.jwt_key",
            value: self.jwt_key.as_ref(),
            file: self.jwt_key_file.as_deref(),
        };
        if pem.value.is_some() || pem.file.is_some() {
            let text = pem.read(findings)?;
            return Some(KeySettings::Pem(text.expose_secret().to_owned()));
        }
        match (&self.jwks_url, &self.jwks_file) {
            (Some(_), Some(_)) => {
                findings.problem(
                    "clerk.jwks_file",
                    "both clerk.jwks_url and clerk.jwks_file are given",
                    "remove one of them",
                );
                None
            }
            (Some(url), None) => {
                checks::private_url("clerk.jwks_url", url, findings).map(KeySettings::Url)
            }
            (None, Some(path)) => {
                read_text("clerk.jwks_file", path, findings).map(KeySettings::Jwks)
            }
            (None, None) if has_secret_key => Some(KeySettings::BackendApi),
            (None, None) => Some(KeySettings::FrontendApi),
        }
    }

    fn api_url(&self, secret_key: Option<&SecretString>, findings: &mut Findings) -> Option<Uri> {
        let key = "clerk.api_url";
        let base = self.api_url.trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base);
        let uri = checks::private_url(key, base.trim_end_matches('/'), findings)?;
        let live = secret_key.is_some_and(|key| key.expose_secret().starts_with("sk_live_"));
        if live && uri.scheme_str() == Some("http") {
            findings.problem(
                key,
                "is plain http:// and the secret key is a production one (sk_live_)",
                "use https://, or a development key",
            );
            return None;
        }
        Some(uri)
    }

    fn check_bounds(&self, findings: &mut Findings) {
        if self.clock_skew > Period::secs(300) {
            let what = format!("{} is too much: tokens live a minute", self.clock_skew);
            findings.problem("clerk.clock_skew", what, "use at most 5m");
        }
        if self.max_token_lifetime < Period::secs(30) {
            let what = format!(
                "{} would refuse Clerk's own tokens",
                self.max_token_lifetime
            );
            findings.problem("clerk.max_token_lifetime", what, "use at least 30s");
        }
        if self.replicas == 0 {
            let fix = "say how many gateways share clerk.calls_per_10s, this one included";
            findings.problem("clerk.replicas", "is 0", fix);
        }
    }
}

fn warn_about_mixed_keys(
    secret_key: Option<&SecretString>,
    publishable_key: Option<&PublishableKey>,
    findings: &mut Findings,
) {
    let (Some(secret), Some(public)) = (secret_key, publishable_key) else {
        return;
    };
    let live = match secret.expose_secret() {
        key if key.starts_with("sk_live_") => true,
        key if key.starts_with("sk_test_") => false,
        _ => return,
    };
    let public_is_live = public.as_str().starts_with("pk_live_");
    if live != public_is_live {
        findings.warning(
            "clerk.publishable_key",
            "one of secret and publishable key is a production key, the other a development key",
            "take both from one instance",
        );
    }
}
