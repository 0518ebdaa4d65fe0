use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::session::SessionData;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const LIMITS: StreamLimits = StreamLimits {
    max_age: Duration::from_secs(3600),
    check: Duration::from_secs(60),
};

fn session(id: &str, proof: Proof) -> Session {
    Session::new(SessionData {
        id: id.into(),
        proof,
        ..SessionData::plain()
    })
}

fn asked(id: &str) -> Session {
    session(id, Proof::SessionsApi)
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn later(secs: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(secs))
}

fn ids(due: &[DueCheck]) -> Vec<&str> {
    due.iter().map(|check| check.session.id()).collect()
}

#[test]
fn a_judgement_ends_those_that_it_has_a_reason_for() {
    let streams = Streams::default();
    let mut over = pin!(streams.ticket(asked("sess_1")).ended());
    let mut good = pin!(streams.ticket(asked("sess_2")).ended());
    let judgement = |session: &Session| (session.id() == "sess_1").then_some("session-revoked");
    assert_eq!(streams.judge(judgement), 1);
    assert_eq!(poll(over.as_mut()), Poll::Ready("session-revoked"));
    assert_eq!(poll(good.as_mut()), Poll::Pending);
    assert_eq!(streams.judge(judgement), 0, "once is enough");
}

#[test]
fn a_stream_that_begins_behind_a_judgement_asks_for_another() {
    let streams = Streams::default();
    let before = streams.ticket(asked("sess_1"));
    streams.judge(|_| None);
    let after = streams.ticket(asked("sess_2"));
    let _after = after.ended();
    assert_eq!(poll(streams.missed()), Poll::Pending);
    let _before = before.ended();
    assert_eq!(poll(streams.missed()), Poll::Ready(()));
}

#[test]
fn a_session_is_due_once_however_many_streams_it_has() {
    let streams = Streams::default();
    let _streams = ["sess_1", "sess_1", "sess_2"].map(|id| streams.ticket(asked(id)).ended());
    assert!(streams.due(NOW, LIMITS, true).is_empty());
    assert!(streams.due(later(59), LIMITS, true).is_empty());
    let due = streams.due(later(60), LIMITS, true);
    assert_eq!(ids(&due), ["sess_1", "sess_2"]);
    streams.checked("sess_1", later(61), None);
    let due = streams.due(later(119), LIMITS, true);
    assert_eq!(ids(&due), ["sess_2"]);
}

#[test]
fn a_session_that_was_left_out_for_another_interval_is_overdue() {
    let streams = Streams::default();
    let _stream = streams.ticket(asked("sess_1")).ended();
    assert!(streams.due(NOW, LIMITS, true).is_empty());
    for (secs, overdue) in [(60, false), (119, false), (120, true)] {
        let due = streams.due(later(secs), LIMITS, true);
        assert_eq!(due[0].overdue, overdue, "after {secs} s");
    }
}

#[test]
fn what_was_found_over_ends_every_stream_of_its_session() {
    let streams = Streams::default();
    let mut ended = ["sess_1", "sess_1"].map(|id| Box::pin(streams.ticket(asked(id)).ended()));
    let mut other = pin!(streams.ticket(asked("sess_2")).ended());
    streams.checked("sess_1", NOW, Some("session-expired"));
    for ended in &mut ended {
        assert_eq!(poll(ended), Poll::Ready("session-expired"));
    }
    assert_eq!(poll(other.as_mut()), Poll::Pending);
}

#[test]
fn age_bounds_the_streams_that_nobody_asks_about() {
    for (proof, asks, ends) in [
        (Proof::Networkless, true, true),
        (Proof::Networkless, false, true),
        (Proof::SessionsApi, true, false),
        (Proof::SessionsApi, false, true),
    ] {
        let streams = Streams::default();
        let mut ended = pin!(streams.ticket(session("sess_1", proof)).ended());
        streams.due(NOW, LIMITS, asks);
        streams.due(later(3599), LIMITS, asks);
        assert_eq!(poll(ended.as_mut()), Poll::Pending, "{proof:?} {asks}");
        streams.due(later(3600), LIMITS, asks);
        let is_over = poll(ended.as_mut()) == Poll::Ready(TOO_OLD);
        assert_eq!(is_over, ends, "{proof:?} {asks}");
    }
}

#[test]
fn what_is_dropped_is_watched_no_more() {
    let streams = Streams::default();
    drop(streams.ticket(asked("sess_1")).ended());
    assert_eq!(streams.judge(|_| Some("session-revoked")), 0);
}
