//! Who the client is: what a gateway tells of it, the next one understands as it was meant.
//!
//! The first byte says whether the peer is trusted; then a request line and header lines.
#![no_main]

use std::net::IpAddr;

use clerk_gateway::fuzzing::{canonical, client};
use clerk_gateway_fuzz::{folds_to, parts};
use http::header::FORWARDED;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else {
        return;
    };
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
    let peer: IpAddr = match first % 3 {
        0 => [10, 0, 0, 1].into(),
        1 => [203, 0, 113, 9].into(),
        _ => "fd00::1".parse().expect("an address"),
    };
    let Some(parts) = parts(text) else {
        return;
    };
    let Some((found, written)) = client(peer, &parts, &trusted) else {
        return;
    };
    if first % 3 == 1 {
        let host = canonical(&parts).expect("it was read before").authority;
        assert_eq!(found.address, peer);
        assert_eq!((found.scheme, &found.host), ("http", &host));
    }
    let names = ["forwarded", "proxy", "x-method-override", "x-real-ip"];
    let prefixes = [
        "x-envoy-original-",
        "x-forwarded",
        "x-http-method",
        "x-middleware-",
        "x-original-",
        "x-rewrite-",
    ];
    let ours = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    ];
    for name in written.keys() {
        let text = name.as_str();
        let is_name = |known: &&str| text.len() == known.len() && folds_to(text, known);
        let told = names.iter().any(|known| is_name(&known))
            || prefixes.iter().any(|prefix| folds_to(text, prefix));
        assert!(!told || ours.contains(&text), "{text}");
    }
    for name in ours {
        assert!(written.get_all(name).iter().count() <= 1, "{name}");
    }
    let us = [10, 0, 0, 2].into();
    let mut next = parts;
    next.headers = written;
    let (again, _) = client(us, &next, &trusted).expect("it was read before");
    assert_eq!(again, found, "by X-Forwarded-For");
    assert!(next.headers.contains_key(FORWARDED));
    next.headers.remove("x-forwarded-for");
    let (again, _) = client(us, &next, &trusted).expect("it was read before");
    assert_eq!(again, found, "by Forwarded");
});
