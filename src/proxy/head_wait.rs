//! Waits for a response's head without counting the time in which the request was still being sent.

use std::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, error::Elapsed, timeout_at};

/// When a body last moved.
#[derive(Debug)]
pub(super) struct Progress {
    start: Instant,
    last_millis: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            last_millis: AtomicU64::new(0),
        }
    }

    /// Notes that the body moved now.
    pub(super) fn note(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last_millis.load(Ordering::Relaxed))
    }
}

/// Awaits `future` for `limit` from `now` on, counted anew from each movement of the body.
///
/// # Errors
///
/// [`Elapsed`] where neither ended nor moved for so long.
pub(super) async fn within<F: Future>(
    mut future: Pin<&mut F>,
    (now, limit): (Instant, Duration),
    progress: Option<&Progress>,
) -> Result<F::Output, Elapsed> {
    let mut deadline = now + limit;
    loop {
        let elapsed = match timeout_at(deadline, future.as_mut()).await {
            Ok(output) => return Ok(output),
            Err(elapsed) => elapsed,
        };
        let later = progress.map(|progress| progress.last() + limit);
        deadline = later.filter(|later| *later > deadline).ok_or(elapsed)?;
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn silence_is_cut_at_the_limit() {
        let start = Instant::now();
        assert!(
            within(pin!(pending::<()>()), (start, LIMIT), None)
                .await
                .is_err()
        );
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_moving_body_puts_the_limit_off() {
        let progress = Progress::new();
        let start = Instant::now();
        let upload = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                progress.note();
            }
            pending::<()>().await;
        };
        assert!(
            within(pin!(upload), (start, LIMIT), Some(&progress))
                .await
                .is_err()
        );
        assert_eq!(start.elapsed().as_secs(), 50);
    }
}
