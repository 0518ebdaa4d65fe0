//! Connections that the gateway itself cuts: each is counted once, under the reason that is known where it is cut.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::telemetry::traffic;

/// Whether a connection was cut; its parts share one.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Counts the cut, and returns the error that ends the connection.
    pub(super) fn because(&self, reason: &'static str) -> io::Error {
        traffic::closed(reason);
        self.0.store(true, Ordering::Relaxed);
        io::ErrorKind::TimedOut.into()
    }

    pub(super) fn was_made(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
