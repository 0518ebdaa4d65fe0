//! What attackers send: 157 cases out of the advisories of other gateways, each with an ID and at one place.
//!
//! A test's name begins with the ID of its case, and stands in its class's file. What another file of these tests
//! proves already is in [`proven`], what belongs to no part that exists is in [`absent`], with its reason.

mod absent;
mod cache;
mod edge;
mod framing;
mod gate;
mod headers;
pub(crate) mod http2;
mod path;
mod proven;
mod strays;
mod streams;
mod subtree;
mod tokens;

use std::{collections::BTreeMap, fs, path::Path};

/// The classes: the letter of their IDs, their file, and how many cases they have.
const CLASSES: [(char, &str, usize); 7] = [
    ('P', "path", 30),
    ('H', "headers", 29),
    ('S', "framing", 16),
    ('A', "tokens", 34),
    ('C', "cache", 18),
    ('W', "streams", 8),
    ('E', "edge", 22),
];

fn read(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    fs::read_to_string(folder.join(file)).unwrap()
}

/// The IDs that the tests of a file begin with, as in `p01`.
fn tested(file: &str) -> Vec<String> {
    let text = read(&format!("adversarial/{file}.rs"));
    let attributed = text
        .split("test]\n")
        .chain(text.split("test(flavor = \"multi_thread\")]\n"));
    attributed
        .filter_map(|rest| rest.strip_prefix("async fn ").or(rest.strip_prefix("fn ")))
        .filter_map(|name| name.split_once('_'))
        .map(|(id, _)| id.to_uppercase())
        .collect()
}

#[test]
fn every_case_is_at_exactly_one_place() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (class, file, count) in CLASSES {
        for id in tested(file) {
            assert!(id.starts_with(class), "{id} stands in {file}.rs");
            places.entry(id).or_default().push(file.to_owned());
        }
        for number in 1..=count {
            places.entry(format!("{class}{number:02}")).or_default();
        }
    }
    for (id, file, test) in proven::CASES {
        assert!(read(file).contains(&format!("fn {test}(")), "{id}: {test}");
        places
            .entry((*id).to_owned())
            .or_default()
            .push(test.to_string());
    }
    for (id, reason) in absent::CASES {
        places
            .entry((*id).to_owned())
            .or_default()
            .push(reason.to_string());
    }
    assert_eq!(places.len(), 157);
    places.retain(|_, places| places.len() != 1);
    assert!(places.is_empty(), "at none or several: {places:#?}");
}
