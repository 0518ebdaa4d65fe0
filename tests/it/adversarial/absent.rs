//! The cases that no test runs: ID and reason.

const STREAMS: &str = "later: no stream ends with its session yet";

pub(super) const CASES: &[(&str, &str)] = &[
    (
        "C08",
        "none: cache keys are tuples of types, so that there is no joined text to confuse",
    ),
    (
        "C15",
        "none: no test here asserts a time; IDs are looked up in tables with seeded hashes and compared whole",
    ),
    (
        "E08",
        "none: no error pages are fetched from anywhere, so that none could be sent a credential",
    ),
    ("W01", STREAMS),
    ("W02", STREAMS),
];
