//! Where requests begin and end on a connection: the same whatever pieces the bytes come in.
#![no_main]

use clerk_gateway::fuzzing::scan;
use clerk_gateway_fuzz::{cuts, pieces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (cuts, bytes) = cuts(input);
    let whole = scan(&[bytes]);
    assert!(whole.handed_on <= bytes.len());
    let single: Vec<_> = bytes.chunks(1).collect();
    for cut in [pieces(bytes, cuts), single] {
        let cut = scan(&cut);
        assert_eq!((cut.heads, cut.fault), (whole.heads, whole.fault));
        // Only of a line that is bad can the beginning have gone on already.
        let more = cut.handed_on > whole.handed_on && whole.fault.is_some();
        assert!(
            more || cut.handed_on == whole.handed_on,
            "{cut:?} {whole:?}"
        );
    }
    // What follows a fault changes nothing of what came before it.
    if whole.fault.is_some() {
        let longer = [bytes, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        assert_eq!(scan(&[&longer]).fault, whole.fault);
        assert_eq!(scan(&[&longer]).heads, whole.heads);
    }
});
