//! Secrets in a configuration: given directly or in a file, and never shown.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::error::Findings;

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
    /// Returns the secret, read from its file where that is what is given.
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
    fn a_secret_is_never_written_out() {
        let secret = Secret::from("sk_test_abc".to_owned());
        assert_eq!(format!("{secret:?}"), "(set)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#""(set)""#);
    }
}
