//! `[shared]`: the Redis by which replicas share what they know.

use std::path::PathBuf;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    error::Findings,
    secret::{Secret, ValueOrFile, read_secret, read_text},
};

const SCHEMES: [&str; 7] = [
    "redis://",
    "rediss://",
    "valkey://",
    "valkeys://",
    "unix://",
    "redis+unix://",
    "valkey+unix://",
];
const TLS_SCHEMES: [&str; 2] = ["rediss://", "valkeys://"];
/// Shorter texts can be guessed.
const SHORTEST_KEY: usize = 32;

/// `[shared]` as it is written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SharedSection {
    /// The Redis or Valkey: `redis://`, `rediss://` (TLS) or `unix:///path`; unless set, this process is alone.
    pub(crate) url: Option<Secret>,
    /// The file that holds the URL: where it has a password.
    pub(crate) url_file: Option<PathBuf>,
    /// PEM of the authorities that count for rediss://, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// The files with the keys of what is shared, one each: the first seals, all open, so that they can be rotated.
    pub(crate) key_files: Vec<PathBuf>,
}

/// `[shared]`, checked.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
pub(crate) struct SharedSettings {
    pub(crate) url: SecretString,
    /// PEM of the authorities that count, instead of the system's.
    pub(crate) authorities: Option<String>,
    /// Never empty: the first seals.
    pub(crate) secrets: Vec<SecretString>,
}

impl SharedSection {
    /// Returns the settings; `None` where nothing is shared, or after noting what is wrong.
    pub(crate) fn check(
        &self,
        secret_key: Option<&SecretString>,
        findings: &mut Findings,
    ) -> Option<SharedSettings> {
        let url = ValueOrFile {
            key: "shared.url",
            value: self.url.as_ref(),
            file: self.url_file.as_deref(),
        };
        let url = url.read_secret(findings);
        let keys = self.read_keys(findings);
        let url = url?;
        check_url(url.expose_secret(), findings);
        let authorities = self.read_authorities(url.expose_secret(), findings);
        let derived = secret_key.filter(|_| self.key_files.is_empty());
        let secrets: Vec<_> = keys.into_iter().chain(derived.cloned()).collect();
        if secrets.is_empty() && self.key_files.is_empty() {
            let what = "there is neither a key nor a secret key to derive one from";
            let fix = "name a file in shared.key_files, as made by: openssl rand -base64 32";
            findings.problem("shared.key_files", what, fix);
        }
        (!secrets.is_empty()).then_some(SharedSettings {
            url,
            authorities,
            secrets,
        })
    }

    fn read_authorities(&self, url: &str, findings: &mut Findings) -> Option<String> {
        let path = self.ca_file.as_deref()?;
        if !TLS_SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            let what = "is for TLS, which shared.url does not ask for";
            let fix = "write rediss:// there, or remove the key";
            findings.problem("shared.ca_file", what, fix);
        }
        read_text("shared.ca_file", path, findings)
    }

    fn read_keys(&self, findings: &mut Findings) -> Vec<SecretString> {
        let mut keys = Vec::new();
        for (index, path) in self.key_files.iter().enumerate() {
            let key = format!("shared.key_files[{index}]");
            let Some(text) = read_secret(&key, path, findings) else {
                continue;
            };
            let text = text.trim();
            if text.len() < SHORTEST_KEY {
                let what = format!("has {} characters, too few for a key", text.len());
                findings.problem(&key, what, "make one: openssl rand -base64 32");
            }
            keys.push(text.into());
        }
        keys
    }
}

fn check_url(url: &str, findings: &mut Findings) {
    if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        let what = "is no URL of a redis";
        let fix = "write it as in redis://127.0.0.1:6379, rediss://cache.example.com or unix:///run/redis.sock";
        findings.problem("shared.url", what, fix);
    }
    if url.contains('#') {
        let what = "has a fragment: #insecure would take any certificate";
        findings.problem("shared.url", what, "remove it");
    }
}

impl SharedSettings {
    /// Returns a digest of what a restart is needed to change.
    pub(crate) fn fingerprint(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        let secrets = self.secrets.iter().chain([&self.url]);
        let texts = secrets.map(|secret| secret.expose_secret());
        for text in texts.chain(self.authorities.as_deref()) {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        context.finish()
    }
}
