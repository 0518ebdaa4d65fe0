//! What the client never sends, and never says.

use std::time::Duration;

use clerk_gateway::clerk::{Client, ClientError, Error, PublicJwks, RefreshRequest, SessionQuery};
use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::{KEY, answering, builder, ok, sessions};

#[tokio::test]
async fn what_cannot_be_an_id_is_never_sent() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ok(json!({})))
        .expect(0)
        .mount(&server)
        .await;
    let sessions = sessions(&server);
    for id in [
        "",
        "sess_",
        "user_1",
        "sess_../x",
        "sess_%2f",
        "sess_1?x",
        "sess_1#x",
        "../jwks",
    ] {
        assert!(is_argument(sessions.get(id).await), "{id}");
        assert!(is_argument(sessions.verify(id, None).await), "{id}");
        assert!(is_argument(sessions.revoke(id).await), "{id}");
        assert!(is_argument(sessions.create_token(id, None).await), "{id}");
    }
    for id in ["", "user_", "sess_1", "user_1/../x"] {
        assert!(is_argument(sessions.create(id, None).await), "{id}");
    }
    for name in ["", ".", "..", "../x", "a%2fb", "a?b", "a#b"] {
        let minted = sessions
            .create_token_from_template("sess_1", name, None)
            .await;
        assert!(is_argument(minted), "{name}");
    }
    for millis in [0, 29_000, 30_500, 315_360_001_000] {
        let lifetime = Some(Duration::from_millis(millis));
        assert!(
            is_argument(sessions.create_token("sess_1", lifetime).await),
            "{millis}"
        );
    }
    assert!(is_argument(
        sessions.list(&SessionQuery::new().limit(501)).await
    ));
}

fn is_argument<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::InvalidArgument(_)))
}

#[test]
fn a_client_that_would_betray_its_key_is_not_built() {
    let build = |key: &str, url: &str| Client::builder(key.into()).api_url(url).build();
    let live = build("sk_live_1", "http://127.0.0.1:4000");
    assert!(matches!(live, Err(ClientError::LiveKeyOverHttp)));
    let plain = build(KEY, "http://api.example.com");
    assert!(matches!(plain, Err(ClientError::PlainHttp(host)) if host == "api.example.com"));
    assert!(matches!(
        build(KEY, "https://u:p@api.example.com"),
        Err(ClientError::Url)
    ));
    for key in ["", "pk_test_1", "sk_test_1\r\nx: y", "sk_test_ 1"] {
        let built = build(key, "http://127.0.0.1:4000");
        assert!(matches!(built, Err(ClientError::SecretKey)), "{key:?}");
    }
    assert!(matches!(
        PublicJwks::new("http://x.example.com/j"),
        Err(ClientError::PlainHttp(_))
    ));
}

#[tokio::test]
async fn the_secret_key_is_in_no_text_of_ours() {
    let server = answering(ResponseTemplate::new(401)).await;
    let builder = builder(&server);
    let client = builder.clone().build().unwrap();
    let refused = client.sessions().get("sess_1").await.unwrap_err();
    drop(server);
    let lost = client.sessions().get("sess_1").await.unwrap_err();
    let request = RefreshRequest::new(KEY.into(), KEY.into(), "https://o").header("cookie", KEY);
    let texts = format!("{builder:?} {client:?} {refused} {refused:?} {lost:?} {request:?}");
    assert!(!texts.contains("dontleakme"), "{texts}");
    let error = Client::builder("dontleakme".into()).build().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("dontleakme"));
}
