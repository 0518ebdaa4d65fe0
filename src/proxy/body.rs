//! Bodies on their way through: streamed as they come, bound in size and in standstill, their trailers filtered.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{ManagedNames, head_wait::Progress, trailers};

/// Any body's error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How large a request's body may be, and how long it may stand still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// In bytes; `None`: any size.
    pub(crate) max_bytes: Option<u64>,
    pub(crate) idle: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            max_bytes: None,
            idle: Duration::from_secs(30),
        }
    }
}

/// Why a request's body was cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum BodyFault {
    #[error("the body stands still")]
    Idle,
    #[error("the body is larger than the limit")]
    TooLarge,
}

/// A request's body on its way to an upstream.
pub(super) enum OutgoingBody {
    /// None: nothing is allocated for it.
    Empty,
    /// One that streams.
    Streaming(Box<Streaming>),
}

/// A body that streams, and its bounds.
pub(super) struct Streaming {
    inner: Option<UnsyncBoxBody<Bytes, BoxError>>,
    shared: Arc<Shared>,
    managed: ManagedNames,
    left: Option<u64>,
    stall: Stall,
    hint: SizeHint,
}

/// What outlives one attempt to send a body.
pub(super) struct Shared {
    /// The body until its first byte is asked for.
    unsent: Mutex<Option<UnsyncBoxBody<Bytes, BoxError>>>,
    pub(super) progress: Progress,
    hint: SizeHint,
    managed: ManagedNames,
    limits: BodyLimits,
}

impl Shared {
    /// Returns the body once more, where no attempt has asked for its first byte.
    pub(super) fn again(self: &Arc<Self>) -> Option<OutgoingBody> {
        let unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        unsent.is_some().then(|| self.body())
    }

    fn body(self: &Arc<Self>) -> OutgoingBody {
        OutgoingBody::Streaming(Box::new(Streaming {
            inner: None,
            shared: Arc::clone(self),
            managed: self.managed.clone(),
            left: self.limits.max_bytes,
            stall: Stall::new(self.limits.idle),
            hint: self.hint,
        }))
    }

    fn take(&self) -> Option<UnsyncBoxBody<Bytes, BoxError>> {
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        unsent.take()
    }
}

impl OutgoingBody {
    pub(super) fn empty() -> Self {
        Self::Empty
    }

    pub(super) fn new<B>(body: B, managed: &ManagedNames, limits: BodyLimits) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::Empty;
        }
        let hint = body.size_hint();
        let shared = Shared {
            unsent: Mutex::new(Some(body.map_err(Into::into).boxed_unsync())),
            progress: Progress::new(),
            hint,
            managed: managed.clone(),
            limits,
        };
        Arc::new(shared).body()
    }

    /// Returns what outlives an attempt; `None` for an empty body.
    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        match self {
            Self::Empty => None,
            Self::Streaming(streaming) => Some(Arc::clone(&streaming.shared)),
        }
    }
}

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.inner.is_none() {
            self.inner = self.shared.take();
        }
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let Poll::Ready(mut frame) = Pin::new(inner).poll_frame(cx) else {
            ready!(self.stall.poll(cx));
            return Poll::Ready(Some(Err(BodyFault::Idle.into())));
        };
        self.stall.moved();
        self.shared.progress.note();
        if let Some(trailers) = trailers_of(&mut frame) {
            trailers::retain(trailers, |name| {
                trailers::is_allowed(name) && !self.managed.contains(name)
            });
        }
        if let (Some(Ok(frame)), Some(left)) = (&frame, &mut self.left) {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(length) {
                Some(rest) => *left = rest,
                None => return Poll::Ready(Some(Err(BodyFault::TooLarge.into()))),
            }
        }
        Poll::Ready(frame)
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(streaming) => streaming.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(streaming) => streaming
                .inner
                .as_ref()
                .is_some_and(|inner| inner.is_end_stream()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) => match &streaming.inner {
                Some(inner) => inner.size_hint(),
                None => streaming.hint,
            },
        }
    }
}

/// An upstream's response body on its way to the client; dropping it ends the exchange.
pub(crate) struct ProxyBody {
    inner: Incoming,
    stall: Stall,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Whatever is to last as long as the exchange.
    _lease: Box<dyn Send + Sync>,
}

/// An upstream's body stands still, or takes too long in all.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the upstream's body took too long")]
pub(crate) struct ResponseTooSlow;

impl ProxyBody {
    pub(super) fn new(
        inner: Incoming,
        idle: Duration,
        deadline: Option<Instant>,
        lease: impl Send + Sync + 'static,
    ) -> Self {
        Self {
            inner,
            stall: Stall::new(idle),
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline))),
            _lease: Box::new(lease),
        }
    }

    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(());
        }
        self.stall.poll(cx)
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            ready!(this.poll_slow(cx));
            return Poll::Ready(Some(Err(ResponseTooSlow.into())));
        };
        this.stall.moved();
        let mut frame = frame.map(|frame| frame.map_err(BoxError::from));
        if let Some(trailers) = trailers_of(&mut frame) {
            trailers::retain(trailers, trailers::is_allowed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl std::fmt::Debug for ProxyBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProxyBody")
    }
}

/// Tells when a body has stood still for too long; a body that moves costs no timer.
struct Stall {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl Stall {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            is_waiting: false,
        }
    }

    fn moved(&mut self) {
        self.is_waiting = false;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if !self.is_waiting {
            self.is_waiting = true;
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

fn trailers_of<E>(frame: &mut Option<Result<Frame<Bytes>, E>>) -> Option<&mut http::HeaderMap> {
    frame.as_mut()?.as_mut().ok()?.trailers_mut()
}
