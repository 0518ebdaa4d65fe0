//! The threads that the gateway runs on, chosen by measurement.
//!
//! One worker is a current-thread runtime; several are tokio's work-stealing one. The other choice
//! for several, a current-thread runtime for each core with a listener of its own (`SO_REUSEPORT`),
//! was built and measured beside it. CPU time in µs for a request, HTTP/1.1 over 64 connections, the
//! same token, on two cores that were busy with other work (load 6); medians of 7 to 9 rounds in turn:
//!
//! | workers | proxy | work-stealing | current-thread |
//! |---|---|---|---|
//! | 1 | bare | 56.7 | 42.6 |
//! | 1 | `networkless` | 58.0 | 45.6 |
//! | 1 | `sessions-api` | 65.7 | 51.1 |
//! | 2 | bare | 34.7 | 28.7 |
//! | 2 | `networkless` | 36.1 | 30.4 |
//! | 2 | `sessions-api` | 42.2 | 29.9 |
//!
//! So one worker takes the cheaper runtime. With two, a listener for each core took 16 to 29 % less
//! CPU time too, and yet it is not the choice: a connection stays where the kernel put it, and a proxy
//! in front brings few of them. With a single HTTP/2 connection of 16 streams, the added p99.9 was
//! 25.7 to 29.0 ms with a runtime for each core and 4.6 to 17.2 ms with work-stealing, which spreads
//! its streams; with 64 connections neither was better at p99 in all modes. (The one that was measured had
//! caches and upstream connections of its own for each core, and neither admin port nor reload.) Whoever wants that model
//! has it: several gateways with `workers = 1` behind one balancer.
//!
//! `cargo bench --bench load -- --gateway one=PATH --gateway other=PATH --workers 2 --only 'h1, same token, closed'`
//! measures any two builds beside each other; `--clients 16 --only 'h2c, same token'` is the one connection.

use std::{process::ExitCode, thread};

use tokio::runtime::{Builder, Runtime};

/// Builds a runtime with so many workers, 0 for one a core.
pub(super) fn runtime(workers: usize) -> Result<Runtime, ExitCode> {
    let workers = match workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build().map_err(|error| {
        eprintln!("error: the runtime cannot start: {error}");
        ExitCode::FAILURE
    })
}
