//! The layer's future: allocates only where something must be awaited.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use super::{ResponseBody, Settings};
use crate::{reject::Rejection, rule::Decision, time::Timestamp};

type Deciding = Pin<Box<dyn Future<Output = Result<Decision, Rejection>> + Send>>;

pin_project_lite::pin_project! {
    /// The future of [`SessionService`](super::SessionService).
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Deciding {
            decision: Deciding,
            waiting: Option<Waiting<S, B>>,
        },
        Passed { #[pin] future: F },
        Refused { response: Option<Response<Bytes>> },
    }
}

struct Waiting<S, B> {
    inner: S,
    request: Request<B>,
    settings: Arc<Settings>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) fn passed(future: S::Future) -> Self {
        Self {
            state: State::Passed { future },
        }
    }

    pub(crate) fn refused(response: Response<Bytes>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }

    pub(super) fn deciding(
        inner: S,
        request: Request<B>,
        settings: Arc<Settings>,
        now: Timestamp,
    ) -> Self {
        let decision = decide(&request, Arc::clone(&settings), now);
        let waiting = Waiting {
            inner,
            request,
            settings,
        };
        Self {
            state: State::Deciding {
                decision,
                waiting: Some(waiting),
            },
        }
    }
}

/// Takes copies of the head, so that the body need be neither `Send` nor `Sync`.
#[cfg(feature = "client")]
fn decide<B>(request: &Request<B>, settings: Arc<Settings>, now: Timestamp) -> Deciding {
    let headers = request.headers().clone();
    let query = request.uri().query().map(str::to_owned);
    let peer = settings.peer(request.extensions());
    Box::pin(async move {
        let head = crate::rule::RequestHead {
            headers: &headers,
            query: query.as_deref(),
            peer,
        };
        settings.rule.decide(head, now).await
    })
}

/// Without a client there is nothing to await, so this is never asked.
#[cfg(not(feature = "client"))]
fn decide<B>(_: &Request<B>, _: Arc<Settings>, _: Timestamp) -> Deciding {
    Box::pin(std::future::ready(Err(Rejection::session_token_missing())))
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Passed { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
                }
                StateProjection::Refused { response } => {
                    let response = response.take().unwrap_or_default();
                    return Poll::Ready(Ok(response.map(ResponseBody::refusal)));
                }
                StateProjection::Deciding { decision, waiting } => {
                    let decided = ready!(decision.as_mut().poll(cx));
                    resume(decided, waiting.take())
                }
            };
            state.set(next);
        }
    }
}

fn resume<S, B>(
    decided: Result<Decision, Rejection>,
    waiting: Option<Waiting<S, B>>,
) -> State<S, B, S::Future>
where
    S: Service<Request<B>>,
{
    let refused = |response| State::Refused {
        response: Some(response),
    };
    let Some(mut waiting) = waiting else {
        // Polled after its end, which the contract of futures leaves open: refuse.
        return refused(Rejection::layer_missing().to_response());
    };
    match waiting.settings.settle(decided, &mut waiting.request) {
        Ok(()) => State::Passed {
            future: waiting.inner.call(waiting.request),
        },
        Err(response) => refused(*response),
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
