//! A JWKS: whatever key it gives is one that a plain reading of the document has, once and public.
#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clerk_gateway::verify::KeySet;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
struct Jwks<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

fuzz_target!(|json: &[u8]| {
    let Ok(set) = KeySet::from_jwks(json) else {
        return;
    };
    let Jwks { keys: texts } = serde_json::from_slice(json).expect("json");
    // What is no text in a member that nobody reads is passed over there, and not by this reader.
    let keys = texts.iter().map(|text| serde_json::from_str(text.get()));
    let Ok(keys) = keys.collect::<Result<Vec<Value>, _>>() else {
        return;
    };
    assert!(set.find(None).is_none());
    let mut found: Vec<&str> = Vec::new();
    for id in keys.iter().filter_map(|key| key["kid"].as_str()) {
        if set.find(Some(id)).is_none() || found.contains(&id) {
            continue;
        }
        found.push(id);
        let of_id = keys.iter().zip(&texts).filter(|(key, _)| key["kid"] == id);
        let of_id = of_id.filter(|(key, text)| is_public(key) && is_usable_alone(text.get()));
        let mut texts: Vec<_> = of_id.map(|(_, text)| text.get()).collect();
        assert!(!texts.is_empty(), "{id}");
        let all = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(all, texts.len(), "{id} stands there twice");
    }
    assert_eq!(found.len() + set.skipped(), keys.len());
    assert!(!found.is_empty());
});

fn is_public(key: &Value) -> bool {
    let modulus = key["n"]
        .as_str()
        .and_then(|n| URL_SAFE_NO_PAD.decode(n).ok());
    let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    key["kty"] == "RSA"
        && (key["use"].is_null() || key["use"] == "sig")
        && (key["alg"].is_null() || key["alg"] == "RS256")
        && modulus.is_some_and(|modulus| (256..=1024).contains(&modulus.len()))
        && private.iter().all(|name| key[name].is_null())
}

fn is_usable_alone(key: &str) -> bool {
    KeySet::from_jwks(format!("{{\"keys\":[{key}]}}").as_bytes()).is_ok()
}
