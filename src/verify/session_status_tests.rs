use std::sync::Mutex;

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::{super::shared_status::Told, *};
use crate::{
    cache::{Awaited, Look, Owner, Spot},
    revocation::{Revocation, SessionEnd},
};

const MINUTE: Duration = Duration::from_secs(60);
const ID: &str = "sess_a";
const TTL: StatusTtl = StatusTtl {
    active: SessionTtl {
        usual: MINUTE,
        longest: MINUTE,
    },
    negative: MINUTE,
    stale_if_error: MINUTE,
};

/// The lookups at a Clerk that is told what to answer.
struct Scene {
    server: MockServer,
    statuses: Arc<SessionStatuses>,
    shelf: Arc<Shelf>,
    now: Timestamp,
}

/// A shared place with nothing in it, where everything may be left.
#[derive(Debug, Default)]
struct Shelf(Mutex<Vec<(Vec<u8>, Duration)>>);

impl Commons for Shelf {
    fn spot(&self, kind: &'static str, parts: &[&str]) -> Spot {
        let name = parts.join(" ");
        Spot { kind, name }
    }

    fn look<'a>(&'a self, _: &'a Spot, _: &'a Owner) -> Awaited<'a, Look> {
        Box::pin(async { Look::Claimed })
    }

    fn claim<'a>(&'a self, _: &'a Spot, _: &'a Owner) -> Awaited<'a, bool> {
        Box::pin(async { true })
    }

    fn put(&self, _: &Spot, _: &Owner, value: Vec<u8>, ttl: Duration) {
        self.0.lock().unwrap().push((value, ttl));
    }

    fn release(&self, _: &Spot, _: &Owner) {}
}

impl Scene {
    async fn asking(operation: Operation) -> Self {
        Self::asking_at_most(operation, 0).await
    }

    /// One whose calls in ten seconds are bounded, where that is not 0.
    async fn asking_at_most(operation: Operation, calls: u32) -> Self {
        let server = MockServer::start().await;
        let client = Client::builder("sk_test_dontleakme".into());
        let client = client.api_url(&server.uri()).calls_per_10s(calls);
        let client = client.build().unwrap();
        let revocations = Arc::new(Revocations::new(MINUTE));
        let shelf = Arc::new(Shelf::default());
        let commons: Arc<dyn Commons> = Arc::clone(&shelf) as _;
        Self {
            server,
            statuses: SessionStatuses::new(client, operation, TTL, 10, revocations, Some(commons)),
            shelf,
            now: Timestamp::from_secs(1_000),
        }
    }

    async fn clerk_answers(&self, name: &str, status: u16, body: &Value) {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        let mock = Mock::given(method(name)).respond_with(answer);
        mock.mount(&self.server).await;
    }

    async fn asked(&self) -> Result<SessionAnswer, Failure<Error>> {
        self.asked_for(ID, Priority::Request).await
    }

    async fn asked_for(
        &self,
        id: &str,
        priority: Priority,
    ) -> Result<SessionAnswer, Failure<Error>> {
        let (statuses, token) = (&self.statuses, Some("a.b.c"));
        let answer = statuses.get(id, token, self.now, Voucher::Nothing, priority);
        answer.await
    }

    /// Tells whether it is asked again in the background.
    fn is_refreshed(&self) -> bool {
        self.statuses.refresh(ID, self.now);
        self.statuses.cache.is_fetching(&ID.to_owned())
    }

    async fn claim(&self) -> Claim {
        let spot = |commons: &dyn Commons| commons.spot(shared_status::KIND, &[ID]);
        let nothing = |_: &[u8]| None::<()>;
        match cache::find(self.statuses.commons.as_ref(), spot, MINUTE, nothing).await {
            Found::Fetch(claim) => claim,
            Found::There(()) => unreachable!("nothing is there"),
        }
    }

    fn revoke(&self) {
        let revocation = Revocation::Session {
            id: ID.to_owned(),
            end: SessionEnd::Revoked,
        };
        self.statuses.revocations.record(revocation, self.now);
    }

    fn is_kept(&self) -> bool {
        self.statuses.cache.find(ID).is_some()
    }

    /// Tells whether what another replica was told at `asked_at` is taken now.
    fn takes(&self, asked_at: Timestamp) -> bool {
        let text = shared_status::encode(&Told::plain(), asked_at);
        self.statuses.take(&text, ID, self.now).is_some()
    }
}

fn session() -> Value {
    json!({
        "object": "session", "id": ID, "user_id": "user_a", "client_id": "client_a",
        "actor": null, "status": "active", "last_active_organization_id": null,
        "last_active_at": 1, "latest_activity": null, "expire_at": 9_000_000, "abandon_at": 9_000_000,
        "updated_at": 4, "created_at": 5, "tasks": null,
    })
}

fn errors(code: &str) -> Value {
    json!({ "errors": [{ "code": code, "message": "no", "long_message": "no" }] })
}

#[tokio::test]
async fn what_the_verify_operation_answers_is_a_no_only_where_it_is_about_the_token() {
    for (status, body, expected) in [
        (404, errors("resource_not_found"), Some("session-not-found")),
        (
            400,
            errors("session_token_invalid"),
            Some("session-not-verified"),
        ),
        (400, json!("a proxy's"), None),
        (422, errors("form_param_invalid"), None),
    ] {
        let scene = Scene::asking(Operation::Verify).await;
        scene.clerk_answers("POST", status, &body).await;
        let answer = scene.asked().await;
        let no = answer.map(|answer| answer.facts(false, scene.now).err().unwrap().slug());
        assert_eq!(no.ok(), expected, "{status} {body}");
    }
}

#[tokio::test]
async fn an_answer_is_left_for_the_others_for_as_long_as_it_is_fresh() {
    let scene = Scene::asking(Operation::Get).await;
    scene.clerk_answers("GET", 200, &session()).await;
    scene.asked().await.unwrap();
    let left = scene.shelf.0.lock().unwrap().clone();
    let [(text, ttl)] = left.as_slice() else {
        panic!("{left:?}");
    };
    assert!(shared_status::decode(text, ID, scene.now).is_some());
    assert_eq!(*ttl, MINUTE);
}

#[tokio::test]
async fn what_was_asked_before_a_revocation_is_left_for_nobody_and_lasts_no_longer() {
    let scene = Scene::asking(Operation::Get).await;
    scene.clerk_answers("GET", 200, &session()).await;
    let fetched = scene
        .statuses
        .fetch_here(ID, None, scene.now, Priority::Request);
    let before = fetched.await.unwrap();
    assert_eq!(before.lifetime.fresh_until, scene.now.plus(MINUTE));
    scene.revoke();
    scene
        .statuses
        .leave(scene.claim().await, &before, scene.now);
    let over = scene.statuses.fetched(before.value, scene.now);
    assert_eq!(over.lifetime.fresh_until, scene.now);
    assert_eq!(scene.shelf.0.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn anothers_answer_is_taken_while_it_is_fresh_and_not_after_a_revocation() {
    let scene = Scene::asking(Operation::Get).await;
    let asked_at = |millis| scene.now.minus(Duration::from_millis(millis));
    assert!(scene.takes(scene.now));
    assert!(scene.takes(asked_at(59_999)));
    assert!(!scene.takes(asked_at(60_000)));
    assert!(!scene.takes(asked_at(60_001)));
    scene.revoke();
    assert!(!scene.takes(scene.now));
}

#[tokio::test]
async fn a_session_that_a_revocation_concerns_is_kept_no_longer() {
    let scene = Scene::asking(Operation::Get).await;
    scene.clerk_answers("GET", 200, &session()).await;
    scene.asked().await.unwrap();
    scene.statuses.drop_revoked(scene.now);
    assert!(scene.is_kept());
    scene.revoke();
    scene.statuses.drop_revoked(scene.now);
    assert!(!scene.is_kept());
}

#[tokio::test]
async fn where_the_budget_is_scarce_only_who_waits_for_it_is_answered() {
    let scene = Scene::asking_at_most(Operation::Get, 4).await;
    scene
        .clerk_answers("GET", 404, &errors("resource_not_found"))
        .await;
    for (id, priority, is_answered) in [
        ("sess_1", Priority::Stream, true),
        ("sess_2", Priority::Stream, true),
        ("sess_3", Priority::Stream, false),
        ("sess_3", Priority::Request, true),
    ] {
        let answer = scene.asked_for(id, priority).await;
        assert_eq!(answer.is_ok(), is_answered, "{id} {priority:?}");
    }
    assert!(!scene.is_refreshed());
    let scene = Scene::asking_at_most(Operation::Get, 4).await;
    assert!(scene.is_refreshed());
}
