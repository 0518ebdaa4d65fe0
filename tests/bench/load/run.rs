//! The run: each part's variants take turns, round by round.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    thread,
};

use super::{
    Options,
    gateway::{Gateway, Mode, Setup},
    generator::Outcome,
    process::Process,
    report::{Sample, Table},
    tokens::Tokens,
};

struct Run<'a> {
    options: &'a Options,
    gateways: Vec<Gateway>,
    upstream: u16,
}

/// One kind of load.
struct Part<'a> {
    name: String,
    h2: bool,
    rate: u64,
    tokens: &'a Path,
    /// Seconds of load before the first round, so that every token has been seen.
    warm: f64,
}

/// How many first sights a second are allowed for: a signature, and a look-up of the session.
const FIRST_SIGHTS: f64 = 1500.0;

pub(crate) fn run(options: Options) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = std::env::temp_dir().join(format!("clerk-gateway-load-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let tokens = runtime.block_on(Tokens::mint(&directory, options.tokens));
    let mut upstream = Process::role(&["upstream".to_owned()]);
    let port = upstream.line().parse().unwrap();
    let setup = Setup {
        directory: &directory,
        sandbox: &tokens.sandbox,
        upstream: port,
        workers: options.workers,
    };
    let parts = parts(&options, &tokens);
    let mut tables: Vec<_> = parts.iter().map(|part| Table::new(&part.name)).collect();
    for start in 0..options.starts {
        let run = Run::start(&options, &setup);
        if start == 0 {
            run.start_and_memory(&tokens);
        }
        for (part, table) in parts.iter().zip(&mut tables) {
            run.part(part, table);
        }
    }
    tables.iter().for_each(Table::print);
    std::fs::remove_dir_all(&directory).unwrap();
}

fn parts<'a>(options: &Options, tokens: &'a Tokens) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let many = format!("{} tokens in turn", tokens.count);
    let seconds = options.seconds;
    let long = seconds.max(tokens.count as f64 / FIRST_SIGHTS);
    for (protocol, h2) in [("h1", false), ("h2c", true)] {
        for (what, tokens, warm) in [
            ("same token", &tokens.same, seconds),
            (&*many, &tokens.many, long),
        ] {
            parts.push(Part {
                name: format!("{protocol}, {what}, closed loop"),
                h2,
                rate: 0,
                tokens,
                warm,
            });
        }
    }
    for &rate in &options.rate {
        parts.push(Part {
            name: format!("h1, same token, {rate} requests/s"),
            h2: false,
            rate,
            tokens: &tokens.same,
            warm: seconds,
        });
    }
    parts.retain(|part| part.name.contains(&options.only));
    parts
}

impl<'a> Run<'a> {
    fn start(options: &'a Options, setup: &Setup<'_>) -> Self {
        let mut gateways = Vec::new();
        for mode in Mode::ALL {
            for (name, path) in &options.gateway {
                gateways.push(Gateway::start(setup, name, path, mode));
            }
        }
        Self {
            options,
            gateways,
            upstream: setup.upstream,
        }
    }

    fn start_and_memory(&self, tokens: &Tokens) {
        println!("\n== start and memory (one sample)");
        println!(
            "{:24} {:>12} {:>12} {:>20}",
            "", "first 200", "resident", "idle connection"
        );
        let token = tokens.sandbox.session_token();
        let count = self.options.idle;
        let idle: Vec<_> = thread::scope(|scope| {
            let gateways = self.gateways.iter();
            let weighing: Vec<_> = gateways
                .map(|gateway| scope.spawn(move || gateway.idle_connection(token, count)))
                .collect();
            weighing
                .into_iter()
                .map(|weighed| weighed.join().unwrap())
                .collect()
        });
        for (gateway, idle) in self.gateways.iter().zip(idle) {
            println!(
                "{:24} {:>9.1} ms {:>8.0} KiB {:>16.1} KiB",
                gateway.name,
                gateway.start.as_secs_f64() * 1e3,
                gateway.resident,
                idle,
            );
        }
    }

    fn part(&self, part: &Part<'_>, table: &mut Table) {
        let opened = self.connections();
        let mut sent = 0;
        for gateway in &self.gateways {
            self.load(part, gateway.port, part.warm);
        }
        let seconds = self.options.seconds;
        for round in 0..self.options.rounds {
            let mut samples = vec![Sample::direct(self.load(part, self.upstream, seconds))];
            let mut order: Vec<_> = self.gateways.iter().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for gateway in order {
                let before = gateway.process.cpu();
                let outcome = self.load(part, gateway.port, seconds);
                let cpu = gateway.process.cpu() - before;
                sent += outcome.answered;
                samples.push(Sample::of(gateway, outcome, cpu));
            }
            table.add(samples);
        }
        table.reused(self.connections() - opened, sent);
    }

    fn load(&self, part: &Part<'_>, port: u16, seconds: f64) -> Outcome {
        let mut arguments = vec!["generate".to_owned()];
        for (name, value) in [
            ("--port", port.to_string()),
            ("--clients", self.options.clients.to_string()),
            ("--seconds", seconds.to_string()),
            ("--rate", part.rate.to_string()),
            ("--tokens", part.tokens.to_str().unwrap().to_owned()),
        ] {
            arguments.extend([name.to_owned(), value]);
        }
        // The upstream speaks HTTP/1.1 alone.
        if part.h2 && port != self.upstream {
            arguments.push("--h2".to_owned());
        }
        let line = Process::role(&arguments).line();
        let outcome: Outcome = serde_json::from_str(&line).unwrap();
        assert_eq!(outcome.failed, 0, "requests failed in {}", part.name);
        outcome
    }

    /// Returns how many connections the upstream has taken, this question's not counted.
    fn connections(&self) -> usize {
        let mut stream = TcpStream::connect(("127.0.0.1", self.upstream)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        let number = answer
            .lines()
            .find_map(|line| line.strip_prefix("x-connection: "));
        number.unwrap().parse::<usize>().unwrap() - 1
    }
}
