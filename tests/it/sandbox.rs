//! The sandbox's Backend API behaves as Clerk's contract says.

use std::time::Duration;

use clerk_gateway::{
    Clock, SessionStatus, Timestamp,
    sandbox::{Sandbox, SeedUser},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::sandbox_support::{code, decode, get, post, read, send, session_path, start};

#[tokio::test]
async fn a_ready_session_is_active_in_an_organization() {
    let sandbox = start().await;
    let (status, session) = get(&sandbox, &session_path(&sandbox, "")).await;
    assert_eq!(status, 200);
    assert_eq!(session["status"], "active");
    assert_eq!(session["user_id"], sandbox.user_id());
    assert!(session["last_active_organization_id"].is_string());
}

#[tokio::test]
async fn the_list_is_an_array_or_a_page_as_asked() {
    let sandbox = start().await;
    sandbox.create_session(sandbox.user_id());
    let (_, array) = get(&sandbox, "/v1/sessions?limit=1").await;
    assert_eq!(array.as_array().unwrap().len(), 1);
    let (_, page) = get(&sandbox, "/v1/sessions?limit=1&offset=1&paginated=true").await;
    assert_eq!(page["total_count"], 2);
    assert_eq!(page["data"][0]["id"], sandbox.session_id(), "newest first");
}

#[tokio::test]
async fn sessions_are_found_by_user_client_and_status() {
    let sandbox = start().await;
    let other = sandbox.create_user(SeedUser::default());
    let id = sandbox.create_session(&other);
    sandbox.revoke(&id);
    let client = sandbox.session(&id).unwrap().client_id;
    for query in [
        format!("user_id={other}"),
        format!("client_id={client}"),
        "status=revoked".to_owned(),
    ] {
        let (_, found) = get(&sandbox, &format!("/v1/sessions?{query}")).await;
        let ids: Vec<&Value> = found.as_array().unwrap().iter().map(|s| &s["id"]).collect();
        assert_eq!(ids, [id.as_str()], "{query}");
    }
}

#[tokio::test]
async fn list_parameters_out_of_range_are_422() {
    let sandbox = start().await;
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=",
        "offset=-1",
        "status=pending",
        "paginated=1",
    ] {
        let (status, body) = get(&sandbox, &format!("/v1/sessions?{query}")).await;
        assert_eq!(status, 422, "{query}");
        assert!(code(&body).starts_with("form_param_"), "{query}");
        assert!(
            body["errors"][0]["meta"]["param_name"].is_string(),
            "{query}"
        );
    }
    for query in [
        "limit=1",
        "limit=500",
        "offset=0",
        "offset=18446744073709551616",
    ] {
        assert_eq!(
            get(&sandbox, &format!("/v1/sessions?{query}")).await.0,
            200,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_missing_or_wrong_secret_key_is_401() {
    let sandbox = start().await;
    let other = start().await;
    let foreign = format!("Bearer {}", other.secret_key());
    for (header, expected) in [
        (None, "authentication_invalid"),
        (Some("Basic eDp5"), "authorization_header_format_invalid"),
        (Some("Bearer sk_test_wrong"), "clerk_key_invalid"),
        (Some(foreign.as_str()), "clerk_key_invalid"),
    ] {
        let mut request = reqwest::Client::new().get(format!("{}/v1/jwks", sandbox.url()));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!((status, code(&body)), (401, expected), "{header:?}");
    }
}

#[tokio::test]
async fn an_api_version_is_known_and_given_once() {
    let sandbox = start().await;
    let ask = async |header: Option<&str>, query: &str| {
        let url = format!("{}/v1/jwks{query}", sandbox.url());
        let mut request = reqwest::Client::new()
            .get(url)
            .bearer_auth(sandbox.secret_key());
        if let Some(header) = header {
            request = request.header("clerk-api-version", header);
        }
        request.send().await.unwrap().status()
    };
    let good = "2024-10-01";
    assert_eq!(ask(Some(good), "").await, 200);
    assert_eq!(ask(None, "?__clerk_api_version=2024-10-01").await, 200);
    assert_eq!(ask(Some("2024-10-02"), "").await, 400);
    assert_eq!(ask(None, "?__clerk_api_version=x").await, 400);
    assert_eq!(
        ask(Some(good), "?__clerk_api_version=2024-10-01").await,
        400
    );
}

#[tokio::test]
async fn errors_have_clerks_shape() {
    let sandbox = start().await;
    let tokens = session_path(&sandbox, "/tokens");
    let client = reqwest::Client::new();
    let request = |method: Method, path: &str| {
        let url = format!("{}{path}", sandbox.url());
        client
            .request(method, url)
            .bearer_auth(sandbox.secret_key())
    };
    let json_type = ("content-type", "application/json");
    let cases = [
        (
            request(Method::GET, "/v1/sessions/sess_none"),
            404,
            "resource_not_found",
        ),
        (
            request(Method::GET, "/v1/nothing"),
            404,
            "resource_not_found",
        ),
        (request(Method::DELETE, &tokens), 405, "method_not_allowed"),
        (
            request(Method::POST, &tokens)
                .header(json_type.0, json_type.1)
                .body("x".repeat(2_000_000)),
            413,
            "request_body_too_large",
        ),
        (
            request(Method::POST, &tokens)
                .header("content-type", "text/plain")
                .body("{}"),
            415,
            "unsupported_content_type",
        ),
        (
            request(Method::POST, &tokens)
                .header(json_type.0, json_type.1)
                .body("{"),
            400,
            "request_body_invalid",
        ),
        (
            request(Method::POST, &tokens).json(&json!({"expires_in_seconds": 29})),
            422,
            "form_param_value_invalid",
        ),
        (
            request(Method::POST, "/v1/sessions").json(&json!({})),
            422,
            "form_param_missing",
        ),
        (
            request(Method::POST, "/v1/sessions").json(&json!({"user_id": "user_none"})),
            404,
            "resource_not_found",
        ),
    ];
    for (request, status, expected) in cases {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/json");
        let (got, body) = read(response).await;
        assert_eq!((got, code(&body)), (status, expected));
        assert_eq!(body["clerk_trace_id"].as_str().unwrap().len(), 32);
        assert!(body["errors"][0]["long_message"].is_string());
    }
}

#[tokio::test]
async fn a_revoked_session_mints_no_tokens() {
    let sandbox = start().await;
    let (status, session) = post(&sandbox, &session_path(&sandbox, "/revoke"), json!({})).await;
    assert_eq!((status, &session["status"]), (200, &json!("revoked")));
    for rest in ["/tokens", "/tokens/hasura"] {
        let (status, body) = post(&sandbox, &session_path(&sandbox, rest), json!({})).await;
        assert_eq!((status, code(&body)), (404, "resource_not_found"));
    }
}

#[tokio::test]
async fn sessions_expire_and_are_abandoned_by_the_clock() {
    let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
    let sandbox = Sandbox::builder()
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let abandoned = sandbox.create_session(sandbox.user_id());
    sandbox.edit_session(&abandoned, |session| {
        session.abandon_at = session.created_at + 1000
    });
    clock.advance(Duration::from_secs(2));
    assert_eq!(
        sandbox.session(&abandoned).unwrap().status,
        SessionStatus::Abandoned
    );
    clock.advance(Duration::from_secs(7 * 24 * 60 * 60));
    let expired = sandbox.session(sandbox.session_id()).unwrap();
    assert_eq!(expired.status, SessionStatus::Expired);
}

#[tokio::test]
async fn every_status_can_be_had() {
    let sandbox = start().await;
    for word in [
        "abandoned",
        "active",
        "ended",
        "expired",
        "pending",
        "removed",
        "replaced",
        "revoked",
    ] {
        sandbox.set_status(sandbox.session_id(), SessionStatus::from(word.to_owned()));
        let (_, session) = get(&sandbox, &session_path(&sandbox, "")).await;
        assert_eq!(session["status"], word);
        let (status, _) = post(&sandbox, &session_path(&sandbox, "/tokens"), json!({})).await;
        let lives = matches!(word, "active" | "pending");
        assert_eq!(status == 200, lives, "{word}");
    }
}

#[tokio::test]
async fn a_pending_session_has_a_task_until_an_organization_is_chosen() {
    let sandbox = start().await;
    let id = sandbox.session_id();
    sandbox.set_status(id, SessionStatus::Pending);
    let (_, session) = get(&sandbox, &session_path(&sandbox, "")).await;
    assert_eq!(session["tasks"], json!([{"key": "choose-organization"}]));
    assert_eq!(decode(&sandbox.mint(id)).1["sts"], "pending");
    let organization = session["last_active_organization_id"].as_str();
    sandbox.set_active_organization(id, organization);
    let session = sandbox.session(id).unwrap();
    assert_eq!(session.status, SessionStatus::Active);
    assert_eq!(session.tasks, None);
}

#[tokio::test]
async fn signing_out_ends_or_removes_a_session() {
    for (action, status) in [
        ("end", SessionStatus::Ended),
        ("remove", SessionStatus::Removed),
    ] {
        let sandbox = start().await;
        let id = sandbox.session_id();
        let url = format!("{}/v1/client/sessions/{id}/{action}", sandbox.url());
        let cookie = format!("__client={}", sandbox.client_token(id));
        let answer = reqwest::Client::new()
            .post(url)
            .header("cookie", cookie)
            .send()
            .await;
        assert_eq!(answer.unwrap().status(), 200);
        assert_eq!(sandbox.session(id).unwrap().status, status);
    }
}

#[tokio::test]
async fn deleting_a_user_ends_their_sessions() {
    let sandbox = start().await;
    let path = format!("/v1/users/{}", sandbox.user_id());
    let (status, deleted) = read(send(&sandbox, Method::DELETE, &path, None).await).await;
    assert_eq!((status, &deleted["deleted"]), (200, &json!(true)));
    assert_eq!(get(&sandbox, &path).await.0, 404);
    let session = sandbox.session(sandbox.session_id()).unwrap();
    assert_eq!(session.status, SessionStatus::Removed);
}
