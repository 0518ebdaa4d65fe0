//! What a webhook revokes, from when on, and what goes on.

use clerk_gateway::{
    SessionStatus,
    sandbox::{SeedMembership, SeedOrganization, SeedUser},
};
use serde_json::json;

use super::*;

/// A user of the test's own, with a session in an organization of their own.
struct Member {
    user: String,
    organization: String,
    session: String,
}

impl Member {
    fn join(hooked: &Hooked) -> Self {
        let sandbox = &hooked.scene.sandbox;
        let user = sandbox.create_user(SeedUser::default());
        let organization = sandbox.create_organization(SeedOrganization {
            name: format!("of {user}"),
            ..SeedOrganization::default()
        });
        sandbox.create_membership(SeedMembership {
            user: user.clone(),
            organization: organization.clone(),
            ..SeedMembership::default()
        });
        let session = sandbox.create_session(&user);
        sandbox.set_active_organization(&session, Some(&organization));
        Self {
            user,
            organization,
            session,
        }
    }

    fn membership(&self) -> Value {
        json!({
            "id": "orgmem_1",
            "organization": {"id": self.organization},
            "public_user_data": {"user_id": self.user},
        })
    }
}

type End<'a> = &'a dyn Fn(&Member);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_at_clerk_is_refused_here_in_both_modes_once_its_webhook_came() {
    let hooked = Hooked::start().await.told_by_the_sandbox();
    let sandbox = &hooked.scene.sandbox;
    let ends: [(&str, &str, End<'_>); 9] = [
        ("session.revoked", "session-revoked", &|it| {
            sandbox.revoke(&it.session)
        }),
        ("session.ended", "session-ended", &|it| {
            sandbox.set_status(&it.session, SessionStatus::Ended)
        }),
        ("session.removed", "session-removed", &|it| {
            sandbox.set_status(&it.session, SessionStatus::Removed)
        }),
        ("user.deleted", "user-deleted", &|it| {
            sandbox.delete_user(&it.user)
        }),
        ("user.updated", "user-banned", &|it| {
            sandbox.ban_user(&it.user)
        }),
        ("user.updated", "user-locked", &|it| {
            sandbox.lock_user(&it.user)
        }),
        (
            "organizationMembership.deleted",
            "organization-membership-changed",
            &|it| sandbox.delete_membership(&it.organization, &it.user),
        ),
        (
            "organizationMembership.updated",
            "organization-membership-changed",
            &|it| sandbox.update_membership(&it.organization, &it.user, "org:admin"),
        ),
        ("organization.deleted", "organization-deleted", &|it| {
            sandbox.delete_organization(&it.organization)
        }),
    ];
    let bystander = Member::join(&hooked);
    let untouched = sandbox.mint(&bystander.session);
    for (event, code, end) in ends {
        let member = Member::join(&hooked);
        let token = sandbox.mint(&member.session);
        hooked.passes(&token);
        let before = hooked.counted(event, "applied");
        end(&member);
        eventually(event, || hooked.counted(event, "applied") > before);
        hooked.refuses_token(&token, code);
        hooked.passes(&untouched);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_effect_is_there_when_the_webhook_is_answered() {
    let hooked = Hooked::start().await;
    let sandbox = &hooked.scene.sandbox;
    for _ in 0..20 {
        let session = sandbox.create_session(sandbox.user_id());
        let token = sandbox.mint(&session);
        hooked.passes(&token);
        hooked.deliver(&Delivery::of("session.revoked", json!({"id": session})));
        hooked.refuses_token(&token, "session-revoked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_issued_after_a_change_pass_with_a_newly_minted_template_token() {
    let hooked = Hooked::start().await;
    let sandbox = &hooked.scene.sandbox;
    let member = Member::join(&hooked);
    let minted = || sandbox.requests("CreateSessionTokenFromTemplate");
    hooked.passes(&sandbox.mint(&member.session));
    assert_eq!(minted(), 1);
    let later = hooked.later_token(&member.session);
    hooked.passes(&later);
    assert_eq!(minted(), 1, "one for the session, organization and role");
    for (kind, data) in [
        ("organizationMembership.updated", member.membership()),
        ("organization.deleted", json!({"id": member.organization})),
        (
            "user.updated",
            json!({"id": member.user, "banned": false, "locked": true}),
        ),
    ] {
        let before = minted();
        hooked.deliver(&Delivery::of(kind, data));
        hooked.passes(&later);
        assert_eq!(minted(), before + 1, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_known_before_its_user_was_banned_is_asked_for_again() {
    let hooked = Hooked::start().await;
    let sandbox = &hooked.scene.sandbox;
    let later = hooked.later_token(sandbox.session_id());
    hooked.passes(&later);
    let asked = sandbox.requests("GetSession");
    hooked.passes(&later);
    assert_eq!(sandbox.requests("GetSession"), asked);
    let banned = json!({"id": sandbox.user_id(), "banned": true});
    hooked.deliver(&Delivery::of("user.updated", banned));
    hooked.passes(&later);
    assert!(sandbox.requests("GetSession") > asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_event_that_comes_late_refuses_nothing_newer_and_takes_nothing_back() {
    let hooked = Hooked::start().await;
    let sandbox = &hooked.scene.sandbox;
    let member = Member::join(&hooked);
    let hour_ago = now() - 3600;
    let current = sandbox.mint(&member.session);
    let late = [
        (
            "user.updated",
            json!({"id": member.user, "banned": true, "locked": false}),
        ),
        ("organizationMembership.deleted", member.membership()),
        ("organization.deleted", json!({"id": member.organization})),
    ];
    for (kind, data) in &late {
        hooked.deliver(&Delivery::at(hour_ago, kind, data.clone()));
        hooked.passes(&current);
    }
    for (kind, data) in late {
        hooked.deliver(&Delivery::of(kind, data.clone()));
        let refused = hooked.verdict("/plain/x", &current);
        assert_eq!(refused.0, 401, "{kind}");
        hooked.deliver(&Delivery::at(hour_ago, kind, data));
        assert_eq!(hooked.verdict("/plain/x", &current), refused, "{kind}");
    }
    // The ban is lifted, and the event that says so comes first.
    let free = json!({"id": member.user, "banned": false, "locked": false});
    hooked.deliver(&Delivery::of("user.updated", free));
    assert_eq!(hooked.verdict("/plain/x", &current).0, 401);
    assert_eq!(
        hooked.verdict("/plain/x", &hooked.later_token(&member.session)),
        (200, String::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_is_refused_with_newer_tokens_too_and_clerk_is_not_asked() {
    let hooked = Hooked::start().await;
    let sandbox = &hooked.scene.sandbox;
    let session = sandbox.create_session(sandbox.user_id());
    hooked.deliver(&Delivery::of("session.ended", json!({"id": session})));
    let asked = sandbox.requests("GetSession");
    for token in [sandbox.mint(&session), hooked.later_token(&session)] {
        hooked.refuses_token(&token, "session-ended");
    }
    assert_eq!(sandbox.requests("GetSession"), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_before_a_webhook_does_not_pass_or_stay_after_it() {
    for operation in ["GetSession", "CreateSessionTokenFromTemplate"] {
        let hooked = Hooked::start().await;
        let member = Member::join(&hooked);
        let sandbox = &hooked.scene.sandbox;
        let token = sandbox.mint(&member.session);
        let faults = sandbox.faults();
        faults.only(&[operation]);
        faults.latency(Duration::from_millis(700));
        let begun = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| hooked.verdict("/token/x", &token));
            eventually(operation, || sandbox.requests(operation) == 1);
            let membership = member.membership();
            hooked.deliver(&Delivery::of("organizationMembership.updated", membership));
            waiting.join().unwrap()
        });
        let code = "organization-membership-changed".to_owned();
        assert_eq!(begun, (401, code), "{operation}");
        faults.clear();
        hooked.passes(&hooked.later_token(&member.session));
        assert_eq!(sandbox.requests(operation), 2, "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_and_known_deliveries_outlive_a_reload() {
    let hooked = Hooked::with("watch_interval = \"0s\"", &[KEY]).await;
    let sandbox = &hooked.scene.sandbox;
    let (first, second) = (
        sandbox.create_session(sandbox.user_id()),
        sandbox.create_session(sandbox.user_id()),
    );
    let delivery = Delivery::of("session.ended", json!({"id": first}));
    hooked.deliver(&delivery);
    // Another handle to Clerk: one of its own settings changes.
    let text = fs::read_to_string(&hooked.scene.file).unwrap();
    let text = text.replace("[server]", "clock_skew = \"6s\"\n[server]");
    fs::write(&hooked.scene.file, text).unwrap();
    hooked.scene.gateway.signal("HUP");
    eventually("the reload", || {
        let reloaded = "clerk_gateway_config_reloads_total{outcome=\"ok\"} 1";
        hooked.scene.metrics().contains(reloaded)
    });
    hooked.refuses_token(&sandbox.mint(&first), "session-ended");
    let same_id = Delivery {
        id: delivery.id,
        ..Delivery::of("session.ended", json!({"id": second}))
    };
    hooked.deliver(&same_id);
    hooked.passes(&sandbox.mint(&second));
}
