//! The door to the configuration.

use super::{Sources, load, source::Source};

/// Something that is wrong with a configuration.
#[derive(Debug)]
pub struct Complaint {
    /// The line in the file, from 1, where one is meant.
    pub line: Option<usize>,
    /// The key's path; empty where no key is concerned.
    pub key: String,
    /// What is shown.
    pub shown: String,
}

/// Reads a configuration file's text; the problems where it is bad.
///
/// # Errors
///
/// What the user is told.
pub fn check_config(text: &str) -> Result<(), Vec<Complaint>> {
    let sources = Sources {
        built_in: Some(text.to_owned()),
        ..Sources::default()
    };
    let Err(error) = load(&sources) else {
        return Ok(());
    };
    let problems = error.problems.into_iter().map(|problem| Complaint {
        line: match &problem.source {
            Source::File { line, .. } => *line,
            _ => None,
        },
        shown: problem.to_string(),
        key: problem.key,
    });
    Err(problems.collect())
}
