//! How long a connection may stand still.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// When a connection last moved.
#[derive(Debug)]
pub(crate) struct Activity {
    made: Instant,
    last_millis: AtomicU64,
    limit: Duration,
}

impl Activity {
    /// Takes how long nothing may move; this counts as the first movement.
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            made: Instant::now(),
            last_millis: AtomicU64::new(0),
            limit,
        }
    }

    /// Notes that something moved now.
    pub(crate) fn note(&self) {
        let millis = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    /// Waits until nothing has moved for the limit.
    pub(crate) async fn idled(&self) {
        loop {
            let last = Duration::from_millis(self.last_millis.load(Ordering::Relaxed));
            let until = self.made + last + self.limit;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_idles_from_its_last_movement() {
        let activity = Activity::new(Duration::from_secs(10));
        let began = Instant::now();
        tokio::join!(activity.idled(), async {
            tokio::time::sleep(Duration::from_secs(6)).await;
            activity.note();
        });
        assert_eq!(began.elapsed().as_secs(), 16);
    }
}
