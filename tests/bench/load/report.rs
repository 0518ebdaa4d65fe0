//! Medians over the rounds, and each variant beside the bare proxy and the direct way.

use super::{
    gateway::{Gateway, Mode},
    generator::Outcome,
};

/// One variant's figures in one round.
pub(crate) struct Sample {
    name: String,
    /// The name of the bare proxy that it is compared with; `None` for the direct way.
    bare: Option<String>,
    outcome: Outcome,
    cpu: f64,
}

/// One part's figures.
pub(crate) struct Table {
    name: String,
    rounds: Vec<Vec<Sample>>,
    /// Connections to the upstream, and requests over them.
    opened: usize,
    sent: usize,
}

impl Sample {
    pub(crate) fn direct(outcome: Outcome) -> Self {
        Self {
            name: "direct".to_owned(),
            bare: None,
            outcome,
            cpu: 0.0,
        }
    }

    pub(crate) fn of(gateway: &Gateway, outcome: Outcome, cpu: f64) -> Self {
        let name = gateway.name.clone();
        let program = name.strip_suffix(gateway.mode.as_str()).unwrap();
        Self {
            bare: Some(format!("{program}{}", Mode::Bare.as_str())),
            name,
            outcome,
            cpu,
        }
    }

    fn micros(&self) -> f64 {
        self.cpu / self.outcome.answered as f64
    }
}

impl Table {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            rounds: Vec::new(),
            opened: 0,
            sent: 0,
        }
    }

    pub(crate) fn add(&mut self, samples: Vec<Sample>) {
        self.rounds.push(samples);
    }

    /// Notes how many connections to the upstream were opened for how many requests.
    pub(crate) fn reused(&mut self, opened: usize, sent: usize) {
        self.opened += opened;
        self.sent += sent;
    }

    pub(crate) fn print(&self) {
        println!("\n== {}", self.name);
        println!(
            "{:24} {:>9} {:>9} {:>9} {:>7}  added latency, us: {:>7} {:>8} {:>8}",
            "", "req/s", "req/cpu-s", "us/req", "/bare", "p50", "p99", "p99.9"
        );
        for sample in &self.rounds[0] {
            self.print_row(&sample.name);
        }
        println!(
            "{} connections to the upstream for {} requests",
            self.opened, self.sent
        );
    }

    fn print_row(&self, name: &str) {
        let of = |figure: &dyn Fn(&Sample, &[Sample]) -> f64| {
            median(self.rounds.iter().filter_map(|round| {
                let sample = round.iter().find(|sample| sample.name == name)?;
                Some(figure(sample, round))
            }))
        };
        let rate = of(&|sample, _| sample.outcome.answered as f64 / sample.outcome.seconds);
        let micros = of(&|sample, _| sample.micros());
        let ratio = of(&|sample, round| {
            let bare = round
                .iter()
                .find(|other| Some(&other.name) == sample.bare.as_ref());
            bare.map_or(f64::NAN, |bare| sample.micros() / bare.micros())
        });
        let added = |at: fn(&Outcome) -> f64| {
            of(&|sample, round| at(&sample.outcome) - at(&round[0].outcome))
        };
        // The direct way has no gateway whose time could be told.
        let told = |figure: f64, digits: usize| match figure.is_normal() {
            true => format!("{figure:.digits$}"),
            false => "-".to_owned(),
        };
        println!(
            "{name:24} {rate:>9.0} {:>9} {:>9} {:>7} {:>27.0} {:>8.0} {:>8.0}",
            told(1e6 / micros, 0),
            told(micros, 2),
            told(ratio, 3),
            added(|outcome| outcome.p50),
            added(|outcome| outcome.p99),
            added(|outcome| outcome.p999),
        );
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() % 2 {
        0 => (figures[middle - 1] + figures[middle]) / 2.0,
        _ => figures[middle],
    }
}
