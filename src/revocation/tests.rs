use super::*;

const SECS: fn(u64) -> Duration = Duration::from_secs;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn minute() -> Revocations {
    Revocations::new(SECS(60))
}

fn session(id: &str) -> Revocation {
    Revocation::Session {
        id: id.to_owned(),
        end: SessionEnd::Revoked,
    }
}

fn user(not_before: i64) -> Revocation {
    Revocation::User {
        id: "user_a".to_owned(),
        end: UserEnd::Banned,
        not_before: at(not_before),
    }
}

fn membership(organization: &str, not_before: i64) -> Revocation {
    Revocation::Membership {
        user_id: "user_a".to_owned(),
        organization_id: organization.to_owned(),
        not_before: at(not_before),
    }
}

fn organization(not_before: i64) -> Revocation {
    Revocation::Organization {
        id: "org_a".to_owned(),
        not_before: at(not_before),
    }
}

fn token(issued_at: i64) -> Subject<'static> {
    Subject {
        session_id: "sess_a",
        user_id: "user_a",
        organization_id: Some("org_a"),
        proven: Proven::Issued(Some(at(issued_at))),
    }
}

fn slug(revocations: &Revocations, subject: &Subject<'_>, now: i64) -> Option<&'static str> {
    revocations.judge(subject, at(now)).err().map(Revoked::slug)
}

#[test]
fn a_revocation_lasts_for_its_retention() {
    let revocations = minute();
    for revocation in [session("sess_a"), user(100), organization(100)] {
        revocations.record(revocation, at(100));
    }
    assert_eq!(slug(&revocations, &token(90), 159), Some("session-revoked"));
    assert_eq!(slug(&revocations, &token(90), 160), None);
    assert!(revocations.judge_session("sess_a", at(159)).is_err());
    assert!(revocations.judge_session("sess_a", at(160)).is_ok());
    assert!(revocations.judge_session("sess_b", at(159)).is_ok());
}

#[test]
fn the_longest_cache_decides_how_long_a_revocation_lasts() {
    let revocations = minute();
    revocations.record(session("sess_a"), at(100));
    for secs in [90, 30] {
        revocations.outlast(SECS(secs));
    }
    assert!(revocations.judge_session("sess_a", at(189)).is_err());
    assert!(revocations.judge_session("sess_a", at(190)).is_ok());
}

#[test]
fn what_is_past_its_time_is_dropped_and_nothing_else() {
    let revocations = minute();
    for number in 0..1000 {
        revocations.record(session(&format!("sess_{number}")), at(100));
    }
    revocations.record(user(100), at(100));
    revocations.record(membership("org_a", 150), at(150));
    revocations.record(organization(150), at(150));
    assert_eq!(revocations.len(), 1002);
    revocations.record(session("sess_z"), at(161));
    assert_eq!(revocations.len(), 3);
    let refused = slug(&revocations, &token(140), 161);
    assert_eq!(refused, Some("organization-membership-changed"));
}

#[test]
fn a_session_that_is_over_is_refused_with_every_token_and_keeps_its_first_reason() {
    let revocations = minute();
    let end = |end| Revocation::Session {
        id: "sess_a".to_owned(),
        end,
    };
    revocations.record(end(SessionEnd::Ended), at(100));
    revocations.record(end(SessionEnd::Removed), at(101));
    for issued_at in [0, 100, 150] {
        assert_eq!(
            slug(&revocations, &token(issued_at), 150),
            Some("session-ended")
        );
    }
}

#[test]
fn tokens_issued_until_the_revocation_are_refused_and_later_ones_are_not() {
    for (revocation, reason) in [
        (user(100), "user-banned"),
        (membership("org_a", 100), "organization-membership-changed"),
        (organization(100), "organization-deleted"),
    ] {
        let revocations = minute();
        revocations.record(revocation, at(120));
        for (issued_at, refused) in [(99, true), (100, true), (101, false)] {
            let expected = refused.then_some(reason);
            assert_eq!(slug(&revocations, &token(issued_at), 120), expected);
        }
        let timeless = Subject {
            proven: Proven::Issued(None),
            ..token(0)
        };
        assert_eq!(slug(&revocations, &timeless, 120), Some(reason));
    }
}

#[test]
fn a_membership_concerns_its_user_and_its_organization_together() {
    let revocations = minute();
    revocations.record(membership("org_b", 100), at(100));
    revocations.record(membership("org_c", 100), at(100));
    assert_eq!(slug(&revocations, &token(90), 100), None);
    for organization_id in [Some("org_b"), Some("org_c")] {
        let subject = Subject {
            organization_id,
            ..token(90)
        };
        assert!(slug(&revocations, &subject, 100).is_some());
        let another = Subject {
            user_id: "user_b",
            ..subject
        };
        assert_eq!(slug(&revocations, &another, 100), None);
    }
}

#[test]
fn an_older_revocation_that_comes_late_changes_nothing() {
    for kind in [
        user as fn(i64) -> Revocation,
        |time| membership("org_a", time),
        organization,
    ] {
        let revocations = minute();
        revocations.record(kind(100), at(100));
        let begun = Subject {
            proven: Proven::Asked(revocations.epoch()),
            ..token(0)
        };
        revocations.record(kind(50), at(101));
        assert!(slug(&revocations, &token(100), 101).is_some());
        assert_eq!(slug(&revocations, &token(101), 101), None);
        assert_eq!(slug(&revocations, &begun, 101), None);
    }
}

#[test]
fn what_was_begun_before_a_revocation_became_known_does_not_count_after_it() {
    for revocation in [user(100), membership("org_a", 100), organization(100)] {
        let revocations = minute();
        let before = Subject {
            proven: Proven::Asked(revocations.epoch()),
            ..token(0)
        };
        assert_eq!(slug(&revocations, &before, 100), None);
        revocations.record(revocation, at(100));
        let after = Subject {
            proven: Proven::Asked(revocations.epoch()),
            ..token(0)
        };
        assert!(slug(&revocations, &before, 100).is_some());
        assert_eq!(slug(&revocations, &after, 100), None);
    }
}

#[tokio::test]
async fn subscribers_hear_of_each_revocation_when_it_holds() {
    let revocations = minute();
    let mut news = revocations.subscribe();
    revocations.record(user(100), at(100));
    assert_eq!(news.recv().await.unwrap(), user(100));
    assert!(slug(&revocations, &token(90), 100).is_some());
}

#[cfg(feature = "redis")]
mod replicas {
    use super::*;

    fn recorded(revocation: Revocation, secs: i64) -> Recorded {
        Recorded {
            revocation,
            at: at(secs),
        }
    }

    #[tokio::test]
    async fn what_is_recorded_here_is_to_be_told_and_what_is_learnt_is_not() {
        let revocations = minute();
        let outbox = revocations.share();
        assert!(revocations.learn(recorded(user(100), 100), at(100)));
        revocations.record(session("sess_a"), at(101));
        revocations.record(session("sess_a"), at(102));
        let batch = outbox.next(9).await;
        assert_eq!(batch.recorded, [recorded(session("sess_a"), 101)]);
        assert_eq!(slug(&revocations, &token(90), 101), Some("session-revoked"));
    }

    #[test]
    fn what_is_repeated_is_no_news_and_outdates_nothing() {
        for revocation in [user(100), membership("org_a", 100), organization(100)] {
            let revocations = minute();
            let mut news = revocations.subscribe();
            assert!(revocations.learn(recorded(revocation.clone(), 100), at(100)));
            let begun = Subject {
                proven: Proven::Asked(revocations.epoch()),
                ..token(0)
            };
            assert!(!revocations.learn(recorded(revocation.clone(), 100), at(110)));
            assert_eq!(slug(&revocations, &begun, 110), None);
            assert_eq!(news.try_recv().unwrap(), revocation);
            assert!(news.try_recv().is_err());
        }
    }

    #[test]
    fn a_repeated_message_keeps_nothing_for_longer() {
        let revocations = minute();
        for now in [100, 150] {
            revocations.learn(recorded(session("sess_a"), 100), at(now));
        }
        assert!(revocations.judge_session("sess_a", at(159)).is_err());
        assert!(revocations.judge_session("sess_a", at(160)).is_ok());
        assert!(!revocations.learn(recorded(session("sess_b"), 100), at(160)));
    }

    #[test]
    fn a_clock_that_is_ahead_makes_nothing_last_longer() {
        let revocations = minute();
        revocations.learn(recorded(session("sess_a"), 9_999), at(100));
        assert!(revocations.judge_session("sess_a", at(160)).is_ok());
    }

    #[test]
    fn all_that_is_known_can_be_told_again() {
        let revocations = minute();
        let known = [
            session("sess_a"),
            user(100),
            membership("org_a", 90),
            membership("org_b", 90),
            organization(80),
        ];
        for revocation in known.clone() {
            revocations.record(revocation, at(100));
        }
        let all = revocations.all(at(159));
        assert_eq!(all.len(), known.len());
        for revocation in known {
            assert!(all.contains(&recorded(revocation, 100)));
        }
        assert_eq!(revocations.all(at(160)), []);
    }
}
