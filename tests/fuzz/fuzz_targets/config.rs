//! The configuration file: what is wrong with it is said with its line, and without its secrets.
#![no_main]

use clerk_gateway::fuzzing::check_config;
use libfuzzer_sys::fuzz_target;
use toml::{Table, Value};

fuzz_target!(|text: &str| {
    // Files that never end are nobody's configuration.
    if ["/dev", "/proc", "/sys"]
        .iter()
        .any(|folder| text.contains(folder))
    {
        return;
    }
    let table = text.parse::<Table>();
    let Err(complaints) = check_config(text) else {
        assert!(table.is_ok(), "taken, though it is no TOML");
        return;
    };
    assert!(!complaints.is_empty());
    let lines = text.matches('\n').count() + 1;
    for complaint in &complaints {
        assert!(!complaint.shown.is_empty());
        assert!(
            complaint
                .line
                .is_none_or(|line| (1..=lines).contains(&line)),
            "{complaint:?}"
        );
        for secret in ["sk_live_SECRET", "sk_test_SECRET", "whsec_SECRET"] {
            assert!(!complaint.shown.contains(secret), "{complaint:?}");
        }
    }
    match table {
        Err(_) => assert!(
            complaints.iter().any(|complaint| complaint.line.is_some()),
            "{complaints:?}"
        ),
        Ok(table) => {
            for complaint in complaints
                .iter()
                .filter(|complaint| is_there(&table, &complaint.key))
            {
                assert!(complaint.line.is_some(), "{complaint:?}");
            }
        }
    }
});

/// Tells whether a plain key, as `server.listen`, is in the file.
fn is_there(table: &Table, key: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    if key.is_empty() || !key.chars().all(is_plain) {
        return false;
    }
    let mut names = key.split('.');
    let Some(mut value) = names.next().and_then(|name| table.get(name)) else {
        return false;
    };
    for name in names {
        match value {
            Value::Table(inner) if inner.contains_key(name) => value = &inner[name],
            _ => return false,
        }
    }
    true
}
