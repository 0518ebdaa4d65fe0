//! Where WebSocket frames end, against a reader that has all bytes at once.
#![no_main]

use clerk_gateway::fuzzing::{ends_at_boundary, rest_of_frame};
use clerk_gateway_fuzz::{cuts, pieces};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (cuts, bytes) = cuts(input);
    let ends = ends(bytes);
    let at_boundary = bytes.is_empty() || ends.contains(&(bytes.len() as u128));
    assert_eq!(ends_at_boundary(&[bytes]), at_boundary);
    assert_eq!(ends_at_boundary(&pieces(bytes, cuts)), at_boundary);
    let cut = cuts
        .first()
        .map_or(0, |cut| usize::from(*cut).min(bytes.len()));
    let (before, next) = bytes.split_at(cut);
    let end = match cut as u128 {
        0 => 0,
        cut => ends
            .iter()
            .copied()
            .find(|end| *end >= cut)
            .unwrap_or(u128::MAX),
    };
    let rest = end.saturating_sub(cut as u128).min(next.len() as u128);
    assert_eq!(rest_of_frame(before, next) as u128, rest);
});

/// The places where frames end, the last of which may lie behind the bytes.
fn ends(bytes: &[u8]) -> Vec<u128> {
    let mut ends = Vec::new();
    let mut at = 0_usize;
    while let Some(second) = bytes.get(at + 1) {
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(length) = bytes.get(at + 2..at + 2 + extended) else {
            break;
        };
        let length = match extended {
            0 => u128::from(second & 0x7f),
            _ => length
                .iter()
                .fold(0, |length, byte| length << 8 | u128::from(*byte)),
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let header = at + 2 + extended + mask;
        if header > bytes.len() {
            break;
        }
        let end = header as u128 + length;
        ends.push(end);
        match usize::try_from(end) {
            Ok(end) if end <= bytes.len() => at = end,
            _ => break,
        }
    }
    ends
}
