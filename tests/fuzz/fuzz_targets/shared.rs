//! What stands in Redis: revocations, and sealed values that were tampered with.
#![no_main]

use std::sync::LazyLock;

use clerk_gateway::fuzzing::{Vault, read_revocation};
use libfuzzer_sys::fuzz_target;

static VAULT: LazyLock<Vault> =
    LazyLock::new(|| Vault::new("https://clerk.example.com", "sk_test_fuzzed").expect("a vault"));

fuzz_target!(|bytes: &[u8]| {
    if let Some(written) = read_revocation(bytes) {
        assert_eq!(read_revocation(&written).as_deref(), Some(&written[..]));
    }
    assert_eq!(VAULT.open("revocations", "place", bytes), None);
    let Some((at, value)) = bytes.split_first() else {
        return;
    };
    let sealed = VAULT.seal("revocations", "place", value).expect("sealed");
    assert_eq!(
        VAULT.open("revocations", "place", &sealed).as_deref(),
        Some(value)
    );
    assert_eq!(VAULT.open("revocations", "places", &sealed), None);
    assert_eq!(VAULT.open("revocation", "splace", &sealed), None);
    let mut tampered = sealed.clone();
    let place = usize::from(*at) % tampered.len();
    tampered[place] ^= 1 << (at % 8);
    assert_eq!(VAULT.open("revocations", "place", &tampered), None);
    let cut = &sealed[..usize::from(*at) % sealed.len()];
    assert_eq!(VAULT.open("revocations", "place", cut), None);
});
