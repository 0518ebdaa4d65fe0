//! Clerk's answers: what is read, written and read again is the same; an error's text forges no log line.
//!
//! The first byte says which answer it is to be.
#![no_main]

use clerk_gateway::clerk::{
    Error, Refusal,
    model::{ClerkErrors, MintedToken, Refreshed, SessionObject, SessionPage},
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(|input: &[u8]| {
    let Some((kind, json)) = input.split_first() else {
        return;
    };
    match kind % 5 {
        0 => same::<SessionObject>(json),
        1 => same::<SessionPage>(json),
        2 => same::<MintedToken>(json),
        3 => same::<Refreshed>(json),
        _ => {
            same::<ClerkErrors>(json);
            error(json);
        }
    }
});

fn same<T: DeserializeOwned + Serialize>(json: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(json) else {
        return;
    };
    let written = serde_json::to_vec(&read).expect("json");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_vec(&again).expect("json"), written);
}

fn error(json: &[u8]) {
    let Ok(errors) = serde_json::from_slice::<ClerkErrors>(json) else {
        return;
    };
    for status in [401, 404, 410, 429, 500] {
        let mut refusal = Refusal::default();
        refusal.status = status;
        refusal.clerk_trace_id = errors.clerk_trace_id.clone();
        refusal.errors = errors.clone();
        let error = Error::Refused(Box::new(refusal));
        let text = error.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.chars().count() < 1000);
        assert_eq!(error.status(), Some(status));
        assert_eq!(error.is_unavailable(), status >= 500);
        assert!(!error.is_template_not_found() || status == 404);
    }
}
