//! Replicas, sessions and Clerk, second by second.

use std::{collections::VecDeque, fmt, time::Duration};

use super::LIMIT;
use crate::{
    cache::Stretch,
    clerk::budget::{Budget, Priority},
    time::Timestamp,
    verify::session_ttl::SessionTtl,
};

/// A step of the simulation, in milliseconds.
const STEP: i64 = 100;
/// Steps that requests can be planned ahead.
const AHEAD: usize = 1_024;
/// In milliseconds: between two requests of a session, on average; how long its token is used; how long a visit
/// lasts; how far clocks may differ; how long a lookup waits for its turn; how long a 429 holds calls back.
const PAUSE: f64 = 10_000.0;
const TOKEN: i64 = 50_000;
const TOKEN_LIFE: i64 = 65_000;
const VISIT: f64 = 3_600_000.0;
const SKEW: i64 = 5_000;
const PATIENCE: i64 = 2_500;
const HELD_BACK: i64 = 10_000;
/// So many sessions are revoked in a second.
const REVOKED: f64 = 2.0;

const TTL: SessionTtl = SessionTtl {
    usual: Duration::from_secs(15),
    longest: Duration::from_secs(60),
};

/// What a run has shown.
pub(super) struct Outcome {
    pub(super) replicas: usize,
    pub(super) sessions: usize,
    /// In any 10 seconds.
    pub(super) most_calls: u64,
    pub(super) calls: u64,
    pub(super) answers_429: u64,
    pub(super) served: u64,
    pub(super) refused: u64,
    /// Seconds from revocations to the last request that was served after them, in order.
    pub(super) lags: Vec<f64>,
}

pub(super) struct Fleet {
    now: i64,
    random: Random,
    replicas: Vec<Replica>,
    sessions: Vec<Session>,
    /// Who sends a request, by the steps to come.
    plan: VecDeque<Vec<u32>>,
    clerk: Clerk,
    outcome: Outcome,
}

struct Replica {
    budget: Budget,
    opens_at: i64,
}

#[derive(Clone, Copy)]
struct Session {
    /// When its replica has last asked for it; `None`: never.
    asked_at: Option<i64>,
    minted_at: i64,
    revoked_at: Option<i64>,
    served_at: i64,
    /// Since when its request waits for a lookup.
    waiting: Option<i64>,
}

/// Counts calls as Clerk does, and for us those of any 10 seconds.
#[derive(Default)]
struct Clerk {
    window: i64,
    in_window: u64,
    recent: VecDeque<i64>,
}

struct Random(u64);

impl Fleet {
    /// Begins with sessions that have been there for a while, and a replica with each of the budgets.
    pub(super) fn new(sessions: usize, budgets: Vec<Budget>) -> Self {
        let replicas = budgets.len();
        let mut random = Random(7 + replicas as u64 * 31 + sessions as u64);
        let now = 1_000_000_000;
        // As long as it takes to have asked for all of them.
        let span = (sessions as f64 * 1_000.0 / 60.0).clamp(15_000.0, 6.0 * 3_600_000.0);
        let mut plan: VecDeque<Vec<u32>> = (0..AHEAD).map(|_| Vec::new()).collect();
        let known = |random: &mut Random| Session {
            asked_at: Some(now - (random.unit() * span) as i64),
            minted_at: now - (random.unit() * TOKEN as f64) as i64,
            revoked_at: None,
            served_at: now,
            waiting: None,
        };
        let sessions: Vec<_> = (0..sessions).map(|_| known(&mut random)).collect();
        for id in 0..sessions.len() {
            let step = (random.unit() * PAUSE) as usize / STEP as usize;
            plan[step].push(id as u32);
        }
        let replica = |budget| Replica {
            budget,
            opens_at: 0,
        };
        Self {
            now,
            random,
            outcome: Outcome::new(replicas, sessions.len()),
            replicas: budgets.into_iter().map(replica).collect(),
            sessions,
            plan,
            clerk: Clerk::default(),
        }
    }

    /// Runs for so many seconds and tells what these have shown; the first 30 seconds of all are left out.
    pub(super) fn run(&mut self, seconds: i64) -> Outcome {
        if self.outcome.served == 0 {
            self.pass(30);
        }
        let (replicas, sessions) = (self.replicas.len(), self.sessions.len());
        self.outcome = Outcome::new(replicas, sessions);
        self.pass(seconds);
        let mut outcome = std::mem::replace(&mut self.outcome, Outcome::new(replicas, sessions));
        outcome.lags.sort_by(f64::total_cmp);
        outcome
    }

    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds * 1_000 / STEP {
            let due = self.plan.pop_front().unwrap_or_default();
            self.plan.push_back(Vec::new());
            for id in due {
                self.request(id);
            }
            self.now += STEP;
        }
    }

    fn request(&mut self, id: u32) {
        let index = id as usize;
        if self.sessions[index].waiting.is_none() {
            self.renew(index);
        }
        match self.decide(index) {
            Decision::Serve => self.served(index),
            Decision::Revoked => self.over(index),
            Decision::Unavailable => {
                self.outcome.refused += 1;
                self.sessions[index].waiting = None;
            }
            Decision::Wait(wait) => {
                self.sessions[index].waiting.get_or_insert(self.now);
                return self.plan_in(id, wait);
            }
        }
        let pause = (-self.random.unit().max(1e-9).ln() * PAUSE) as i64;
        self.plan_in(id, pause);
    }

    /// Clerk mints a new token when the old one is near its end, unless the session is revoked; visits end.
    fn renew(&mut self, index: usize) {
        let ends = self.random.unit() < PAUSE / VISIT;
        let now = self.now;
        let session = &mut self.sessions[index];
        if session.revoked_at.is_some() {
            if now - session.minted_at >= TOKEN_LIFE {
                self.over(index);
            }
        } else if ends {
            *session = Session::unknown(now);
        } else if now - session.minted_at >= TOKEN {
            session.minted_at = now;
        }
    }

    fn decide(&mut self, index: usize) -> Decision {
        let session = self.sessions[index];
        let at = Timestamp::from_millis(self.now);
        let budget = &self.replicas[index % self.replicas.len()].budget;
        if let Some(asked_at) = session.asked_at {
            let unasked = Duration::from_millis((self.now - asked_at) as u64);
            if unasked < TTL.usual {
                return Decision::Serve;
            }
            let seen = asked_at.max(session.minted_at - SKEW);
            let unseen = Duration::from_millis((self.now - seen) as u64);
            let kept = unasked < TTL.longest_kept();
            match TTL.judge(unseen, budget.pressure(at)) {
                Stretch::Serve if kept => return Decision::Serve,
                Stretch::Refresh if kept => {
                    // The answer comes after the request is served.
                    let _ = self.ask(index, Priority::Refresh);
                    return Decision::Serve;
                }
                _ => {}
            }
        }
        match self.ask(index, Priority::Request) {
            Ok(()) if self.sessions[index].revoked_at.is_some() => Decision::Revoked,
            Ok(()) => Decision::Serve,
            Err(wait) => {
                let waited = self.now - session.waiting.unwrap_or(self.now);
                match waited + wait <= PATIENCE {
                    true => Decision::Wait(wait),
                    false => Decision::Unavailable,
                }
            }
        }
    }

    /// Asks Clerk for a session; else says after how long that may be tried again.
    fn ask(&mut self, index: usize, priority: Priority) -> Result<(), i64> {
        let count = self.replicas.len();
        let replica = &mut self.replicas[index % count];
        if self.now < replica.opens_at {
            return Err(replica.opens_at - self.now);
        }
        let at = Timestamp::from_millis(self.now);
        let taken = replica.budget.take(priority, at);
        taken.map_err(|wait| wait.as_millis() as i64)?;
        self.outcome.calls += 1;
        if !self.clerk.answers(self.now) {
            self.outcome.answers_429 += 1;
            let held_back = Duration::from_millis(HELD_BACK as u64);
            replica.budget.close(held_back, at);
            replica.opens_at = self.now + HELD_BACK;
            return Err(HELD_BACK);
        }
        let recent = self.clerk.recent.len() as u64;
        self.outcome.most_calls = self.outcome.most_calls.max(recent);
        self.sessions[index].asked_at = match self.sessions[index].revoked_at {
            // In the background it is learnt of a revocation too: what is cached is no longer active.
            Some(_) => None,
            None => Some(self.now),
        };
        Ok(())
    }

    fn served(&mut self, index: usize) {
        self.outcome.served += 1;
        let requests_a_second = self.sessions.len() as f64 * 1_000.0 / PAUSE;
        let revoked = self.random.unit() < REVOKED / requests_a_second;
        let session = &mut self.sessions[index];
        session.waiting = None;
        session.served_at = self.now;
        if revoked {
            session.revoked_at.get_or_insert(self.now);
        }
    }

    /// A revoked session is refused; another takes its place.
    fn over(&mut self, index: usize) {
        let session = &mut self.sessions[index];
        if let Some(revoked_at) = session.revoked_at {
            let lag = session.served_at - revoked_at;
            self.outcome.lags.push(lag as f64 / 1_000.0);
        }
        *session = Session::unknown(self.now);
    }

    fn plan_in(&mut self, id: u32, millis: i64) {
        let steps = (millis / STEP).max(1) as usize;
        self.plan[steps.min(AHEAD) - 1].push(id);
    }
}

enum Decision {
    Serve,
    Revoked,
    Unavailable,
    Wait(i64),
}

impl Session {
    fn unknown(now: i64) -> Self {
        Self {
            asked_at: None,
            minted_at: now,
            revoked_at: None,
            served_at: now,
            waiting: None,
        }
    }
}

impl Clerk {
    fn answers(&mut self, now: i64) -> bool {
        if self.window != now / 10_000 {
            self.window = now / 10_000;
            self.in_window = 0;
        }
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|call| now - call >= 10_000) {
            self.recent.pop_front();
        }
        self.in_window += 1;
        self.in_window <= LIMIT
    }
}

impl Outcome {
    fn new(replicas: usize, sessions: usize) -> Self {
        Self {
            replicas,
            sessions,
            most_calls: 0,
            calls: 0,
            answers_429: 0,
            served: 0,
            refused: 0,
            lags: Vec::new(),
        }
    }

    /// The lag in seconds that so large a part of the revocations does not exceed.
    pub(super) fn lag(&self, part: f64) -> f64 {
        let last = self.lags.len().saturating_sub(1);
        let lag = self.lags.get((last as f64 * part).round() as usize);
        lag.copied().unwrap_or_default()
    }

    pub(super) fn refused_share(&self) -> f64 {
        self.refused as f64 / (self.refused + self.served).max(1) as f64
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>3} replicas, {:>7} sessions: at most {:>4} calls in 10 s, {} answers 429; revocations seen after {:.1} s (p50), {:.1} s (p99), {:.1} s (most); 503: {:.3} %",
            self.replicas,
            self.sessions,
            self.most_calls,
            self.answers_429,
            self.lag(0.5),
            self.lag(0.99),
            self.lag(1.0),
            self.refused_share() * 100.0,
        )
    }
}

impl Random {
    /// From 0 to 1, by splitmix64.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
