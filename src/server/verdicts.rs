//! Verdicts on requests that callers ask about: counted, logged, traced and told.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{
    access_line::{Ended, Line},
    decisions::Question,
    gateway::{Current, Target},
};
use crate::{
    decision::{self, Decided, Decider, Dialect, Original, Verdict},
    telemetry::{
        trace::{RequestSpan, SpanEnd},
        traffic,
    },
};

/// The reason of a preflight that passes.
const PREFLIGHT: &str = "cors-preflight";

/// Decides; the decision is counted, logged and traced like one on a request that came here itself.
pub(super) async fn judge(
    current: &Current,
    decider: &Decider,
    mut original: Original,
    question: &Question<'_>,
) -> Verdict<Target> {
    let line = current
        .access
        .as_ref()
        .map(|log| (log, Line::begun(&original.parts, question.began)));
    let span = RequestSpan::begin(&mut original.parts.headers);
    let method = original.parts.method.clone();
    let Decided { verdict, client } = decider.decide(&current.pipeline, original).await;
    traffic::decided(question.began.elapsed());
    let outcome = Outcome::of(&verdict);
    note(current, &verdict, question);
    span.end(&SpanEnd {
        method: method.as_str(),
        route: outcome.route,
        status: outcome.status.as_u16(),
        reason: outcome.reason,
        request_id: question.id.as_str(),
    });
    if let Some((log, line)) = line {
        let ended = Ended {
            client,
            peer: question.peer.address(),
            route: outcome.route,
            status: outcome.status,
            reason: outcome.reason,
        };
        line.log(log, question.id.as_str(), &ended);
    }
    verdict
}

fn note(current: &Current, verdict: &Verdict<Target>, question: &Question<'_>) {
    match verdict {
        Verdict::Allowed(allowed) => {
            allowed.route.target.counter.allowed();
            allowed.route.target.counter.answered(StatusCode::OK);
        }
        Verdict::Preflight(allowed) => {
            let counter = &allowed.route.target.counter;
            counter.decided("allow", PREFLIGHT);
            counter.answered(StatusCode::OK);
        }
        Verdict::Refused(refusal) => current.note_refusal(refusal, question.id),
    }
}

/// Builds the answer to a verdict.
pub(super) fn told(
    verdict: &Verdict<Target>,
    dialect: Dialect,
    question: &Question<'_>,
) -> Response<Bytes> {
    match verdict {
        Verdict::Allowed(allowed) => {
            decision::allowed(dialect, allowed.headers.clone(), allowed.reason())
        }
        Verdict::Preflight(allowed) => {
            decision::allowed(dialect, allowed.headers.clone(), PREFLIGHT)
        }
        Verdict::Refused(refusal) => decision::refused(dialect, refusal, question.id.as_str()),
    }
}

/// What logs and traces say of a verdict.
struct Outcome<'a> {
    route: Option<&'a str>,
    status: StatusCode,
    reason: Option<&'static str>,
}

impl<'a> Outcome<'a> {
    fn of(verdict: &'a Verdict<Target>) -> Self {
        match verdict {
            Verdict::Allowed(allowed) => Self {
                route: Some(allowed.route.target.counter.route()),
                status: StatusCode::OK,
                reason: None,
            },
            Verdict::Preflight(allowed) => Self {
                route: Some(allowed.route.target.counter.route()),
                status: StatusCode::OK,
                reason: Some(PREFLIGHT),
            },
            Verdict::Refused(refusal) => Self {
                route: refusal
                    .route
                    .as_ref()
                    .map(|route| route.target.counter.route()),
                status: refusal.rejection.status(),
                reason: Some(refusal.rejection.reason()),
            },
        }
    }
}
