//! What goes on beside a test.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// Does something over and over in so many threads, each with its number, while something else is done, once.
///
/// Whatever ends that, a panic too, ends the threads: a test that fails must not wait for them for ever.
pub(crate) fn meanwhile<T>(
    threads: usize,
    over_and_over: impl Fn(usize) + Sync,
    once: impl FnOnce() -> T,
) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..threads {
            let (is_over, over_and_over) = (&is_over, &over_and_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    over_and_over(number);
                }
            });
        }
        let _end = End(&is_over);
        once()
    })
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[should_panic(expected = "it has failed")]
fn what_fails_ends_what_went_on_beside_it() {
    meanwhile(2, |_| thread::yield_now(), || panic!("it has failed"));
}
