//! The door to what is read beneath the HTTP library.

use super::scan::Scanner;
use crate::request::HeadFault;

/// What was made of a connection's bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scanned {
    /// How many of the bytes are handed on.
    pub handed_on: usize,
    /// How many heads have begun.
    pub heads: u64,
    /// Which head is bad, and what is wrong.
    pub fault: Option<(u64, Fault)>,
}

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Its body's end is open.
    Framing,
    /// Anything else.
    Other,
}

/// Reads a connection's bytes, as they come one piece after the other, up to where no more are taken.
pub fn scan(pieces: &[&[u8]]) -> Scanned {
    let mut scanner = Scanner::default();
    let mut handed_on = 0;
    for piece in pieces {
        let taken = scanner.scan(piece);
        handed_on += taken;
        if taken < piece.len() {
            break;
        }
    }
    let fault = scanner.fault().map(|(head, fault)| match fault {
        HeadFault::Framing => (head, Fault::Framing),
        _ => (head, Fault::Other),
    });
    Scanned {
        handed_on,
        heads: scanner.heads(),
        fault,
    }
}
