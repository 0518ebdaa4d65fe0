//! Bodies on their way through: streamed as they come, bound in size and in standstill, their trailers filtered.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{ManagedNames, head_wait::Progress, trailers};

/// What is kept of a body at most, in bytes, for an upstream that may take nothing of it.
const MOST_KEPT: usize = 64 * 1024;
/// In so many pieces at most: small ones take more than their bytes.
const MOST_PIECES: usize = 64;

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
    shared: Arc<Shared>,
    attempt: u64,
    /// How many of the kept pieces this attempt has had.
    had: usize,
    has_begun: bool,
    managed: ManagedNames,
    left: Option<u64>,
    stall: Stall,
    hint: SizeHint,
}

/// What outlives one attempt to send a body.
pub(super) struct Shared {
    source: Mutex<Source>,
    pub(super) progress: Progress,
    hint: SizeHint,
    managed: ManagedNames,
    limits: BodyLimits,
}

/// A body and what of it was given away.
struct Source {
    body: UnsyncBoxBody<Bytes, BoxError>,
    /// The attempt that reads: one that has failed may look once more.
    attempt: u64,
    /// Whether what is given away is to be kept.
    keeps: bool,
    /// What was given away, if that is all of it.
    given: Option<Vec<Bytes>>,
    has_ended: bool,
}

/// Another attempt sends the body by now.
#[derive(Debug, thiserror::Error)]
#[error("the body is sent by another attempt")]
struct Superseded;

impl Shared {
    /// Has the body's first bytes kept, so that they can be sent once more.
    pub(super) fn keep(&self) {
        self.source().keeps = true;
    }

    /// Returns the body once more, where all of it is at hand still.
    pub(super) fn again(self: &Arc<Self>) -> Option<OutgoingBody> {
        let mut source = self.source();
        source.attempt += 1;
        let is_whole = source.given.is_some();
        is_whole.then(|| self.body(source.attempt))
    }

    fn body(self: &Arc<Self>, attempt: u64) -> OutgoingBody {
        OutgoingBody::Streaming(Box::new(Streaming {
            shared: Arc::clone(self),
            attempt,
            had: 0,
            has_begun: false,
            managed: self.managed.clone(),
            left: self.limits.max_bytes,
            stall: Stall::new(self.limits.idle),
            hint: self.hint,
        }))
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.has_ended = true,
            Some(frame) => self.note(frame.as_ref().ok().and_then(Frame::data_ref)),
        }
        Poll::Ready(frame)
    }

    /// Notes what is given away; trailers and errors are not kept.
    fn note(&mut self, data: Option<&Bytes>) {
        let Some(given) = &mut self.given else {
            return;
        };
        let length: usize = given.iter().map(Bytes::len).sum();
        let has_room =
            |data: &&Bytes| length + data.len() <= MOST_KEPT && given.len() < MOST_PIECES;
        match data.filter(has_room) {
            Some(data) if self.keeps => given.push(data.clone()),
            _ => self.given = None,
        }
    }

    fn is_read(&self, had: usize) -> bool {
        self.given.as_ref().is_none_or(|given| given.len() == had)
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
        let source = Source {
            body: body.map_err(Into::into).boxed_unsync(),
            attempt: 0,
            keeps: false,
            given: Some(Vec::new()),
            has_ended: false,
        };
        let shared = Shared {
            source: Mutex::new(source),
            progress: Progress::new(),
            hint,
            managed: managed.clone(),
            limits,
        };
        Arc::new(shared).body(0)
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
    /// Returns what an attempt before this one had, and then more of the body.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.has_begun = true;
        let mut source = self.shared.source();
        if source.attempt != self.attempt {
            return Poll::Ready(Some(Err(Superseded.into())));
        }
        if let Some(data) = source.given.as_ref().and_then(|given| given.get(self.had)) {
            self.had += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        let frame = ready!(source.poll(cx));
        self.had = source.given.as_ref().map_or(0, Vec::len);
        Poll::Ready(frame)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(mut frame) = self.next(cx) else {
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
            Self::Streaming(streaming) => {
                let source = streaming.shared.source();
                let is_read = streaming.has_begun && source.is_read(streaming.had);
                is_read && source.body.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) if streaming.has_begun => SizeHint::default(),
            Self::Streaming(streaming) => streaming.hint,
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

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http_body_util::StreamBody;

    use super::*;

    type Piece = Frame<Bytes>;

    fn data(length: usize) -> Piece {
        Frame::data(Bytes::from(vec![b'x'; length]))
    }

    fn body(pieces: Vec<Piece>) -> OutgoingBody {
        let pieces = pieces.into_iter().map(Ok::<_, BoxError>);
        let body = StreamBody::new(futures_util::stream::iter(pieces));
        OutgoingBody::new(body, &ManagedNames::default(), BodyLimits::default())
    }

    /// Reads so many pieces, and returns how many bytes they have.
    async fn read(body: &mut OutgoingBody, pieces: usize) -> usize {
        let mut length = 0;
        for _ in 0..pieces {
            let piece = body.frame().await.unwrap().unwrap();
            length += piece.data_ref().map_or(0, Bytes::len);
        }
        length
    }

    #[tokio::test]
    async fn what_was_sent_is_sent_again_before_the_rest_and_by_one_attempt_alone() {
        let mut first = body(vec![data(1), data(2), data(4)]);
        let shared = first.shared().unwrap();
        shared.keep();
        assert_eq!(read(&mut first, 2).await, 3);
        let mut second = shared.again().unwrap();
        assert_eq!(read(&mut second, 1).await, 1);
        let superseded = first.frame().await.unwrap().unwrap_err();
        assert!(superseded.is::<Superseded>());
        let mut third = shared.again().unwrap();
        assert_eq!(read(&mut third, 3).await, 7);
        assert!(third.frame().await.is_none());
        let fourth = shared.again().unwrap();
        assert_eq!(fourth.collect().await.unwrap().to_bytes().len(), 7);
    }

    #[tokio::test]
    async fn what_is_not_kept_is_not_sent_again() {
        let trailers = Frame::trailers(HeaderMap::new());
        let many = |pieces| (0..pieces).map(|_| data(1)).collect();
        for (keeps, pieces, read_pieces, is_there) in [
            (false, vec![data(1)], 0, true),
            (false, vec![data(1)], 1, false),
            (true, vec![data(MOST_KEPT - 1), data(1)], 2, true),
            (true, vec![data(MOST_KEPT), data(1)], 2, false),
            (true, many(MOST_PIECES), MOST_PIECES, true),
            (true, many(MOST_PIECES + 1), MOST_PIECES + 1, false),
            (true, vec![data(1), trailers], 2, false),
        ] {
            let mut body = body(pieces);
            let shared = body.shared().unwrap();
            if keeps {
                shared.keep();
            }
            read(&mut body, read_pieces).await;
            assert_eq!(shared.again().is_some(), is_there, "{keeps} {read_pieces}");
        }
    }
}
