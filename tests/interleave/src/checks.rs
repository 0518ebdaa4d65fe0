//! The checks: each starts threads, and asserts what must be true whoever was first.

use std::{sync::Arc, time::Duration};

use shuttle::thread;

use crate::{
    recent::{Mark, Recent},
    revocation::{Epoch, Proven, Revocation, Revocations, SessionEnd, Subject, UserEnd},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Timestamp,
};

pub(crate) const ALL: [(&str, fn()); 5] = [
    (
        "a revocation holds from the return on",
        a_revocation_holds_from_the_return_on,
    ),
    (
        "what was asked before a revocation does not count after it",
        what_was_asked_before_a_revocation_does_not_count_after_it,
    ),
    (
        "no revocation is lost while old ones are dropped",
        no_revocation_is_lost_while_old_ones_are_dropped,
    ),
    (
        "revocations of one user do not hide one another",
        revocations_of_one_user_do_not_hide_one_another,
    ),
    (
        "nothing is kept at hand over a change",
        nothing_is_kept_at_hand_over_a_change,
    ),
];

const RETENTION: Duration = Duration::from_secs(100);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn revocations() -> Arc<Revocations> {
    Arc::new(Revocations::new(RETENTION))
}

fn session(id: &str) -> Revocation {
    Revocation::Session {
        id: id.to_owned(),
        end: SessionEnd::Revoked,
    }
}

fn ban() -> Revocation {
    Revocation::User {
        id: "user_1".to_owned(),
        end: UserEnd::Banned,
        not_before: at(10),
    }
}

fn subject(proven: Proven) -> Subject<'static> {
    Subject {
        session_id: "sess_1",
        user_id: "user_1",
        organization_id: Some("org_1"),
        proven,
    }
}

fn a_revocation_holds_from_the_return_on() {
    let revoked = revocations();
    let has_returned = Arc::new(AtomicBool::new(false));
    let others = {
        let revoked = Arc::clone(&revoked);
        thread::spawn(move || revoked.record(session("sess_2"), at(10)))
    };
    let writer = {
        let (revoked, has_returned) = (Arc::clone(&revoked), Arc::clone(&has_returned));
        thread::spawn(move || {
            revoked.record(session("sess_1"), at(10));
            has_returned.store(true, Ordering::SeqCst);
        })
    };
    let mut was_refused = false;
    for _ in 0..4 {
        let must_be_refused = was_refused || has_returned.load(Ordering::SeqCst);
        let judged = revoked.judge(&subject(Proven::Issued(Some(at(99)))), at(10));
        assert!(judged.is_err() || !must_be_refused);
        was_refused = judged.is_err();
    }
    writer.join().unwrap();
    others.join().unwrap();
}

fn what_was_asked_before_a_revocation_does_not_count_after_it() {
    let revoked = revocations();
    let (is_banned, has_returned) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let writer = {
        let (revoked, is_banned, has_returned) = (
            Arc::clone(&revoked),
            Arc::clone(&is_banned),
            Arc::clone(&has_returned),
        );
        thread::spawn(move || {
            is_banned.store(true, Ordering::SeqCst);
            revoked.record(ban(), at(10));
            has_returned.store(true, Ordering::SeqCst);
        })
    };
    let epoch: Epoch = revoked.epoch();
    let answer_is_good = !is_banned.load(Ordering::SeqCst);
    let must_be_refused = answer_is_good && has_returned.load(Ordering::SeqCst);
    let judged = revoked.judge(&subject(Proven::Asked(epoch)), at(10));
    assert!(judged.is_err() || !must_be_refused);
    // And an answer that was asked for after the ban is let pass: who was unbanned since must not stay out.
    writer.join().unwrap();
    let later = Proven::Asked(revoked.epoch());
    assert!(revoked.judge(&subject(later), at(10)).is_ok());
    assert!(!answer_is_good || revoked.judge(&subject(Proven::Asked(epoch)), at(10)).is_err());
}

fn no_revocation_is_lost_while_old_ones_are_dropped() {
    let revoked = revocations();
    revoked.record(session("sess_1"), at(0));
    revoked.record(session("sess_old"), at(0));
    // Both find it time to look for what is past its time.
    let late = at(200);
    let writers: Vec<_> = [session("sess_1"), session("sess_2")]
        .into_iter()
        .map(|revocation| {
            let revoked = Arc::clone(&revoked);
            thread::spawn(move || revoked.record(revocation, late))
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    for id in ["sess_1", "sess_2"] {
        assert!(revoked.judge_session(id, late).is_err(), "{id}");
    }
    assert!(revoked.judge_session("sess_old", late).is_ok());
}

fn revocations_of_one_user_do_not_hide_one_another() {
    let revoked = revocations();
    let membership = Revocation::Membership {
        user_id: "user_1".to_owned(),
        organization_id: "org_1".to_owned(),
        not_before: at(20),
    };
    let writers: Vec<_> = [ban(), membership]
        .into_iter()
        .map(|revocation| {
            let revoked = Arc::clone(&revoked);
            thread::spawn(move || revoked.record(revocation, at(20)))
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let issued = |secs| revoked.judge(&subject(Proven::Issued(Some(at(secs)))), at(20));
    assert!(issued(5).is_err());
    assert!(issued(15).is_err());
    assert!(issued(21).is_ok());
}

/// A cache behind, whose one entry a writer replaces: as `Cache` does, first the entry and then the mark.
fn nothing_is_kept_at_hand_over_a_change() {
    let (behind, mark) = (Arc::new(Mutex::new(0_u64)), Arc::new(Mark::new()));
    let landed = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let (behind, mark, landed) = (
                Arc::clone(&behind),
                Arc::clone(&mark),
                Arc::clone(&landed),
            );
            thread::spawn(move || {
                let new = {
                    let mut entry = behind.lock().unwrap();
                    *entry += 1;
                    *entry
                };
                mark.change();
                landed.fetch_max(new, Ordering::SeqCst);
            })
        })
        .collect();
    let recent = Recent::new();
    for _ in 0..6 {
        let least = landed.load(Ordering::SeqCst);
        let look_up = || Some(*behind.lock().unwrap());
        let found = recent.get(b"sess_1234", mark.get(), |_| true, look_up);
        assert!(found.unwrap() >= least, "{found:?}, not {least}");
    }
    for writer in writers {
        writer.join().unwrap();
    }
}
