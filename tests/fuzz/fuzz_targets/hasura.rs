//! The body of Hasura's webhook, against a reader that takes any JSON.
#![no_main]

use std::collections::BTreeMap;

use clerk_gateway::fuzzing::hasura_headers;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;

/// What else is in a body is skipped, read or not.
#[derive(Deserialize)]
struct Body {
    headers: BTreeMap<String, String>,
}

fuzz_target!(|body: &[u8]| {
    let Some(headers) = hasura_headers(body) else {
        return;
    };
    let Body { headers: told } = serde_json::from_slice(body).expect("json");
    assert_eq!(told.len(), headers.len());
    for (name, value) in &told {
        assert_eq!(
            headers[&name.to_ascii_lowercase()].as_bytes(),
            value.as_bytes()
        );
        assert_eq!(headers.get_all(name).iter().count(), 1);
    }
});
