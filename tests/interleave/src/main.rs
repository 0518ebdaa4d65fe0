//! What holds however the threads take turns: revocations, and what each thread keeps at hand.
//!
//! `cargo run --manifest-path tests/interleave/Cargo.toml [ITERATIONS]` runs each check so often, with threads that take
//! turns at random and with few changes of turn (PCT). A check that fails prints the schedule that
//! `shuttle::replay` takes.
#![allow(dead_code, unused_imports, clippy::unwrap_used)]

mod checks;
#[path = "../../../src/recent.rs"]
mod recent;
#[path = "../../../src/revocation/mod.rs"]
mod revocation;
#[path = "../../../src/time.rs"]
mod time;

/// In the place of the product's `sync`.
mod sync {
    pub(crate) use shuttle::sync::{Mutex, RwLock, atomic};
    pub(crate) use std::sync::PoisonError;
}

fn main() {
    let iterations = match std::env::args().nth(1) {
        Some(text) => text.parse().unwrap(),
        None => 2_000,
    };
    for (name, check) in checks::ALL {
        shuttle::check_random(check, iterations);
        shuttle::check_pct(check, iterations, 3);
        println!("{name}: held in {} schedules", 2 * iterations);
    }
}
