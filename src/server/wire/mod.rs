//! A connection's bytes on their way to hyper and back: ambiguous heads are noted before hyper reads them, and
//! a head or an answer that does not move is cut.

#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod scan;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::cut::Cut;
use crate::{
    gather::{SMALL, gather},
    limit::places::{Busy, Place},
    request::HeadFault,
};
use scan::Scanner;

/// How long a connection may stand still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From a head's first byte to its last.
    pub(super) head: Duration,
    /// From one byte of an answer that the client takes to the next.
    pub(super) write: Duration,
}

/// What the guard and the service of one connection tell each other.
#[derive(Debug, Default)]
pub(crate) struct WireState {
    requests: AtomicU64,
    answered: AtomicU64,
    /// How many heads were handed on where nothing of another has come; [`AMID`] anywhere else.
    handed_on: AtomicU64,
    upgraded: AtomicBool,
    fault: OnceLock<(u64, HeadFault)>,
    reader: AtomicWaker,
}

/// Within a request, or not yet looked at.
const AMID: u64 = u64::MAX;

impl WireState {
    /// Returns how many requests the service was given, where each was answered and nothing of another has come.
    ///
    /// An answer's body may still be on its way.
    pub(super) fn between_requests(&self) -> Option<u64> {
        let requests = self.requests.load(Ordering::Relaxed);
        let is_between = self.handed_on.load(Ordering::Relaxed) == requests
            && self.answered.load(Ordering::Relaxed) == requests;
        is_between.then_some(requests)
    }

    /// Counts a request that the service was given, and returns why its head is bad, where it is.
    pub(super) fn request(&self) -> Result<u64, HeadFault> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        match self.fault.get() {
            Some((bad, fault)) if number >= *bad => Err(*fault),
            _ => Ok(number),
        }
    }

    /// Notes that a request was answered, and whether the connection is no HTTP/1 any more.
    pub(super) fn answered(&self, number: u64, upgraded: bool) {
        self.upgraded.store(upgraded, Ordering::Relaxed);
        self.answered.store(number, Ordering::Release);
        self.reader.wake();
    }
}

/// Where a connection's transport is once the library's side of the connection is dropped.
pub(super) struct Left<T>(Arc<Mutex<Option<T>>>);

impl<T> Left<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Takes the transport, where it is there.
    pub(super) fn take(&self) -> Option<T> {
        self.slot().take()
    }

    fn slot(&self) -> MutexGuard<'_, Option<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Left<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// An HTTP/1 connection's transport, guarded.
pub(super) struct Wire<T> {
    /// Gone only while this is dropped.
    inner: Option<T>,
    left: Left<T>,
    scanner: Scanner,
    state: Arc<WireState>,
    /// Read already, and not yet to be handed on.
    held: Vec<u8>,
    head_timer: Option<Pin<Box<Sleep>>>,
    patience: Duration,
    write: WriteTimer,
    cut: Cut,
}

impl<T> Wire<T> {
    pub(super) fn new(
        inner: T,
        left: Left<T>,
        state: Arc<WireState>,
        patience: Patience,
        (cut, place): (Cut, Place),
    ) -> Self {
        Self {
            inner: Some(inner),
            left,
            scanner: Scanner::default(),
            state,
            held: Vec::new(),
            head_timer: None,
            patience: patience.head,
            write: WriteTimer::new(patience.write, cut.clone(), place),
            cut,
        }
    }

    /// Tells the scanner of the answer that it waits for, and whether it waits no more.
    fn is_decided(&mut self, waker: &Waker) -> bool {
        if !self.scanner.is_undecided() {
            return true;
        }
        self.state.reader.register(waker);
        if self.state.answered.load(Ordering::Acquire) < self.scanner.heads() {
            return false;
        }
        let upgraded = self.state.upgraded.load(Ordering::Relaxed);
        self.scanner.answered(upgraded);
        true
    }

    /// Hands on what was held back, as far as that is allowed now.
    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let fits = self.held.len().min(buf.remaining());
        let passed = self.scanner.scan(&self.held[..fits]);
        buf.put_slice(&self.held[..passed]);
        self.held.drain(..passed);
        self.publish();
        self.handed_on(passed)
    }

    /// No bytes would be taken for the connection's end.
    fn handed_on(&self, passed: usize) -> io::Result<()> {
        match passed {
            0 if self.scanner.is_broken() => Err(io::ErrorKind::InvalidData.into()),
            _ => Ok(()),
        }
    }

    /// Says how far the requests are, now that no more bytes have come.
    fn pause(&self) {
        let is_between = self.scanner.is_at_start() && self.held.is_empty();
        let heads = match is_between {
            true => self.scanner.heads(),
            false => AMID,
        };
        self.state.handed_on.store(heads, Ordering::Relaxed);
    }

    fn publish(&self) {
        if let Some(fault) = self.scanner.fault() {
            let _ = self.state.fault.set(fault);
        }
    }
}

impl<T> Drop for Wire<T> {
    fn drop(&mut self) {
        *self.left.slot() = self.inner.take();
    }
}

impl<T: Unpin> Wire<T> {
    fn inner(&mut self) -> io::Result<Pin<&mut T>> {
        let inner = self.inner.as_mut().map(Pin::new);
        inner.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.inner()?.poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        let passed = self.scanner.scan(read);
        if passed < read.len() {
            self.held.extend_from_slice(&read[passed..]);
            buf.set_filled(before + passed);
        }
        self.publish();
        Poll::Ready(self.handed_on(passed))
    }

    /// Reads and drops, so that a close does not reset the connection before the client has the answer.
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held = Vec::new();
        let mut scratch = [0; 1024];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(self.inner()?.poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Cuts a head that takes too long, after saying so.
    fn poll_head_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.scanner.is_in_head() {
            self.head_timer = None;
            return Poll::Pending;
        }
        let patience = self.patience;
        let timer = self
            .head_timer
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(timer.as_mut().poll(cx));
        let answer =
            b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let _ = self.inner()?.poll_write(cx, answer);
        Poll::Ready(Err(self.cut.because("header-timeout")))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_decided(cx.waker()) {
            return Poll::Pending;
        }
        if this.scanner.is_closed() {
            return this.discard(cx);
        }
        if this.scanner.is_broken() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if !this.held.is_empty() {
            return Poll::Ready(this.hand_on(buf));
        }
        match this.read(cx, buf) {
            Poll::Pending => {
                this.pause();
                this.poll_head_timer(cx)
            }
            read => {
                this.state.handed_on.store(AMID, Ordering::Relaxed);
                if !this.scanner.is_in_head() {
                    this.head_timer = None;
                }
                read
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.inner()?.poll_write(cx, bytes);
        this.write.judge(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(bytes) = gather(slices, &mut [0; SMALL]) {
            return self.poll_write(cx, bytes);
        }
        let this = self.get_mut();
        let written = this.inner()?.poll_write_vectored(cx, slices);
        this.write.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(T::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.inner()?.poll_flush(cx);
        this.write.judge(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = this.inner()?.poll_shutdown(cx);
        this.write.judge(cx, shut)
    }
}

/// Cuts a connection whose client takes no bytes; nothing is allocated while it does.
pub(super) struct WriteTimer {
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// While the client takes nothing.
    waiting: Option<Busy>,
    cut: Cut,
    place: Place,
}

impl WriteTimer {
    pub(super) fn new(patience: Duration, cut: Cut, place: Place) -> Self {
        Self {
            patience,
            timer: None,
            waiting: None,
            cut,
            place,
        }
    }

    pub(super) fn judge<R>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let deadline = Instant::now() + self.patience;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if self.waiting.is_none() {
            self.waiting = Some(self.place.busy());
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(self.cut.because("write-timeout")))
    }
}
