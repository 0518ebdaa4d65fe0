//! The requests under way on one connection: how many there are, which the HTTP library bounds for HTTP/2 and tells
//! nobody, and that the connection is in use meanwhile.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{
    limit::places::{Busy, Place},
    telemetry::traffic,
};

/// The streams of one connection, counted.
#[derive(Debug)]
pub(super) struct Streams {
    open: Arc<AtomicU32>,
    most: u32,
    place: Place,
}

impl Streams {
    /// Takes how many there may be.
    pub(super) fn new(most: u32, place: Place) -> Self {
        Self {
            open: Arc::default(),
            most,
            place,
        }
    }

    /// Counts a stream as open until its answer has ended.
    pub(super) fn hold<F>(&self, answer: F) -> StreamAnswer<F> {
        if self.open.fetch_add(1, Ordering::Relaxed) + 1 == self.most {
            traffic::limit_reached("streams");
        }
        StreamAnswer {
            answer,
            open: Some(Open {
                open: Arc::clone(&self.open),
                _busy: self.place.busy(),
            }),
        }
    }
}

#[derive(Debug)]
struct Open {
    open: Arc<AtomicU32>,
    _busy: Busy,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// An answer to come on a stream that is open.
    pub(super) struct StreamAnswer<F> {
        #[pin]
        answer: F,
        open: Option<Open>,
    }
}

impl<F, B, E> Future for StreamAnswer<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<StreamBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx));
        let open = this.open.take();
        Poll::Ready(answer.map(|answer| answer.map(|body| StreamBody { body, open })))
    }
}

pin_project! {
    /// An answer's body; its stream is open as long as it lives.
    pub(super) struct StreamBody<B> {
        #[pin]
        body: B,
        open: Option<Open>,
    }
}

impl<B: Body> Body for StreamBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
