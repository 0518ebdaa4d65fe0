//! Bodies on their way through: streamed as they come, their trailers filtered.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;

use super::{ManagedNames, head_wait::Progress, trailers};

/// Any body's error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body on its way to an upstream.
pub(super) enum OutgoingBody {
    /// None: nothing is allocated for it.
    Empty,
    /// One that streams.
    Streaming {
        inner: UnsyncBoxBody<Bytes, BoxError>,
        managed: ManagedNames,
        progress: Arc<Progress>,
    },
}

impl OutgoingBody {
    pub(super) fn new<B>(body: B, managed: &ManagedNames) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::Empty;
        }
        Self::Streaming {
            inner: body.map_err(Into::into).boxed_unsync(),
            managed: managed.clone(),
            progress: Arc::new(Progress::new()),
        }
    }

    /// Returns where the body notes that it moves; `None` for an empty one.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Empty => None,
            Self::Streaming { progress, .. } => Some(Arc::clone(progress)),
        }
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self::Streaming {
            inner,
            managed,
            progress,
        } = self.get_mut()
        else {
            return Poll::Ready(None);
        };
        let mut frame = ready!(Pin::new(inner).poll_frame(cx));
        progress.note();
        if let Some(trailers) = trailers_of(&mut frame) {
            trailers::retain(trailers, |name| {
                trailers::is_allowed(name) && !managed.contains(name)
            });
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming { inner, .. } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming { inner, .. } => inner.size_hint(),
        }
    }
}

/// An upstream's response body on its way to the client; dropping it ends the exchange.
#[derive(Debug)]
pub(crate) struct ProxyBody(Incoming);

impl ProxyBody {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self(incoming)
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        if let Some(trailers) = trailers_of(&mut frame) {
            trailers::retain(trailers, trailers::is_allowed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn trailers_of<E>(frame: &mut Option<Result<Frame<Bytes>, E>>) -> Option<&mut http::HeaderMap> {
    frame.as_mut()?.as_mut().ok()?.trailers_mut()
}
