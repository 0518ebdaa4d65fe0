use super::*;
use crate::{
    revocation::{Revocation, SessionEnd},
    sandbox::Sandbox,
    session::SessionData,
    verify::{Operation, session_status::StatusTtl, session_ttl::SessionTtl},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Tokens that the sandbox mints for its ready session.
struct Scene {
    sandbox: Sandbox,
    revocations: Arc<Revocations>,
    tokens: Arc<TemplateTokens>,
    session: Session,
    request: Arc<TokenRequest>,
    now: Timestamp,
}

impl Scene {
    async fn new() -> Self {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let client = Client::builder(sandbox.secret_key().into());
        let client = client.api_url(sandbox.url()).build().unwrap();
        let revocations = Arc::new(Revocations::new(MINUTE));
        let ttl = StatusTtl {
            active: SessionTtl {
                usual: MINUTE,
                longest: MINUTE,
            },
            negative: MINUTE,
            stale_if_error: MINUTE,
        };
        let kept = Arc::clone(&revocations);
        let statuses = SessionStatuses::new(client.clone(), Operation::Get, ttl, 10, kept, None);
        let kept = Arc::clone(&revocations);
        let clock = Clock::system();
        let now = clock.now();
        Self {
            session: Session::new(SessionData {
                id: sandbox.session_id().into(),
                user_id: sandbox.user_id().into(),
                ..SessionData::plain()
            }),
            tokens: TemplateTokens::new(client, clock, statuses, kept, None, 10),
            request: Arc::new(TokenRequest {
                template: "hasura".to_owned(),
                lifetime: None,
                max_age: None,
                organization: OrganizationRule::Any,
            }),
            sandbox,
            revocations,
            now,
        }
    }

    async fn minted(&self) -> TemplateToken {
        let minted = self.tokens.get(&self.session, &self.request, self.now);
        minted.await.unwrap()
    }

    fn at_hand(&self) -> Option<String> {
        let token = self.tokens.recall(&self.session, &self.request, self.now);
        token.map(|token| token.as_str().to_owned())
    }

    fn is_kept(&self) -> bool {
        let query = TokenQuery {
            session: &self.session,
            request: &self.request,
        };
        self.tokens.cache.find(&query).is_some()
    }

    fn revoke(&self) {
        let revocation = Revocation::Session {
            id: self.session.id().to_owned(),
            end: SessionEnd::Revoked,
        };
        self.revocations.record(revocation, self.now);
    }

    /// What this replica makes of a token that another has minted at `asked_at`.
    fn taken(&self, token: &TemplateToken, asked_at: Timestamp, now: Timestamp) -> bool {
        let text = shared_token::encode(token.as_str(), &self.session, asked_at);
        let taken = self.tokens.take(&text, &self.session, &self.request, now);
        taken.is_some()
    }
}

#[tokio::test]
async fn a_token_is_minted_once_and_at_hand_until_its_session_is_forgotten() {
    let scene = Scene::new().await;
    assert_eq!(scene.at_hand(), None);
    let minted = scene.minted().await;
    assert_eq!(scene.minted().await.as_str(), minted.as_str());
    scene.tokens.evict("sess_other");
    assert_eq!(scene.at_hand().as_deref(), Some(minted.as_str()));
    assert_eq!(scene.sandbox.requests("CreateSessionTokenFromTemplate"), 1);
    scene.tokens.evict(scene.session.id());
    assert_eq!(scene.at_hand(), None);
}

#[tokio::test]
async fn a_token_that_a_revocation_concerns_is_neither_told_nor_kept() {
    let scene = Scene::new().await;
    scene.minted().await;
    scene.tokens.drop_revoked(scene.now);
    assert!(scene.is_kept());
    scene.revoke();
    assert_eq!(scene.at_hand(), None);
    assert!(!scene.is_kept());

    let scene = Scene::new().await;
    scene.minted().await;
    scene.revoke();
    scene.tokens.drop_revoked(scene.now);
    assert!(!scene.is_kept());
}

#[tokio::test]
async fn anothers_token_is_taken_until_it_is_to_be_refreshed_and_not_after_a_revocation() {
    let scene = Scene::new().await;
    let token = scene.minted().await;
    let asked_at = scene.now;
    let refresh_at = lifetime(asked_at, token.expires_at(), None).refresh_at;
    let millisecond = Duration::from_millis(1);
    for (now, is_taken) in [
        (asked_at, true),
        (refresh_at.minus(millisecond), true),
        (refresh_at, false),
        (refresh_at.plus(millisecond), false),
    ] {
        assert_eq!(scene.taken(&token, asked_at, now), is_taken, "{now:?}");
    }
    scene.revoke();
    assert!(!scene.taken(&token, asked_at, asked_at));
}

#[test]
fn a_token_is_served_until_a_little_before_its_end() {
    let at = Timestamp::from_secs;
    let max_age = Some(Duration::from_secs(40));
    for (expires, max_age, refresh, fresh) in [
        (60, None, 41_250, 55_000),
        (60, max_age, 30_000, 40_000),
        (10, None, 6_750, 9_000),
        (1000, None, 746_250, 995_000),
    ] {
        let lifetime = lifetime(at(0), at(expires), max_age);
        assert_eq!(lifetime.refresh_at.as_millis(), refresh);
        assert_eq!(lifetime.fresh_until.as_millis(), fresh);
        assert_eq!(lifetime.stale_until, lifetime.fresh_until);
    }
}
