//! Fleets of gateways under Clerk's rate limit, in simulated time: the real budget and the real session times.
//!
//! Sessions send a request every 10 seconds or so, always through the same replica, with a token that is renewed
//! after 50 seconds; one in an hour ends, and another begins that nobody knows. Some are revoked, and no webhook tells
//! of it. `SIMULATION=full cargo test --lib simulation -- --nocapture` runs the large form and draws
//! `tests/simulation/budget.svg`.

mod chart;
mod fleet;

use std::{env, fs};

use fleet::{Fleet, Outcome};

use crate::clerk::budget::Budget;

/// Clerk's limit for a production instance, in calls per 10 seconds.
const LIMIT: u64 = 1_000;
/// What the gateways use of it by default.
const BUDGET: u32 = 900;
/// The default of `session_ttl_max`, in seconds.
const LONGEST: f64 = 60.0;

const REPLICAS: [usize; 3] = [1, 10, 100];

/// Each replica's part.
fn parts(replicas: usize) -> Vec<Budget> {
    let part = |_| Budget::new(BUDGET).among(replicas as u32);
    (0..replicas).map(part).collect()
}

/// One budget, as replicas have it that share a Redis.
fn whole(replicas: usize) -> Vec<Budget> {
    vec![Budget::new(BUDGET); replicas]
}

#[test]
fn fleets_keep_clerks_limit_and_see_revocations_in_time() {
    let full = env::var("SIMULATION").is_ok_and(|form| form == "full");
    let (sizes, seconds): (&[usize], _) = match full {
        true => (&[1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000], 180),
        false => (&[1_000, 10_000, 20_000], 60),
    };
    let mut outcomes = Vec::new();
    for sessions in sizes {
        for replicas in REPLICAS {
            let mut fleet = Fleet::new(*sessions, parts(replicas));
            let outcome = fleet.run(seconds);
            println!("{outcome}");
            check(&outcome);
            outcomes.push(outcome);
        }
    }
    if full {
        fs::write("tests/simulation/budget.svg", chart::draw(&outcomes)).unwrap();
    }
}

fn check(outcome: &Outcome) {
    assert!(outcome.most_calls <= u64::from(BUDGET), "{outcome}");
    assert_eq!(outcome.answers_429, 0, "{outcome}");
    assert!(outcome.lags.len() > 30, "{outcome}");
    assert!(outcome.lag(1.0) <= LONGEST, "{outcome}");
    if outcome.sessions <= 100_000 && outcome.replicas <= 10 {
        assert!(outcome.refused_share() < 0.002, "{outcome}");
    }
}

#[test]
fn with_few_sessions_revocations_are_seen_within_the_usual_time() {
    let outcome = Fleet::new(500, parts(1)).run(60);
    println!("{outcome}");
    assert!(
        outcome.lags.len() > 30 && outcome.lag(1.0) <= 15.0,
        "{outcome}"
    );
    assert_eq!(outcome.refused, 0);
}

#[test]
fn replicas_that_do_not_know_of_each_other_find_to_the_limit() {
    let unknown = (0..10).map(|_| Budget::new(BUDGET)).collect();
    let mut fleet = Fleet::new(20_000, unknown);
    fleet.run(120);
    let later = fleet.run(120);
    println!("{later}");
    // A 429 now and then is how they find it.
    assert!(later.answers_429 < later.calls / 50, "{later}");
    assert!(later.lag(1.0) <= LONGEST, "{later}");
}

#[test]
fn ten_busy_replicas_of_a_hundred_refuse_far_less_with_one_budget_than_with_parts() {
    let mut part_each = parts(100);
    part_each.truncate(10);
    let [divided, shared] = [part_each, whole(10)].map(|budgets| {
        let outcome = Fleet::new(40_000, budgets).run(30);
        println!("{outcome}");
        assert!(outcome.most_calls <= u64::from(BUDGET), "{outcome}");
        outcome
    });
    assert!(shared.refused * 50 < divided.refused, "{shared}");
}
