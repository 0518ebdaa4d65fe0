use std::time::Duration;

use super::*;
use crate::{
    credential::Carrier,
    revocation::Epoch,
    sandbox::Sandbox,
    session::SessionStatus,
    verify::{KeySet, Pending, session_facts::Asked, shared_status::Told},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A networkless verifier of a sandbox's tokens.
struct Scene {
    sandbox: Sandbox,
    verifier: Verifier,
    now: Timestamp,
}

impl Scene {
    async fn new() -> Self {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let clock = Clock::system();
        let profile = TokenProfile::new(sandbox.issuer()).unwrap();
        let keys = KeySet::from_pem(&sandbox.jwt_key()).unwrap();
        Self {
            verifier: Verifier {
                profile: profile.pending(Pending::Accept).allow_missing_azp(),
                number: 0,
                keys: Arc::new(KeySource::fixed(keys)),
                tokens: Arc::new(TokenCache::new(10)),
                revocations: Arc::new(Revocations::new(MINUTE)),
                statuses: None,
                on_unavailable: OnUnavailable::Deny,
                clock: clock.clone(),
            },
            now: clock.now(),
            sandbox,
        }
    }

    fn proven(&self) -> Arc<ProvenToken> {
        let token = PresentedToken::bearer(self.sandbox.session_token());
        let proven = self.verifier.prove_at_hand(token, self.now);
        proven.unwrap().unwrap()
    }

    /// What Clerk says of the token's session.
    fn answer(&self, user_id: &str, status: SessionStatus) -> SessionAnswer {
        let told = Told {
            id: self.sandbox.session_id().to_owned(),
            user_id: user_id.to_owned(),
            status,
            expire_at: self.now.plus(MINUTE).as_millis(),
            abandon_at: self.now.plus(MINUTE).as_millis(),
            ..Told::plain()
        };
        let asked = Asked {
            epoch: Epoch::FIRST,
            at: self.now,
            priority: Priority::Request,
        };
        SessionAnswer::known(told, asked)
    }

    fn composed(&self, answer: &SessionAnswer) -> Result<SessionStatus, &'static str> {
        let composed = self.verifier.compose(&self.proven(), answer, self.now);
        composed
            .map(|session| session.status().clone())
            .map_err(|error| error.slug())
    }
}

#[tokio::test]
async fn a_token_that_was_proven_is_refused_once_it_has_ended() {
    let scene = Scene::new().await;
    let skew = scene.verifier.profile.accepted_skew();
    let ended = scene.proven().session.expires_at().plus(skew);
    let token = PresentedToken::bearer(scene.sandbox.session_token());
    for (now, refused) in [
        (ended.minus(Duration::from_millis(1)), None),
        (ended, Some("token-expired")),
    ] {
        let proven = scene.verifier.prove_at_hand(token, now).unwrap();
        assert_eq!(proven.err().map(|error| error.slug()), refused);
    }
}

#[tokio::test]
async fn networkless_nothing_is_waited_for() {
    let scene = Scene::new().await;
    let (token, id) = (scene.sandbox.session_token(), scene.sandbox.session_id());
    let token = Credential::SessionToken {
        token: PresentedToken::bearer(token),
        client_uat: None,
    };
    let session = scene.verifier.recall(&token, scene.now).unwrap().unwrap();
    assert_eq!(session.id(), id);
    let bare = Credential::SessionId {
        id,
        carrier: Carrier::Bearer,
    };
    let refused = scene.verifier.recall(&bare, scene.now).unwrap().err();
    assert!(matches!(refused, Some(VerifyError::SessionIdNetworkless)));
}

#[tokio::test]
async fn a_key_that_has_come_meanwhile_is_tried_and_the_same_keys_are_not_tried_again() {
    let scene = Scene::new().await;
    let token = PresentedToken::bearer(scene.sandbox.session_token());
    let present = scene.verifier.keys.at_hand(scene.now).unwrap();
    let refused = |looked_at: &LoadedKeys| {
        let verifier = &scene.verifier;
        let proven = verifier.prove_with_newer(looked_at, token, scene.now);
        proven.err().map(|error| error.slug())
    };
    assert_eq!(refused(&present), Some("jwk-kid-mismatch"));
    let KeySource::Fixed(older) = KeySource::fixed(present.set.clone()) else {
        unreachable!("they are fixed");
    };
    let mut older = Arc::into_inner(older).unwrap();
    older.generation += 1;
    assert_eq!(refused(&older), None);
}

#[tokio::test]
async fn a_session_has_the_status_that_clerk_tells_now_and_its_own_user() {
    let scene = Scene::new().await;
    let user = scene.sandbox.user_id();
    // Each twice: what was put together once is kept.
    for status in [
        SessionStatus::Active,
        SessionStatus::Active,
        SessionStatus::Pending,
        SessionStatus::Pending,
        SessionStatus::Active,
    ] {
        let answer = scene.answer(user, status.clone());
        assert_eq!(scene.composed(&answer), Ok(status));
    }
    let answer = scene.answer("user_other", SessionStatus::Active);
    assert_eq!(scene.composed(&answer), Err("session-user-mismatch"));
}
