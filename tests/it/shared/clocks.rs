//! Revocations while the replicas' clocks step.

use std::{fs, path::PathBuf};

use super::{Fleet, everywhere::Lags};
use crate::support::process::{folder, shift_clock};

/// The replica whose clock stays right, and those whose clocks step.
const STEPPING: [usize; 2] = [1, 2];

struct Clocks {
    folder: PathBuf,
}

impl Clocks {
    fn start() -> Self {
        let clocks = Self { folder: folder() };
        clocks.set(["+0s", "+0s"]);
        clocks
    }

    fn file(&self, replica: usize) -> PathBuf {
        self.folder.join(format!("clock-{replica}"))
    }

    fn set(&self, shifts: [&str; 2]) {
        for (replica, shift) in STEPPING.into_iter().zip(shifts) {
            // By a rename, so that no clock is read half.
            let new = self.folder.join("new");
            fs::write(&new, shift).unwrap();
            fs::rename(&new, self.file(replica)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server and libfaketime; tests/run installs them"]
async fn what_is_revoked_while_clocks_step_is_over_everywhere_within_a_second() {
    let clocks = Clocks::start();
    let mut fleet = Fleet::start(1).await;
    for replica in STEPPING {
        let file = clocks.file(replica);
        fleet.add_by("", |command| shift_clock(command, file.to_str().unwrap()));
    }
    fleet.meets();
    let mut lags = Lags::default();
    for (shifts, behind) in [(["+10s", "-10s"], 2), (["-10s", "+10s"], 1)] {
        clocks.set(shifts);
        // Before, at and after the step, which is seen when tokens of now are of the future.
        let mut rounds = 0;
        let mut after = 0;
        while after < 6 {
            lags.measure(&fleet, rounds % 3);
            rounds += 1;
            let (_, token) = fleet.new_session();
            let verdict = fleet.replicas[behind].verdict("/plain/x", &token);
            after += usize::from(verdict.1 == "token-iat-in-the-future");
            assert!(rounds < 500, "no clock steps: {verdict:?}");
        }
    }
    lags.judge("clocks that step by 10 s and 20 s");
}
