//! Load on the gateway, as processes: upstream, gateway and load generator, with the bare proxy and
//! the authenticated one side by side in one run.
//!
//! `cargo bench --bench load` measures; `cargo bench --bench load -- --smoke` only proves, in a few
//! seconds, that it runs. Each gateway is alone on one CPU where there are two (`taskset`); all else
//! shares another. The variants take turns in every round, and each figure is the median of the rounds of all starts.
//!
//! The figure to trust is the CPU time for a request, of all the gateway's threads, as the kernel
//! counts it. Times of one run compare with each other and with nothing else. With `--rate`, requests
//! leave by the clock, and latencies count from when each *should* have left.
#![allow(clippy::unwrap_used)]

mod gateway;
mod generator;
mod process;
mod report;
mod run;
mod tokens;
mod upstream;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
    /// A gateway to measure, as NAME=PATH; several are measured side by side
    #[arg(long, value_parser = named)]
    gateway: Vec<(String, PathBuf)>,
    /// Runs each part once and for a moment
    #[arg(long)]
    smoke: bool,
    /// How often the gateways are started anew: where one process has its memory is luck
    #[arg(long, default_value_t = 1)]
    starts: usize,
    /// How often the variants take turns after each start
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load on one variant in one round
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Requests at once: HTTP/1.1 connections, or HTTP/2 streams, 16 a connection
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Requests a second; several are measured in turn
    #[arg(long, value_delimiter = ',', default_value = "500,3000")]
    rate: Vec<u64>,
    /// How many different tokens are sent in turn, beside one alone
    #[arg(long, default_value_t = 10_000)]
    tokens: usize,
    /// The gateway's worker threads; above one, it is not pinned
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Idle connections that are opened to weigh one
    #[arg(long, default_value_t = 2000)]
    idle: usize,
    /// Only parts whose names hold this
    #[arg(long, default_value = "")]
    only: String,
    /// What `cargo bench` says
    #[arg(long, hide = true)]
    bench: bool,
}

/// What this process is, where it is not the one that measures.
#[derive(Subcommand)]
enum Role {
    /// Answers every request at once
    Upstream,
    /// Sends requests, and prints what became of them
    Generate(generator::Load),
}

fn main() {
    let options = Options::parse();
    // Idle connections take more than a shell gives.
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    match options.role {
        Some(Role::Upstream) => upstream::run(),
        Some(Role::Generate(load)) => generator::run(&load),
        None => run::run(options.checked()),
    }
}

impl Options {
    fn checked(mut self) -> Self {
        if self.gateway.is_empty() {
            let path = PathBuf::from(env!("CARGO_BIN_EXE_clerk-gateway"));
            self.gateway.push((String::new(), path));
        }
        if self.smoke {
            self.starts = 1;
            self.rounds = 1;
            self.seconds = 0.2;
            self.clients = 16;
            self.rate = vec![200];
            self.tokens = 20;
            self.idle = 20;
        }
        self
    }
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("want NAME=PATH")?;
    Ok((format!("{name} "), path.into()))
}
