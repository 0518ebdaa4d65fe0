//! `check`: validates the configuration and prints what would run.

use std::{fmt::Write, process::ExitCode};

use super::{check_online, config_args::ConfigArgs, setup::Setup};
use crate::config::Provenance;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ask Clerk too: for the keys, with the secret key, and for each template.
    #[arg(long)]
    online: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Prints every key that has a value, and where it came from, once all of it could be set up.
pub(super) fn run(args: &Args) -> ExitCode {
    let loaded = match args.config.load() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let setup = match Setup::new(&loaded) {
        Ok(setup) => setup,
        Err(status) => return status,
    };
    let printed = super::print(&table(&loaded.provenance));
    match args.online {
        true => check_online::run(&setup, &loaded.settings),
        false => printed,
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
