//! The sandbox's tokens are as Clerk's: classes, versions, templates, refreshing.

use serde_json::{Value, json};

use crate::sandbox_support::{code, decode, post, read, session_path, start};

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
