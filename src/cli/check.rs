//! `check`: validates the configuration and prints what would run.

use std::{fmt::Write, process::ExitCode};

use super::config_args::ConfigArgs;
use crate::config::Provenance;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Prints every key that has a value, and where it came from.
pub(super) fn run(args: &Args) -> ExitCode {
    match args.config.load() {
        Ok(loaded) => super::print(&table(&loaded.provenance)),
        Err(status) => status,
    }
}

/// Writes keys, values and sources in columns.
pub(super) fn table(entries: &[Provenance]) -> String {
    let width = |text: &str| text.chars().count();
    let column = |get: fn(&Provenance) -> &str| {
        let widths = entries.iter().map(|entry| width(get(entry)));
        widths.filter(|width| *width <= 48).max().unwrap_or(0)
    };
    let keys = column(|entry| &entry.key);
    let values = column(|entry| &entry.value);
    let mut text = String::new();
    for Provenance { key, value, source } in entries {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key:keys$} = {value:values$}  # {source}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    #[test]
    fn columns_line_up() {
        let entry = |key: &str, value: &str| Provenance {
            key: key.to_owned(),
            value: value.to_owned(),
            source: Source::Default,
        };
        assert_eq!(
            table(&[entry("a.b", "1"), entry("a.long", "\"two\"")]),
            "a.b    = 1      # default\na.long = \"two\"  # default\n"
        );
    }
}
