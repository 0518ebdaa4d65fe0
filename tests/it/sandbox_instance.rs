//! A sandbox as an instance: its start, seed, limits, faults, keys and end.

use std::{path::Path, time::Duration};

use clerk_gateway::{
    Clock, SessionStatus, Timestamp,
    sandbox::{Outage, RateLimit, Sandbox, SandboxError, Seed},
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::sandbox_support::{code, decode, get, read, send, session_path, start};

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
async fn an_answer_can_break_off_in_the_middle_of_its_body() {
    let sandbox = start().await;
    sandbox.faults().outage(Some(Outage::BrokenOff));
    let url = format!("{}/.well-known/jwks.json", sandbox.url());
    let client = reqwest::Client::new();
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err());
    sandbox.faults().outage(None);
    let answer = client.get(&url).send().await.unwrap();
    assert!(answer.bytes().await.is_ok());
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

#[test]
fn a_seed_file_may_be_toml_and_an_unknown_key_in_it_is_an_error() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sandbox-seed.toml");
    std::fs::write(&path, "[[users]]\nid = \"user_1\"\n").unwrap();
    assert_eq!(
        Seed::read(&path).unwrap().users[0].id.as_deref(),
        Some("user_1")
    );
    std::fs::write(&path, "[[users]]\nname = \"x\"\n").unwrap();
    let error = Seed::read(&path).unwrap_err().to_string();
    assert!(error.contains("unknown field `name`"), "{error}");
}

#[tokio::test]
async fn a_seeded_key_signs_the_tokens() {
    let pem = include_str!("../../src/sandbox/development_key.pem").replace('\n', "\\n");
    let seed = json!({"signing_key": {"kid": "ins_seeded", "pem": pem}});
    let seed = serde_json::from_value(seed).unwrap();
    let sandbox = Sandbox::builder().seed(seed).start().await.unwrap();
    let twin = Sandbox::builder().deterministic().start().await.unwrap();
    assert_eq!(sandbox.jwt_key(), twin.jwt_key());
    assert_eq!(decode(sandbox.session_token()).0["kid"], "ins_seeded");
}
