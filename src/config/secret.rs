//! Secrets in a configuration: given directly or in a file, and never shown.

use std::{
    fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::{error::Findings, source::Source};

/// A secret value; written out it says only that it is set.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Secret(SecretString);

/// A value and the file that may hold it instead.
pub(crate) struct ValueOrFile<'a> {
    /// The value's key; the file's is the same with `_file`.
    pub(crate) key: &'a str,
    pub(crate) value: Option<&'a Secret>,
    pub(crate) file: Option<&'a Path>,
}

impl ValueOrFile<'_> {
    /// Returns the value as [`ValueOrFile::read`] does, and warns where others may read the file that it stands in.
    pub(crate) fn read_secret(&self, findings: &mut Findings) -> Option<SecretString> {
        let secret = self.read(findings)?;
        match (self.file, findings.origins.of(self.key)) {
            (Some(path), _) => warn_of_exposure(&format!("{}_file", self.key), path, findings),
            (None, Source::File { path, .. }) => warn_of_exposure(self.key, &path, findings),
            (None, _) => {}
        }
        Some(secret)
    }

    /// Returns the value, read from its file where that is what is given.
    pub(crate) fn read(&self, findings: &mut Findings) -> Option<SecretString> {
        let file_key = format!("{}_file", self.key);
        match (self.value, self.file) {
            (Some(_), Some(_)) => {
                let what = format!("both {} and {file_key} are given", self.key);
                findings.problem(&file_key, what, "remove one of them");
                None
            }
            (Some(value), None) => {
                if value.0.expose_secret().trim().is_empty() {
                    findings.problem(self.key, "is empty", "set it, or remove it");
                    return None;
                }
                Some(value.0.expose_secret().trim().into())
            }
            (None, Some(path)) => {
                read_text(&file_key, path, findings).map(|text| text.trim().into())
            }
            (None, None) => None,
        }
    }
}

/// Reads a file that a key names; an unreadable or empty one is a problem.
pub(crate) fn read_text(key: &str, path: &Path, findings: &mut Findings) -> Option<String> {
    let path = resolve(key, path, findings);
    findings.files.push(path.clone());
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => {
            let what = format!("{} is empty", path.display());
            findings.problem(key, what, "write the value into the file");
            None
        }
        Ok(text) => Some(text),
        Err(error) => {
            let what = format!("{} cannot be read ({error})", path.display());
            let fix = "check that the file is there and that this user may read it";
            findings.problem(key, what, fix);
            None
        }
    }
}

/// Reads a file as [`read_text`] does, and warns where others may read it.
pub(crate) fn read_secret(key: &str, path: &Path, findings: &mut Findings) -> Option<String> {
    let text = read_text(key, path, findings)?;
    warn_of_exposure(key, path, findings);
    Some(text)
}

fn warn_of_exposure(key: &str, path: &Path, findings: &mut Findings) {
    let path = resolve(key, path, findings);
    let Ok(found) = fs::metadata(&path) else {
        return;
    };
    let mode = found.permissions().mode() & 0o7777;
    if let Some(exposure) = exposure(mode) {
        let what = format!("{} has mode {mode:04o}: {exposure}", path.display());
        let fix = format!(
            "chmod 600 {} (a Kubernetes volume: defaultMode 0440 and fsGroup)",
            path.display()
        );
        findings.warning(key, what, fix);
    }
}

/// Says who may do what with a secret's file and should not. That its group may read it is a way of
/// giving it to the gateway: Kubernetes' fsGroup does so, and root for a service's user.
fn exposure(mode: u32) -> Option<&'static str> {
    match mode {
        _ if mode & 0o002 != 0 => Some("every user of this machine may change it"),
        _ if mode & 0o004 != 0 => Some("every user of this machine may read it"),
        _ if mode & 0o020 != 0 => Some("its group may change it"),
        _ => None,
    }
}

fn resolve(key: &str, path: &Path, findings: &Findings) -> PathBuf {
    match findings.origins.base(key) {
        Some(base) => base.join(path),
        None => path.to_owned(),
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(set)")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_read_a_secret_and_nobody_else() {
        for mode in [0o400, 0o600, 0o440, 0o640] {
            assert_eq!(exposure(mode), None, "{mode:o}");
        }
        for (mode, who) in [
            (0o644, "every user"),
            (0o604, "every user"),
            (0o642, "every user"),
            (0o660, "its group"),
        ] {
            assert!(
                exposure(mode).is_some_and(|said| said.starts_with(who)),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_secret_is_never_written_out() {
        let secret = Secret::from("sk_test_abc".to_owned());
        assert_eq!(format!("{secret:?}"), "(set)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#""(set)""#);
    }
}
