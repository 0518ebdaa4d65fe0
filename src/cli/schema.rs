//! `schema`: prints the JSON schema of the configuration file.

use std::process::ExitCode;

use crate::config::File;

/// Prints the schema, for editors and for checks elsewhere.
pub(super) fn run() -> ExitCode {
    super::print(&format!("{:#}\n", File::schema()))
}
