//! How long it takes until what is revoked on one replica is over on all.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::{Fleet, Replica};

/// What the product promises.
const PROMISED: Duration = Duration::from_secs(1);
const REVOCATIONS: usize = 200;
/// Clerk hears of each revocation: more calls than fit into 10 seconds of a development instance.
const TOLD: &[(&str, &str)] = &[("CLERK_GATEWAY__CLERK__CALLS_PER_10S", "0")];

/// What was measured, from when the revocation was ordered, on the replicas that it was not ordered on.
#[derive(Default)]
pub(super) struct Lags {
    refused: Vec<Duration>,
    ended: Vec<Duration>,
}

impl Lags {
    /// Revokes a session on one replica, and waits until the others refuse it and have ended its streams.
    pub(super) fn measure(&mut self, fleet: &Fleet, here: usize) {
        let (session, token) = fleet.lasting_session();
        let others = fleet.replicas.iter().enumerate();
        let others = others.filter_map(|(at, other)| (at != here).then_some(other));
        let others: Vec<_> = others
            .map(|other| (other, other.websocket(&token)))
            .collect();
        let since = Instant::now();
        std::thread::scope(|scope| {
            let mut refusals = Vec::new();
            let mut ends = Vec::new();
            for (other, stream) in others {
                let token = &token;
                refusals.push(scope.spawn(move || refusal(other, token, since)));
                ends.push(scope.spawn(move || end(stream, since)));
            }
            fleet.replicas[here].revoke(&session);
            let lags = |all: Vec<std::thread::ScopedJoinHandle<'_, Duration>>| {
                all.into_iter()
                    .map(|lag| lag.join().unwrap())
                    .collect::<Vec<_>>()
            };
            self.refused.extend(lags(refusals));
            self.ended.extend(lags(ends));
        });
    }

    /// Prints what was measured, and holds it to what is promised.
    pub(super) fn judge(mut self, name: &str) {
        for (what, lags) in [
            ("refused", &mut self.refused),
            ("streams ended", &mut self.ended),
        ] {
            lags.sort();
            let (half, most) = (lags[lags.len() / 2], lags[lags.len() - 1]);
            let p99 = lags[lags.len() * 99 / 100];
            let count = lags.len();
            let line = format!(
                "{name}: {what}: p50 {half:.1?}, p99 {p99:.1?}, most {most:.1?}, of {count}\n"
            );
            // Not by a macro: it is to be seen though the test passes.
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            assert!(most < PROMISED, "{line}");
        }
    }
}

fn refusal(replica: &Replica, token: &str, since: Instant) -> Duration {
    replica.comes_to_refuse(token, "session-revoked");
    since.elapsed()
}

fn end(mut stream: TcpStream, since: Instant) -> Duration {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x88\x02\x03\xf0");
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn what_one_of_three_replicas_revokes_is_over_on_the_others_within_a_second() {
    let fleet = Fleet::told(3, TOLD).await;
    let mut lags = Lags::default();
    for round in 0..REVOCATIONS {
        lags.measure(&fleet, round % 3);
    }
    lags.judge("200 revocations");
}
