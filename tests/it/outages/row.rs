//! One row: phases under load, and the judgement of everything that was answered in them.

use std::{
    collections::BTreeMap,
    io::Write,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    kind::{CALM, Kind, MIX, Phase},
    load::{Load, Outcome, Sample},
    place::{Place, Setting},
};

/// What the caches of a row may take, in KiB; a leak at this pace would take more.
const GROWTH: u64 = 48 * 1024;

/// Of fewer nothing is said.
const SOME: usize = 3;

pub(super) struct Row {
    name: &'static str,
    pub(super) place: Arc<Place>,
    load: Load,
    phases: Vec<Allowed>,
    /// When the last turn was taken, and to what.
    turned: Option<(Instant, Phase)>,
    /// Whether a request without a body may arrive once more where its connection broke.
    may_replay: bool,
    began: Instant,
    /// What each replica's memory was, in KiB.
    resident: Vec<u64>,
}

/// Either of two phases' answers are right.
#[derive(Clone, Copy)]
struct Allowed(Phase, Phase);

impl Row {
    /// Starts all, and lets it run for a second in which nothing fails.
    pub(super) async fn start(name: &'static str, setting: Setting) -> Self {
        Self::asking(name, setting, &[]).await
    }

    /// The same, asking more than the usual.
    pub(super) async fn asking(name: &'static str, setting: Setting, more: &[Kind]) -> Self {
        let place = Arc::new(Place::start(setting).await);
        let mix = [MIX, more].concat();
        let row = Self {
            name,
            load: Load::start(&place, mix).await,
            phases: vec![Allowed(CALM, CALM)],
            turned: None,
            may_replay: false,
            began: Instant::now(),
            resident: place.resident_kib(),
            place,
        };
        row.last(1_000).await;
        Self {
            resident: row.place.resident_kib(),
            ..row
        }
    }

    pub(super) fn may_replay(&mut self) {
        self.may_replay = true;
    }

    /// Lets the present phase last.
    pub(super) async fn last(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// Goes over to another phase: what `act` does needs so many milliseconds to be seen by all, in which the
    /// answers of both phases are right.
    pub(super) async fn turn(&mut self, to: Phase, millis: u64, act: impl AsyncFnOnce(&Place)) {
        let Allowed(from, _) = self.phases[self.phases.len() - 1];
        self.enter(Allowed(from, to));
        act(&self.place).await;
        self.turned = Some((Instant::now(), to));
        self.last(millis).await;
        self.enter(Allowed(to, to));
    }

    fn enter(&mut self, allowed: Allowed) {
        self.phases.push(allowed);
        self.load.enter(self.phases.len() - 1);
    }

    /// Stops, judges and prints.
    pub(super) async fn end(self) {
        self.judged().await;
    }

    /// The same, and in no phase do all newcomers take so much longer than in the first.
    pub(super) async fn end_with_newcomers_within(self, more: Duration) {
        let name = self.name;
        let quickest = quickest(&self.judged().await);
        let is_prompt = quickest.iter().all(|took| *took <= quickest[0] + more);
        assert!(is_prompt, "{name}: newcomers took {quickest:?}");
    }

    async fn judged(self) -> Vec<Sample> {
        let asked_for = self.began.elapsed();
        let most = self.load.most();
        let samples = self.load.stop().await;
        let wrong: Vec<_> = samples
            .iter()
            .filter_map(|sample| wrong(sample, &self.phases))
            .collect();
        let arrived = self.place.workers.arrived();
        let miscounted: Vec<_> = samples
            .iter()
            .filter_map(|sample| {
                let count = arrived.get(&sample.number).copied().unwrap_or(0);
                let due = due(sample, &self.phases, self.may_replay);
                (!due.contains(&count)).then(|| miscounted(sample, count))
            })
            .collect();
        let resident = self.place.resident_kib();
        let line = format!(
            "outage: {}: {} requests at {:.0}/s, {most} at once; {}; the quickest newcomers took {:.0?} by phase; recovered in {} ms; {:?} KiB, then {resident:?} KiB\n",
            self.name,
            samples.len(),
            samples.len() as f64 / asked_for.as_secs_f64(),
            summary(&samples),
            quickest(&samples),
            recovery(&samples, self.turned),
            self.resident,
        );
        // Not by a macro: it is to be seen though the test passes.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        assert!(
            wrong.is_empty(),
            "{} wrong: {:#?}",
            wrong.len(),
            first(wrong)
        );
        let count = miscounted.len();
        assert!(count == 0, "{count} miscounted: {:#?}", first(miscounted));
        let stderr = self.place.stderr();
        assert!(!stderr.contains("panicked"), "{stderr}");
        let mut both = resident.iter().zip(&self.resident);
        let is_flat = both.all(|(last, first)| *last < first + GROWTH);
        assert!(is_flat, "memory grows: {line}");
        samples
    }
}

fn first(mut all: Vec<String>) -> Vec<String> {
    all.truncate(20);
    all
}

fn wrong(sample: &Sample, phases: &[Allowed]) -> Option<String> {
    let (first, last) = sample.phases;
    let phases = &phases[first..=last];
    let mut both = all_of(phases);
    let (fine, said) = match &sample.outcome {
        Outcome::Answered { status, code } => {
            let fine = both.any(|phase| phase.allows(sample.kind, *status));
            (fine, format!("{status} {code}"))
        }
        Outcome::Wrong(what) => (false, what.clone()),
        Outcome::Lost(why) => (may_lose(sample, phases), why.clone()),
        Outcome::Left => (true, String::new()),
    };
    let name = format!("{:?} in phases {first} to {last}: {said}", sample.kind);
    (!fine).then_some(name)
}

fn all_of(phases: &[Allowed]) -> impl Iterator<Item = &Phase> {
    phases.iter().flat_map(|Allowed(one, other)| [one, other])
}

fn may_lose(sample: &Sample, phases: &[Allowed]) -> bool {
    all_of(phases).any(|phase| phase.may_lose == Some(sample.replica))
}

/// How long the quickest took of those whom nobody knew, a phase a figure: a busy machine counts least there.
fn quickest(samples: &[Sample]) -> Vec<Duration> {
    let mut phases: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.kind == Kind::New) {
        phases.entry(sample.phases.0).or_default().push(sample.took);
    }
    let phases = phases.into_values().filter(|all| all.len() >= SOME);
    phases.filter_map(|all| all.into_iter().min()).collect()
}

/// How often a request is to have arrived: what was answered once, what was refused never; what was cut off, once at
/// most.
fn due(sample: &Sample, phases: &[Allowed], may_replay: bool) -> RangeInclusive<u32> {
    let most = match may_replay && sample.kind != Kind::Post {
        true => 2,
        false => 1,
    };
    match &sample.outcome {
        Outcome::Answered { status: 200, .. } => 1..=most,
        Outcome::Answered { status: 502, .. } | Outcome::Lost(_) | Outcome::Left => 0..=most,
        Outcome::Answered { .. } if is_under_way(sample, phases) => 0..=most,
        Outcome::Answered { .. } => 0..=0,
        Outcome::Wrong(_) => 0..=u32::MAX,
    }
}

fn miscounted(sample: &Sample, count: u32) -> String {
    let said = match &sample.outcome {
        Outcome::Answered { status, .. } => status.to_string(),
        Outcome::Wrong(what) | Outcome::Lost(what) => what.clone(),
        Outcome::Left => "left".to_owned(),
    };
    format!("{:?} {said}: arrived {count} times", sample.kind)
}

/// Whether it may have gone on to the upstream before its session was revoked; then its answer is kept back.
fn is_under_way(sample: &Sample, phases: &[Allowed]) -> bool {
    let (first, last) = sample.phases;
    matches!(sample.kind, Kind::Own | Kind::Others)
        && all_of(&phases[first..=last]).any(|phase| phase.allows(sample.kind, 200))
}

fn summary(samples: &[Sample]) -> String {
    let mut kinds: BTreeMap<Kind, BTreeMap<String, usize>> = BTreeMap::new();
    for sample in samples {
        let said = match &sample.outcome {
            Outcome::Answered { status, code } => format!("{status} {code}"),
            Outcome::Wrong(_) => "wrong".to_owned(),
            Outcome::Lost(_) => "lost".to_owned(),
            Outcome::Left => "left".to_owned(),
        };
        let kind = kinds.entry(sample.kind).or_default();
        *kind.entry(said).or_default() += 1;
    }
    let kinds = kinds.iter().map(|(kind, said)| {
        let said = said
            .iter()
            .map(|(said, count)| format!("{}×{count}", said.trim_end()));
        format!("{kind:?} {}", said.collect::<Vec<_>>().join(", "))
    });
    kinds.collect::<Vec<_>>().join("; ")
}

/// How long after the last turn something was still answered as before it.
fn recovery(samples: &[Sample], turned: Option<(Instant, Phase)>) -> u128 {
    let Some((at, phase)) = turned else {
        return 0;
    };
    let is_late = |sample: &&Sample| match &sample.outcome {
        Outcome::Answered { status, .. } => !phase.allows(sample.kind, *status),
        Outcome::Left => false,
        Outcome::Wrong(_) | Outcome::Lost(_) => true,
    };
    let late = samples
        .iter()
        .filter(|sample| sample.began > at)
        .filter(is_late);
    let last = late.map(|sample| sample.began - at).max();
    last.unwrap_or_default().as_millis()
}
