//! The cache against a model of what may be served when, and under tasks that take turns at random.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering},
};

use proptest::{collection::vec, prelude::*};
use tokio::{runtime, task::yield_now};

use super::*;

type TestCache = Arc<Cache<u8, u32, Fault>>;

const RETRY: i64 = 2;

#[derive(Clone, Copy, Debug)]
struct Fault(Excuse);

impl FetchError for Fault {
    fn excuse(&self) -> Excuse {
        self.0
    }
}

/// What a fetch brings: for how many seconds it is fresh, when it is due before that, how long it is stale after.
#[derive(Clone, Copy, Debug)]
struct Life {
    ttl: i64,
    due: i64,
    stale: i64,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(i64),
    Recall(u8, Staleness),
    Get(u8, Staleness, Result<Life, Fault>),
    Put(u8, Life),
    Remove(u8),
    EvictAll,
}

/// What is known of a key, as the documentation of [`Lifetime`] and [`Excuse`] has it.
#[derive(Clone, Copy, Debug)]
struct Known {
    value: u32,
    since: i64,
    life: Life,
    failing: bool,
    no_refresh_until: i64,
}

#[derive(Default)]
struct Model {
    now: i64,
    known: HashMap<u8, Known>,
}

/// What may be served, and whether who is served also refreshes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Served {
    As(u32),
    Refreshing(u32),
    Nothing,
}

impl Model {
    fn serve(&mut self, key: u8, staleness: Staleness) -> Served {
        let now = self.now;
        let Some(known) = self.known.get_mut(&key) else {
            return Served::Nothing;
        };
        let age = now - known.since;
        let is_fresh = age < known.life.ttl;
        let is_stale = age < known.life.ttl + known.life.stale && known.failing;
        if !(is_fresh || is_stale && staleness == Staleness::Accept) {
            return Served::Nothing;
        }
        let is_due = !is_fresh || age >= known.life.due;
        if !is_due || now < known.no_refresh_until {
            return Served::As(known.value);
        }
        known.no_refresh_until = now + RETRY;
        Served::Refreshing(known.value)
    }

    fn land(&mut self, key: u8, value: u32, result: Result<Life, Fault>) {
        match result {
            Ok(life) => {
                let known = Known {
                    value,
                    since: self.now,
                    life,
                    failing: false,
                    no_refresh_until: i64::MIN,
                };
                self.known.insert(key, known);
            }
            Err(Fault(excuse)) => {
                let Some(known) = self.known.get_mut(&key) else {
                    return;
                };
                match excuse {
                    Excuse::Starts => known.failing = true,
                    Excuse::Continues => {}
                    Excuse::Ends => known.failing = false,
                }
                known.no_refresh_until = known.no_refresh_until.max(self.now + RETRY);
            }
        }
    }

    fn get(
        &mut self,
        key: u8,
        staleness: Staleness,
        value: u32,
        result: Result<Life, Fault>,
    ) -> Option<u32> {
        match self.serve(key, staleness) {
            Served::As(served) => return Some(served),
            Served::Refreshing(served) => {
                self.land(key, value, result);
                return Some(served);
            }
            Served::Nothing => {}
        }
        self.land(key, value, result);
        match result {
            Ok(_) => Some(value),
            Err(_) => match self.serve_as_is(key, staleness) {
                Served::As(served) => Some(served),
                _ => None,
            },
        }
    }

    /// Serves what a failed fetch leaves standing.
    fn serve_as_is(&self, key: u8, staleness: Staleness) -> Served {
        match self.known.get(&key) {
            Some(known)
                if staleness == Staleness::Accept
                    && self.now - known.since < known.life.ttl + known.life.stale
                    && known.failing =>
            {
                Served::As(known.value)
            }
            _ => Served::Nothing,
        }
    }
}

impl Life {
    fn at(self, now: i64) -> Lifetime {
        let time = |age| Timestamp::from_secs(now + age);
        Lifetime {
            refresh_at: time(self.due),
            fresh_until: time(self.ttl),
            stale_until: time(self.ttl + self.stale),
            kept_until: time(self.ttl),
        }
    }
}

fn cache() -> TestCache {
    Arc::new(Cache::new(CacheOptions {
        capacity: 1000,
        patience: Duration::from_secs(60),
        retry_after: Duration::from_secs(RETRY.unsigned_abs()),
        coalesced: || {},
        missed: || {},
    }))
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

fn life() -> impl Strategy<Value = Life> {
    (1..8_i64, 0..9_i64, 0..12_i64).prop_map(|(ttl, due, stale)| Life { ttl, due, stale })
}

fn outcome() -> impl Strategy<Value = Result<Life, Fault>> {
    let excuse = prop_oneof![
        Just(Excuse::Starts),
        Just(Excuse::Continues),
        Just(Excuse::Ends)
    ];
    prop_oneof![life().prop_map(Ok), excuse.prop_map(|why| Err(Fault(why)))]
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..3_u8;
    let staleness = prop_oneof![Just(Staleness::Accept), Just(Staleness::Refuse)];
    prop_oneof![
        3 => (0..5_i64).prop_map(Step::Pass),
        3 => (key.clone(), staleness.clone()).prop_map(|(key, staleness)| Step::Recall(key, staleness)),
        6 => (key.clone(), staleness, outcome()).prop_map(|(key, staleness, outcome)| Step::Get(key, staleness, outcome)),
        1 => (key.clone(), life()).prop_map(|(key, life)| Step::Put(key, life)),
        1 => key.prop_map(Step::Remove),
        1 => Just(Step::EvictAll),
    ]
}

/// Takes a step in the cache and in its model, and compares what they say.
async fn take(cache: &TestCache, model: &mut Model, step: Step, value: u32) {
    let now = Timestamp::from_secs(model.now);
    match step {
        Step::Pass(secs) => model.now += secs,
        Step::Recall(key, staleness) => {
            let served = match cache.recall(&key, now, staleness) {
                Recall::Fresh(value) | Recall::Stale(value) => Served::As(value),
                Recall::Due(value) => Served::Refreshing(value),
                Recall::Stretched { .. } => unreachable!("nobody stretches"),
                Recall::Missing => Served::Nothing,
            };
            assert_eq!(served, model.serve(key, staleness), "{step:?}");
        }
        Step::Get(key, staleness, outcome) => {
            let at = model.now;
            let bring = move |life: Life| Fetched {
                value,
                lifetime: life.at(at),
            };
            let fetch = async move { outcome.map(bring) };
            let got = cache.get(key, now, staleness, fetch).await.ok();
            while cache.is_fetching(&key) {
                yield_now().await;
            }
            assert_eq!(got, model.get(key, staleness, value, outcome), "{step:?}");
        }
        Step::Put(key, life) => {
            let lifetime = life.at(model.now);
            cache.put(key, now, Fetched { value, lifetime });
            model.land(key, value, Ok(life));
        }
        Step::Remove(key) => {
            cache.remove(&key);
            model.known.remove(&key);
        }
        Step::EvictAll => {
            cache.evict(|_, _| true);
            model.known.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_cache_serves_what_its_model_does(steps in vec(step(), 1..60)) {
        runtime().block_on(async {
            let (cache, mut model) = (cache(), Model::default());
            for (step, value) in steps.into_iter().zip(0..) {
                take(&cache, &mut model, step, value).await;
            }
        });
    }

    #[test]
    fn whoever_takes_turns_gets_nothing_older_than_the_ttl_and_one_fetch_at_a_time(
        turns in vec(vec((0..4_u8, 0..2_u8, 0..4_u8), 1..12), 2..8),
    ) {
        runtime().block_on(interleaved(turns));
    }
}

/// What the fetches ask: a number that only grows, and when it last did.
#[derive(Default)]
struct Truth {
    now: AtomicI64,
    number: AtomicU32,
    /// The number, as it was at the beginning of each second.
    at: std::sync::Mutex<Vec<u32>>,
    fetching: [AtomicUsize; 2],
}

const TTL: i64 = 3;

impl Truth {
    fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Lets a second pass, after a change.
    fn tick(&self) {
        let mut at = self.at.lock().unwrap();
        at.push(self.number.load(Ordering::SeqCst));
        self.number.fetch_add(1, Ordering::SeqCst);
        self.now.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the least number that may be served to who asks at `now`: the one of a fetch begun as it became too old.
    fn oldest(&self, now: i64) -> u32 {
        let at = self.at.lock().unwrap();
        let second = usize::try_from(now - TTL + 1).unwrap_or(0);
        at.get(second).copied().unwrap_or(0)
    }
}

/// Each of `turns` is a task: what it does, for which key, and for how many turns it then waits.
async fn interleaved(turns: Vec<Vec<(u8, u8, u8)>>) {
    let (cache, truth) = (cache(), Arc::new(Truth::default()));
    let tasks: Vec<_> = turns
        .into_iter()
        .map(|turns| tokio::spawn(take_turns(Arc::clone(&cache), Arc::clone(&truth), turns)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn take_turns(cache: TestCache, truth: Arc<Truth>, turns: Vec<(u8, u8, u8)>) {
    for (what, key, pause) in turns {
        match what {
            0 => truth.tick(),
            1 => cache.remove(&key),
            _ => {
                let asked_at = truth.now();
                let now = Timestamp::from_secs(asked_at);
                let fetch = ask(Arc::clone(&truth), key, asked_at, pause);
                let joins = cache.is_fetching(&key);
                let got = cache.get(key, now, Staleness::Refuse, fetch).await.unwrap();
                // Who joins a fetch takes what it brings, however long that was under way.
                let oldest = truth.oldest(asked_at);
                assert!(joins || got >= oldest, "{got} at {asked_at}, not {oldest}");
            }
        }
        for _ in 0..pause {
            yield_now().await;
        }
    }
}

async fn ask(truth: Arc<Truth>, key: u8, at: i64, pause: u8) -> Result<Fetched<u32>, Fault> {
    let fetching = &truth.fetching[usize::from(key)];
    assert_eq!(fetching.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
    let value = truth.number.load(Ordering::SeqCst);
    for _ in 0..pause {
        yield_now().await;
    }
    fetching.fetch_sub(1, Ordering::SeqCst);
    let now = Timestamp::from_secs(at);
    let life = Duration::from_secs(TTL.unsigned_abs());
    Ok(Fetched {
        value,
        lifetime: Lifetime::fresh_for(now, life, Duration::ZERO),
    })
}
