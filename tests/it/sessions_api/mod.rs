//! The client of the Sessions API, against a server that notes what it is sent.

mod failures;
mod refusals_to_send;

use std::{net::IpAddr, time::Duration};

use clerk_gateway::{
    SessionStatus,
    clerk::{
        Client, ClientBuilder, PublicJwks, RefreshFormat, RefreshRequest, SessionQuery, Sessions,
        model::Refreshed,
    },
};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{any, query_param, query_param_is_missing},
};

const KEY: &str = "sk_test_dontleakme";

fn session(id: &str) -> Value {
    json!({
        "object": "session", "id": id, "user_id": "user_1", "client_id": "client_1",
        "actor": {"sub": "user_2"}, "status": "active", "last_active_organization_id": "org_1",
        "last_active_at": 1, "latest_activity": null, "expire_at": 2, "abandon_at": 3,
        "updated_at": 4, "created_at": 5, "tasks": null,
    })
}

fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

fn builder(server: &MockServer) -> ClientBuilder {
    Client::builder(KEY.into()).api_url(&server.uri())
}

fn sessions(server: &MockServer) -> Sessions {
    builder(server).build().unwrap().sessions()
}

async fn only_request(server: &MockServer) -> Request {
    let mut requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

fn sent(request: &Request) -> (String, String, String) {
    let mut target = request.url.path().to_owned();
    if let Some(query) = request.url.query() {
        target = format!("{target}?{query}");
    }
    let body = String::from_utf8(request.body.clone()).unwrap();
    (request.method.to_string(), target, body)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .headers
        .get(name)
        .map(|value| value.to_str().unwrap())
}

async fn count(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

/// Makes one call against a server of its own that answers with `response`; returns what was sent.
async fn sent_by<T, E, F>(response: Value, call: impl FnOnce(Sessions) -> F) -> Request
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Debug,
{
    let server = answering(ok(response)).await;
    call(sessions(&server)).await.unwrap();
    only_request(&server).await
}

fn owned(method: &str, target: &str, body: &str) -> (String, String, String) {
    (method.to_owned(), target.to_owned(), body.to_owned())
}

#[tokio::test]
async fn each_operation_sends_its_method_path_and_body() {
    let one = || session("sess_1");
    let jwt = || json!({"jwt": "a.b.c"});
    let minute = Some(Duration::from_secs(60));

    let list = sent_by(json!([]), async |s| {
        s.list(&SessionQuery::new().limit(5)).await
    })
    .await;
    assert_eq!(sent(&list), owned("GET", "/v1/sessions?limit=5", ""));
    let get = sent_by(one(), async |s| s.get("sess_1").await).await;
    assert_eq!(sent(&get), owned("GET", "/v1/sessions/sess_1", ""));
    let create = sent_by(one(), async |s| s.create("user_1", None).await).await;
    assert_eq!(
        sent(&create),
        owned("POST", "/v1/sessions", r#"{"user_id":"user_1"}"#)
    );
    let create = sent_by(one(), async |s| s.create("user_1", Some("org_1")).await).await;
    let body = r#"{"active_organization_id":"org_1","user_id":"user_1"}"#;
    assert_eq!(sent(&create), owned("POST", "/v1/sessions", body));
    let verify = sent_by(one(), async |s| s.verify("sess_1", Some("t")).await).await;
    let verify_path = "/v1/sessions/sess_1/verify";
    assert_eq!(
        sent(&verify),
        owned("POST", verify_path, r#"{"token":"t"}"#)
    );
    let verify = sent_by(one(), async |s| s.verify("sess_1", None).await).await;
    assert_eq!(sent(&verify), owned("POST", verify_path, ""));
    let revoke = sent_by(one(), async |s| s.revoke("sess_1").await).await;
    assert_eq!(
        sent(&revoke),
        owned("POST", "/v1/sessions/sess_1/revoke", "")
    );
    let mint = sent_by(jwt(), async |s| s.create_token("sess_1", None).await).await;
    assert_eq!(sent(&mint), owned("POST", "/v1/sessions/sess_1/tokens", ""));
    let mint = sent_by(jwt(), async |s| {
        s.create_token_from_template("sess_1", "hasura", minute)
            .await
    });
    let body = r#"{"expires_in_seconds":60}"#;
    assert_eq!(
        sent(&mint.await),
        owned("POST", "/v1/sessions/sess_1/tokens/hasura", body)
    );
}

#[tokio::test]
async fn the_key_and_the_versions_go_with_every_request() {
    let get = sent_by(session("sess_1"), async |s| s.get("sess_1").await).await;
    assert_eq!(
        header(&get, "authorization"),
        Some(&*format!("Bearer {KEY}"))
    );
    assert_eq!(header(&get, "clerk-api-version"), Some("2026-05-12"));
    let agent = format!("clerk-gateway/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(header(&get, "user-agent"), Some(&*agent));
    assert_eq!(header(&get, "accept"), Some("application/json"));
}

#[tokio::test]
async fn verify_is_sent_at_the_last_version_that_has_it() {
    let verify = sent_by(session("sess_1"), async |s| {
        s.verify("sess_1", Some("t")).await
    })
    .await;
    let versions: Vec<_> = verify.headers.get_all("clerk-api-version").iter().collect();
    assert_eq!(versions, ["2024-10-01"]);
    assert_eq!(header(&verify, "content-type"), Some("application/json"));
}

#[tokio::test]
async fn the_api_version_can_be_chosen() {
    let server = answering(ok(session("sess_1"))).await;
    let client = builder(&server).api_version("2025-11-10").build().unwrap();
    client.sessions().get("sess_1").await.unwrap();
    let request = only_request(&server).await;
    assert_eq!(header(&request, "clerk-api-version"), Some("2025-11-10"));
}

#[tokio::test]
async fn a_post_without_a_body_says_so() {
    let revoke = sent_by(session("sess_1"), async |s| s.revoke("sess_1").await).await;
    assert_eq!(header(&revoke, "content-length"), Some("0"));
}

#[tokio::test]
async fn both_list_shapes_are_read() {
    let bare = json!([session("sess_1")]);
    let paginated = json!({"data": [session("sess_1")], "total_count": 7});
    for (body, total) in [(bare, None), (paginated, Some(7))] {
        let server = answering(ok(body)).await;
        let page = sessions(&server).list(&SessionQuery::new()).await.unwrap();
        assert_eq!(page.data[0].id, "sess_1");
        assert_eq!(page.total_count, total);
    }
}

#[tokio::test]
async fn the_stream_walks_over_every_page() {
    for paginated in [true, false] {
        let server = MockServer::start().await;
        let pages = [
            (None, vec!["sess_1", "sess_2"]),
            (Some("2"), vec!["sess_3"]),
        ];
        for (offset, ids) in pages {
            let data: Vec<_> = ids.into_iter().map(session).collect();
            let body = match paginated {
                true => json!({"data": data, "total_count": 3}),
                false => json!(data),
            };
            let mock = match offset {
                None => Mock::given(query_param_is_missing("offset")),
                Some(offset) => Mock::given(query_param("offset", offset)),
            };
            mock.respond_with(ok(body)).expect(1).mount(&server).await;
        }
        let stream = sessions(&server).list_all(SessionQuery::new().limit(2));
        let all: Vec<_> = stream
            .map_ok(|session| session.id)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(all, ["sess_1", "sess_2", "sess_3"]);
    }
}

#[tokio::test]
async fn the_stream_ends_with_the_error_that_stopped_it() {
    let server = answering(ResponseTemplate::new(401)).await;
    let stream = sessions(&server).list_all(SessionQuery::new());
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.is_unauthorized_key());
}

#[tokio::test]
async fn unknown_fields_and_statuses_survive() {
    let mut body = session("sess_1");
    body["status"] = json!("frozen");
    body["agent"] = json!({"id": "agent_1"});
    let server = answering(ok(body.clone())).await;
    let session = sessions(&server).get("sess_1").await.unwrap();
    assert_eq!(session.status, SessionStatus::Unknown("frozen".to_owned()));
    assert_eq!(serde_json::to_value(session).unwrap(), body);
}

#[tokio::test]
async fn refresh_sends_what_it_is_given_and_reads_both_answers() {
    let request = RefreshRequest::new("old".into(), "cookie".into(), "https://app.example.com")
        .header("x-a", "1")
        .format(RefreshFormat::Cookie)
        .originating_ip(IpAddr::from([192, 0, 2, 1]))
        .suffixed_cookies();
    let server = answering(ok(json!({"object": "cookies", "cookies": ["__session=n"]}))).await;
    let refreshed = sessions(&server).refresh("sess_1", &request).await.unwrap();
    assert!(matches!(refreshed, Refreshed::Cookies { cookies, .. } if cookies == ["__session=n"]));
    let request = only_request(&server).await;
    assert_eq!(request.url.path(), "/v1/sessions/sess_1/refresh");
    assert_eq!(request.url.query(), Some("suffixed_cookies=true"));
    let expected = json!({
        "expired_token": "old", "refresh_token": "cookie", "format": "cookie",
        "request_origin": "https://app.example.com", "request_headers": {"x-a": ["1"]},
        "request_originating_ip": "192.0.2.1",
    });
    assert_eq!(request.body_json::<Value>().unwrap(), expected);

    let server = answering(ok(json!({"object": "token", "jwt": "new"}))).await;
    let request = RefreshRequest::new("old".into(), "cookie".into(), "https://app.example.com");
    let refreshed = sessions(&server).refresh("sess_1", &request).await.unwrap();
    assert!(matches!(refreshed, Refreshed::Token(token) if token.jwt == "new"));
}

#[tokio::test]
async fn keys_are_fetched_with_the_secret_key_or_without_any() {
    let server = answering(ok(json!({"keys": []}))).await;
    let client = builder(&server).build().unwrap();
    assert_eq!(client.jwks().await.unwrap(), r#"{"keys":[]}"#);
    let url = format!("{}/.well-known/jwks.json", server.uri());
    assert_eq!(
        PublicJwks::new(&url).unwrap().fetch().await.unwrap(),
        r#"{"keys":[]}"#
    );
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].url.path(), "/v1/jwks");
    assert!(header(&requests[0], "authorization").is_some());
    assert_eq!(requests[1].url.path(), "/.well-known/jwks.json");
    assert_eq!(header(&requests[1], "authorization"), None);
}
