//! The sandbox behaves as Clerk's contract says.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clerk_gateway::{
    Clock, SessionStatus, Timestamp,
    sandbox::{Outage, RateLimit, Sandbox, SandboxError, Seed, SeedUser},
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

async fn start() -> Sandbox {
    Sandbox::builder().start().await.unwrap()
}

async fn send(sandbox: &Sandbox, method: Method, path: &str, body: Option<Value>) -> Response {
    let request = reqwest::Client::new()
        .request(method, format!("{}{path}", sandbox.url()))
        .bearer_auth(sandbox.secret_key());
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.unwrap()
}

async fn get(sandbox: &Sandbox, path: &str) -> (u16, Value) {
    read(send(sandbox, Method::GET, path, None).await).await
}

async fn post(sandbox: &Sandbox, path: &str, body: Value) -> (u16, Value) {
    read(send(sandbox, Method::POST, path, Some(body)).await).await
}

async fn read(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

fn code(body: &Value) -> &str {
    body["errors"][0]["code"].as_str().unwrap()
}

fn decode(token: &str) -> (Value, Value) {
    let part = |index: usize| {
        let text = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    (part(0), part(1))
}

fn session_path(sandbox: &Sandbox, rest: &str) -> String {
    format!("/v1/sessions/{}{rest}", sandbox.session_id())
}

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
async fn session_tokens_are_v2_since_2025_04_10_and_v1_before() {
    let sandbox = start().await;
    let mint = async |version: &str| {
        let url = format!("{}{}", sandbox.url(), session_path(&sandbox, "/tokens"));
        let request = reqwest::Client::new()
            .post(url)
            .bearer_auth(sandbox.secret_key());
        let answer = request
            .header("clerk-api-version", version)
            .send()
            .await
            .unwrap();
        let (_, body) = read(answer).await;
        decode(body["jwt"].as_str().unwrap())
    };
    let (header, old) = mint("2025-03-12").await;
    assert_eq!(header["cat"], "cl_B7d4PD111AAA");
    assert_eq!(old["org_role"], "org:admin");
    assert_eq!(old["org_permissions"][0], "org:invoices:read");
    assert!(old.get("v").is_none() && old.get("o").is_none());
    let (_, new) = mint("2025-04-10").await;
    assert_eq!(
        (&new["v"], &new["sts"], &new["pla"]),
        (&json!(2), &json!("active"), &json!("o:team"))
    );
    assert_eq!(new["fea"], "o:invoices,o:reports,u:export");
    assert_eq!(new["o"]["rol"], "admin");
    assert_eq!(
        (&new["o"]["per"], &new["o"]["fpm"]),
        (&json!("read,manage"), &json!("3,1"))
    );
    for claims in [old, new] {
        let issued_at = claims["iat"].as_i64().unwrap();
        assert_eq!(claims["nbf"], issued_at - 10);
        assert_eq!(claims["exp"], issued_at + 60);
        assert_eq!(claims["iss"], sandbox.issuer());
        assert!(
            claims.get("azp").is_none(),
            "the Backend API knows no origin"
        );
    }
}

#[tokio::test]
async fn only_a_frontend_call_puts_azp_into_a_token() {
    let sandbox = start().await;
    let url = format!(
        "{}/v1/client/sessions/{}/tokens",
        sandbox.url(),
        sandbox.session_id()
    );
    let ask = |cookie: String| {
        let request = reqwest::Client::new().post(&url);
        request
            .header("origin", "https://app.example.com")
            .header("cookie", cookie)
            .send()
    };
    assert_eq!(ask("__client=x".to_owned()).await.unwrap().status(), 401);
    let cookie = format!(
        "a=b; __client={}",
        sandbox.client_token(sandbox.session_id())
    );
    let (_, body) = read(ask(cookie).await.unwrap()).await;
    let (_, claims) = decode(body["jwt"].as_str().unwrap());
    assert_eq!(claims["azp"], "https://app.example.com");
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
async fn template_tokens_have_their_own_class_and_no_session() {
    let sandbox = start().await;
    let body = json!({"expires_in_seconds": 120});
    let (_, token) = post(&sandbox, &session_path(&sandbox, "/tokens/hasura"), body).await;
    let (header, claims) = decode(token["jwt"].as_str().unwrap());
    assert_eq!(header["cat"], "cl_B7d4PD222AAA");
    let issued_at = claims["iat"].as_i64().unwrap();
    assert_eq!(
        (&claims["exp"], &claims["nbf"]),
        (&json!(issued_at + 120), &json!(issued_at - 5))
    );
    assert!(claims["jti"].is_string());
    for absent in ["sid", "v", "pla", "fea", "sts", "azp"] {
        assert!(claims.get(absent).is_none(), "{absent}");
    }
    let hasura = &claims["https://hasura.io/jwt/claims"];
    assert_eq!(hasura["x-hasura-user-id"], sandbox.user_id());
    let values = hasura.as_object().unwrap().iter();
    let mut others = values.filter(|(name, _)| *name != "x-hasura-allowed-roles");
    assert!(
        others.all(|(_, value)| value.is_string()),
        "Hasura takes strings only"
    );
}

#[tokio::test]
async fn a_template_token_shows_the_active_organization() {
    let sandbox = start().await;
    let id = sandbox.session_id();
    let organization = |token: String| decode(&token).1["org_id"].clone();
    assert!(organization(sandbox.template_token(id, "postgrest")).is_string());
    sandbox.set_active_organization(id, None);
    assert!(organization(sandbox.template_token(id, "postgrest")).is_null());
}

#[tokio::test]
async fn a_new_template_fills_its_shortcodes_and_refuses_reserved_claims() {
    let sandbox = start().await;
    let template = json!({"name": "mine", "claims": {
        "who": "{{user.full_name}} <{{user.primary_email_address}}>",
        "role": "{{user.public_metadata.role || 'none'}}",
        "actor": "{{session.actor.sub}}",
        "organizations": "{{user.organizations}}",
    }, "lifetime": 90});
    assert_eq!(post(&sandbox, "/v1/jwt_templates", template).await.0, 200);
    let claims = decode(&sandbox.template_token(sandbox.session_id(), "mine")).1;
    assert_eq!(claims["who"], "Ada Lovelace <ada@example.com>");
    assert_eq!(
        (&claims["role"], &claims["actor"]),
        (&json!("editor"), &Value::Null)
    );
    assert!(claims["organizations"].is_object());
    for claim in ["sub", "exp", "sid", "azp"] {
        let template = json!({"name": "bad", "claims": {claim: "x"}});
        let (status, body) = post(&sandbox, "/v1/jwt_templates", template).await;
        assert_eq!(
            (status, code(&body)),
            (400, "jwt_template_reserved_claim"),
            "{claim}"
        );
    }
}

#[tokio::test]
async fn impersonation_shows_in_tokens() {
    let sandbox = start().await;
    let id = sandbox.session_id();
    sandbox.edit_session(id, |session| {
        session.actor = Some(json!({"sub": "user_admin"}))
    });
    assert_eq!(
        decode(&sandbox.mint(id)).1["act"],
        json!({"sub": "user_admin"})
    );
    assert_eq!(
        decode(&sandbox.mint_v1(id)).1["act"],
        json!({"sub": "user_admin"})
    );
}

#[tokio::test]
async fn the_hundred_and_first_request_of_a_development_instance_is_429() {
    let sandbox = Sandbox::builder()
        .clock(Clock::manual(Timestamp::from_secs(1_800_000_000)))
        .rate_limit(RateLimit::Development)
        .start()
        .await
        .unwrap();
    for _ in 0..100 {
        assert_eq!(get(&sandbox, "/v1/users/count").await.0, 200);
    }
    let refused = send(&sandbox, Method::GET, "/v1/users/count", None).await;
    assert_eq!(refused.headers()["retry-after"], "10");
    let (status, body) = read(refused).await;
    assert_eq!((status, code(&body)), (429, "too_many_requests"));
    assert_eq!(get(&sandbox, "/v1/jwks").await.0, 200, "the JWKS is exempt");
}

#[tokio::test]
async fn faults_come_and_go() {
    let sandbox = start().await;
    let path = session_path(&sandbox, "");
    sandbox.faults().errors(1.0, 503);
    let (status, body) = get(&sandbox, &path).await;
    assert_eq!((status, code(&body)), (503, "service_unavailable"));
    sandbox.faults().only(&["RevokeSession"]);
    assert_eq!(get(&sandbox, &path).await.0, 200);
    sandbox.faults().clear();
    sandbox.faults().rate_limited(Some(Duration::from_secs(3)));
    let limited = send(&sandbox, Method::GET, &path, None).await;
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.headers()["retry-after"], "3");
    sandbox.faults().clear();
    assert_eq!(get(&sandbox, &path).await.0, 200);
    assert_eq!(sandbox.requests("GetSession"), 4);
}

#[tokio::test]
async fn an_outage_cuts_kept_alive_connections_too() {
    let sandbox = start().await;
    let client = reqwest::Client::new();
    let ask = || {
        client
            .get(format!("{}/.well-known/jwks.json", sandbox.url()))
            .send()
    };
    assert_eq!(ask().await.unwrap().status(), 200);
    sandbox.faults().outage(Some(Outage::Dropped));
    assert!(ask().await.is_err());
    sandbox.faults().outage(None);
    assert_eq!(ask().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_dropped_sandbox_serves_no_more() {
    let sandbox = start().await;
    let url = format!("{}/.well-known/jwks.json", sandbox.url());
    let client = reqwest::Client::new();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    drop(sandbox);
    assert!(client.get(&url).send().await.is_err());
}

#[tokio::test]
async fn a_rotated_key_takes_the_old_ones_place() {
    let sandbox = start().await;
    let (_, before) = get(&sandbox, "/v1/jwks").await;
    sandbox.rotate_key();
    let (_, after) = get(&sandbox, "/.well-known/jwks.json").await;
    assert_ne!(before["keys"][0]["kid"], after["keys"][0]["kid"]);
    assert_eq!(after["keys"].as_array().unwrap().len(), 1);
    assert_eq!(
        decode(&sandbox.mint(sandbox.session_id())).0["kid"],
        after["keys"][0]["kid"]
    );
}

#[tokio::test]
async fn two_sandboxes_are_two_instances() {
    let (one, two) = (start().await, start().await);
    assert_ne!(one.issuer(), two.issuer());
    assert_ne!(one.secret_key(), two.secret_key());
    assert_ne!(one.jwt_key(), two.jwt_key());
}

#[tokio::test]
async fn deterministic_sandboxes_repeat() {
    let start = async || {
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        Sandbox::builder()
            .deterministic()
            .clock(clock)
            .start()
            .await
            .unwrap()
    };
    let (one, two) = (start().await, start().await);
    assert_eq!(one.secret_key(), two.secret_key());
    assert_eq!(one.jwt_key(), two.jwt_key());
    let claims = |sandbox: &Sandbox| {
        let (header, mut claims) = decode(sandbox.session_token());
        // Their ports differ, and so their issuers.
        claims["iss"].take();
        (header, claims)
    };
    assert_eq!(claims(&one), claims(&two));
}

#[tokio::test]
async fn other_machines_must_be_let_in_explicitly() {
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let refused = Sandbox::builder().listen(everywhere).start().await;
    assert!(matches!(refused, Err(SandboxError::Remote(_))));
    let allowed = Sandbox::builder()
        .listen(everywhere)
        .allow_remote()
        .start()
        .await;
    assert!(allowed.unwrap().url().starts_with("http://127.0.0.1:"));
}

#[tokio::test]
async fn verify_session_exists_in_old_api_versions_only() {
    let sandbox = start().await;
    let token = sandbox.mint(sandbox.session_id());
    let verify = async |version: &str, body: Value| {
        let url = format!("{}{}", sandbox.url(), session_path(&sandbox, "/verify"));
        let request = reqwest::Client::new()
            .post(url)
            .bearer_auth(sandbox.secret_key());
        let request = request.header("clerk-api-version", version).json(&body);
        read(request.send().await.unwrap()).await
    };
    let good = json!({"token": token});
    assert_eq!(verify("2024-10-01", good.clone()).await.0, 200);
    assert_eq!(verify("2024-10-01", json!({})).await.0, 200);
    assert_eq!(verify("2025-04-10", good.clone()).await.0, 404);
    let (status, body) = verify("2024-10-01", json!({"token": "x.y.z"})).await;
    assert_eq!((status, code(&body)), (400, "invalid_session_token"));
    sandbox.faults().verify_is_gone(true);
    let (status, body) = verify("2024-10-01", good).await;
    assert_eq!((status, code(&body)), (410, "operation_deprecated"));
}

#[tokio::test]
async fn refreshing_takes_an_expired_token_and_its_refresh_token() {
    let sandbox = start().await;
    let id = sandbox.session_id();
    let origin = "https://app.example.com";
    let good = json!({
        "expired_token": sandbox.mint_for_origin(id, origin),
        "refresh_token": sandbox.refresh_token(id),
        "request_origin": origin,
    });
    let refresh = async |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        post(&sandbox, &session_path(&sandbox, "/refresh"), body).await
    };
    let (status, token) = refresh("format", Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(decode(token["jwt"].as_str().unwrap()).1["azp"], origin);
    let (_, cookies) = refresh("format", json!("cookie")).await;
    assert!(
        cookies["cookies"][0]
            .as_str()
            .unwrap()
            .starts_with("__session=")
    );
    let other = sandbox.create_session(sandbox.user_id());
    for (field, value, expected) in [
        (
            "expired_token",
            json!("x.y.z"),
            "expired_session_token_invalid",
        ),
        (
            "expired_token",
            json!(sandbox.mint(id)),
            "expired_session_token_missing_azp",
        ),
        (
            "expired_token",
            json!(sandbox.mint_for_origin(&other, origin)),
            "refresh_sid_mismatch",
        ),
        (
            "request_origin",
            json!("https://x.example"),
            "refresh_request_origin_azp_mismatch",
        ),
        (
            "request_origin",
            json!("x"),
            "refresh_request_origin_invalid",
        ),
        ("refresh_token", json!("x"), "refresh_token_not_found"),
    ] {
        let (status, body) = refresh(field, value).await;
        assert_eq!((status, code(&body)), (401, expected));
    }
    sandbox.revoke(id);
    let (status, body) = refresh("format", Value::Null).await;
    assert_eq!(
        (status, code(&body)),
        (401, "session_refresh_inactive_session")
    );
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

#[tokio::test]
async fn a_seed_decides_what_there_is() {
    let seed: Seed = serde_json::from_value(json!({
        "users": [{"id": "user_1", "public_metadata": {"tier": 3}}],
        "organizations": [{"id": "org_1", "name": "One", "features": ["f"]}],
        "memberships": [{"user": "user_1", "organization": "one", "role": "org:owner", "permissions": ["org:f:use"]}],
        "sessions": [{"id": "sess_1", "organization": "org_1"}, {"id": "sess_2", "status": "ended"}],
        "templates": [{"name": "t", "claims": {"tier": "{{user.public_metadata.tier}}"}}],
        "session_claims": {"tier": "{{user.public_metadata.tier}}"},
    }))
    .unwrap();
    let sandbox = Sandbox::builder().seed(seed).start().await.unwrap();
    assert_eq!(
        (sandbox.user_id(), sandbox.session_id()),
        ("user_1", "sess_1")
    );
    let claims = decode(sandbox.session_token()).1;
    assert_eq!(
        (&claims["o"]["rol"], &claims["o"]["per"]),
        (&json!("owner"), &json!("use"))
    );
    assert_eq!(claims["tier"], 3);
    assert_eq!(decode(&sandbox.template_token("sess_1", "t")).1["tier"], 3);
    assert_eq!(
        sandbox.session("sess_2").unwrap().status,
        SessionStatus::Ended
    );
}

#[tokio::test]
async fn the_dotenv_lines_can_be_sourced_by_a_shell() {
    let sandbox = start().await;
    let script = format!(
        "{}printf '%s|%s' \"$CLERK_SESSION_ID\" \"$CLERK_JWT_KEY\"",
        sandbox.env_lines()
    );
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(script)
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let pem = sandbox.jwt_key().replace('\n', "\\n");
    assert_eq!(shown, format!("{}|{pem}", sandbox.session_id()));
}

#[tokio::test]
async fn the_description_has_both_list_shapes() {
    let sandbox = start().await;
    let (_, document) = get(&sandbox, "/openapi.json").await;
    let shapes = &document["components"]["schemas"]["SessionList"]["oneOf"];
    assert_eq!(shapes[0]["type"], "array");
    assert_eq!(shapes[1]["required"], json!(["data", "total_count"]));
}
