//! `[log]`: what is written of each request.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::Findings;
use crate::telemetry::access::{AccessFormat, Destination};

/// `[log]` as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogSection {
    /// Where the access log goes: stderr, stdout, or a file's absolute path; nowhere unless set.
    pub(crate) access: Option<String>,
    /// How its lines are written.
    pub(crate) access_format: FormatName,
}

/// How the access log's lines are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FormatName {
    /// A JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// `[log]`, checked.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// `None`: nowhere.
    pub(crate) access: Option<Destination>,
    pub(crate) access_format: AccessFormat,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            access: None,
            access_format: FormatName::Json,
        }
    }
}

impl LogSection {
    /// Returns the settings; a destination that is none is a problem.
    pub(crate) fn check(&self, findings: &mut Findings) -> LogSettings {
        let access = match self.access.as_deref() {
            None => None,
            Some("stderr") => Some(Destination::Stderr),
            Some("stdout") => Some(Destination::Stdout),
            Some(path) if Path::new(path).is_absolute() => {
                Some(Destination::File(PathBuf::from(path)))
            }
            Some(other) => {
                let what = format!("{other:?} is no destination");
                let fix = "write \"stderr\", \"stdout\", or a file's absolute path";
                findings.problem("log.access", what, fix);
                None
            }
        };
        LogSettings {
            access,
            access_format: match self.access_format {
                FormatName::Json => AccessFormat::Json,
                FormatName::Text => AccessFormat::Text,
            },
        }
    }
}
