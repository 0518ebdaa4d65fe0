//! A body that ends when its session does, in the way that its reader understands.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};

use super::Ticket;
use crate::problem::Form;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body is watched from its first pause on, or after so many frames without one.
const FRAMES: u8 = 16;
/// The status of a call whose session is over (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
const UNAUTHENTICATED: HeaderValue = HeaderValue::from_static("16");

/// How a body is ended before its own end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// As if that were all: what reads server-sent events takes it for no message's end.
    Clean,
    /// By an error, since its reader would take the part for the whole.
    Cut,
    /// By gRPC's trailers.
    Grpc,
}

/// The session is over that a body was sent for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the session is over: {0}")]
struct StreamEnded(&'static str);

/// A body, and the session it is sent for.
pub(crate) struct Watched<B> {
    /// `None`: it was ended.
    body: Option<B>,
    watch: State,
    ending: Ending,
}

enum State {
    /// It belongs to no session.
    Free,
    /// So many frames have come, none with a pause before it.
    Quick(Ticket, u8),
    Slow(Pin<Box<dyn Future<Output = &'static str> + Send>>),
}

impl Ending {
    /// Returns the ending of a response with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if let Form::Grpc(_) = Form::of(headers) {
            return Self::Grpc;
        }
        let content_type = headers.get(CONTENT_TYPE).map_or(&[][..], |v| v.as_bytes());
        let name = content_type.split(|byte| *byte == b';').next();
        let name = name.unwrap_or_default().trim_ascii();
        match name.eq_ignore_ascii_case(b"text/event-stream") {
            true => Self::Clean,
            false => Self::Cut,
        }
    }
}

impl<B> Watched<B> {
    /// Takes a body that belongs to no session.
    pub(crate) fn free(body: B) -> Self {
        Self {
            body: Some(body),
            watch: State::Free,
            ending: Ending::Cut,
        }
    }

    /// Takes a body, and who it is sent for.
    pub(crate) fn new(body: B, ticket: Option<Ticket>, ending: Ending) -> Self {
        Self {
            watch: ticket.map_or(State::Free, |ticket| State::Quick(ticket, 0)),
            body: Some(body),
            ending,
        }
    }

    /// Tells why the session is over, where it is.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        match &mut self.watch {
            State::Slow(ended) => ended.as_mut().poll(cx),
            State::Free | State::Quick(..) => Poll::Pending,
        }
    }

    fn poll_begun(&mut self, cx: &mut Context<'_>, pauses: bool) -> Poll<&'static str> {
        let State::Quick(ticket, frames) = &mut self.watch else {
            return Poll::Pending;
        };
        *frames += 1;
        if !pauses && *frames < FRAMES {
            return Poll::Pending;
        }
        self.watch = State::Slow(Box::pin(ticket.clone().ended()));
        self.poll_over(cx)
    }

    fn end(&mut self, reason: &'static str) -> Option<Result<Frame<Bytes>, BoxError>> {
        // Dropping it ends the exchange with whoever sends it.
        self.body = None;
        self.watch = State::Free;
        match self.ending {
            Ending::Clean => None,
            Ending::Cut => Some(Err(StreamEnded(reason).into())),
            Ending::Grpc => Some(Ok(Frame::trailers(grpc_trailers(reason)))),
        }
    }
}

fn grpc_trailers(reason: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", UNAUTHENTICATED);
    trailers.insert("grpc-message", HeaderValue::from_static(reason));
    trailers
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(reason) = this.poll_over(cx) {
            return Poll::Ready(this.end(reason));
        }
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(reason) = this.poll_begun(cx, polled.is_pending()) {
            return Poll::Ready(this.end(reason));
        }
        polled.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::default(),
        }
    }
}

impl<B> std::fmt::Debug for Watched<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}
