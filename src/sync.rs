//! The locks and atomics of what every thread shares, from one place: `tests/interleave` puts others there, whose
//! threads take turns as a seed has it.

pub(crate) use std::sync::atomic;
#[cfg(feature = "client")]
pub(crate) use std::sync::{Mutex, PoisonError, RwLock};
