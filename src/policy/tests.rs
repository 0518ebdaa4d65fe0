use super::*;
use crate::session::{Actor, FactorAges, Organization, SessionData};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn data() -> SessionData {
    SessionData {
        organization: Some(Organization {
            id: "org_1".to_owned(),
            slug: Some("acme".to_owned()),
            role: Some("org:admin".to_owned()),
            permissions: vec!["org:invoices:read".to_owned()],
        }),
        plan: Some("o:pro".into()),
        features: ["u:export", "o:dashboard", "uo:both"]
            .map(str::to_owned)
            .into(),
        issued_at: Some(NOW),
        expires_at: NOW.plus(Duration::from_secs(60)),
        ..SessionData::plain()
    }
}

fn session() -> Session {
    Session::new(data())
}

fn role(name: &str) -> Requirement {
    Requirement::Role(name.to_owned())
}

#[test]
fn plans_and_features_are_compared_exactly_and_by_scope() {
    let session = session();
    for (wanted, plan, feature) in [
        ("pro", true, false),
        ("o:pro", true, false),
        ("u:pro", false, false),
        ("Pro", false, false),
        ("pr", false, false),
        ("", false, false),
        ("o:", false, false),
        ("org:pro", false, false),
        ("export", false, true),
        ("u:export", false, true),
        ("o:export", false, false),
        ("dashboard", false, true),
        ("both", false, true),
        ("o:both", false, true),
        ("u:both", false, true),
    ] {
        let met = |requirement: Requirement| requirement.permit(&session, NOW).is_ok();
        assert_eq!(met(Requirement::Plan(wanted.to_owned())), plan, "{wanted}");
        assert_eq!(
            met(Requirement::Feature(wanted.to_owned())),
            feature,
            "{wanted}"
        );
    }
}

#[test]
fn a_claim_without_a_known_scope_grants_nothing() {
    for claim in ["pro", "x:pro", ":pro", "oo:pro"] {
        let mut data = data();
        data.plan = Some(claim.into());
        let session = Session::new(data);
        for wanted in ["pro", "o:pro", "u:pro", claim] {
            let plan = Requirement::Plan(wanted.to_owned());
            assert_eq!(
                plan.permit(&session, NOW),
                Err(Denied::PlanMissing),
                "{claim} {wanted}"
            );
        }
    }
}

#[test]
fn an_impersonated_session_is_denied_where_only_the_user_himself_may_pass() {
    assert_eq!(Requirement::NotImpersonated.permit(&session(), NOW), Ok(()));
    let mut data = data();
    data.actor = Some(Box::new(Actor {
        sub: "user_2".to_owned(),
        iss: None,
        sid: None,
    }));
    let denied = Requirement::NotImpersonated.permit(&Session::new(data), NOW);
    assert_eq!(denied, Err(Denied::Impersonated));
}

#[test]
fn a_verification_ages_with_its_token() {
    let aged = |minutes, token_secs| {
        let mut data = data();
        data.factor_ages = Some(FactorAges {
            first: minutes,
            second: None,
        });
        data.issued_at = Some(NOW.minus(Duration::from_secs(token_secs)));
        let ten_minutes = Requirement::ReverifiedWithin(Duration::from_secs(600));
        ten_minutes.permit(&Session::new(data), NOW).is_ok()
    };
    for (minutes, token_secs, met) in [
        (Some(9), 0, true),
        (Some(9), 1, false),
        (Some(8), 60, true),
        (Some(8), 61, false),
        (Some(0), 540, true),
        (Some(0), 3600, false),
        (Some(10), 0, false),
        (None, 0, false),
    ] {
        assert_eq!(aged(minutes, token_secs), met, "{minutes:?} {token_secs}");
    }
}

#[test]
fn a_verification_of_unknown_age_is_too_old() {
    let mut data = data();
    data.issued_at = None;
    data.factor_ages = Some(FactorAges {
        first: Some(0),
        second: Some(0),
    });
    let requirement = Requirement::ReverifiedWithin(Duration::from_secs(3600));
    let denied = requirement.permit(&Session::new(data), NOW);
    assert_eq!(denied, Err(Denied::ReverificationRequired));
}

#[test]
fn all_names_the_first_that_is_missing_and_any_needs_one() {
    let session = session();
    let plan = || Requirement::Plan("team".to_owned());
    let permit = |requirement: Requirement| requirement.permit(&session, NOW);
    let (all, any) = (Requirement::All, Requirement::Any);
    assert_eq!(permit(all(vec![])), Ok(()));
    assert_eq!(
        permit(all(vec![role("org:admin"), plan()])),
        Err(Denied::PlanMissing)
    );
    assert_eq!(permit(any(vec![])), Err(Denied::NoneOfAny));
    assert_eq!(permit(any(vec![plan(), role("org:admin")])), Ok(()));
    let owners = any(vec![role("org:owner"), role("org:boss")]);
    assert_eq!(permit(owners), Err(Denied::RoleMissing));
    let mixed = any(vec![plan(), role("org:owner"), plan()]);
    assert_eq!(permit(mixed), Err(Denied::NoneOfAny));
    let nested = all(vec![
        role("org:admin"),
        any(vec![plan(), role("org:admin")]),
    ]);
    assert_eq!(permit(nested), Ok(()));
}

fn met(session: &Session, requirement: &Requirement) -> bool {
    requirement.permit(session, NOW).is_ok()
}

#[test]
fn each_requirement_compares_its_own_field_letter_by_letter() {
    let named = [
        (Requirement::Role as fn(String) -> Requirement, "org:admin"),
        (Requirement::Permission, "org:invoices:read"),
        (Requirement::Organization, "org_1"),
        (Requirement::Organization, "acme"),
        (Requirement::Plan, "pro"),
        (Requirement::Feature, "export"),
    ];
    let wanted = [
        "org:admin",
        "org:invoices:read",
        "org_1",
        "acme",
        "pro",
        "export",
    ];
    let nearly = [
        "",
        "admin",
        "ORG:ADMIN",
        "org:invoices",
        "org_2",
        "org_",
        "Acme",
        "acm",
    ];
    let (session, other) = (session(), Session::new(SessionData::plain()));
    for (requirement, own) in named {
        assert!(met(&session, &requirement(own.to_owned())), "{own}");
        assert!(!met(&other, &requirement(own.to_owned())), "{own}");
        let is_organization = matches!(requirement(String::new()), Requirement::Organization(_));
        for name in wanted.into_iter().chain(nearly) {
            let is_its = name == own || is_organization && ["org_1", "acme"].contains(&name);
            let requirement = requirement(name.to_owned());
            assert_eq!(met(&session, &requirement), is_its, "{requirement:?}");
        }
    }
}
