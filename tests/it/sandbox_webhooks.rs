//! The sandbox's webhooks are signed as Svix signs Clerk's.

use std::{collections::HashMap, time::Duration};

use aws_lc_rs::hmac;
use axum::{Router, body::Bytes, http::HeaderMap, http::StatusCode, routing::post};
use base64::{Engine, engine::general_purpose::STANDARD};
use clerk_gateway::sandbox::{Sandbox, SandboxError};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const KEY: &[u8] = b"twenty-four bytes or more";

pub(crate) struct Delivery {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Bytes,
}

/// Starts a receiver that answers the first `refusals` deliveries with 500.
pub(crate) async fn receiver(refusals: usize) -> (String, UnboundedReceiver<Delivery>) {
    let (sender, deliveries) = unbounded_channel();
    let refused = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let app = Router::new().route(
        "/",
        post(async move |headers: HeaderMap, body: Bytes| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            sender.send(Delivery { headers, body }).unwrap();
            if refused.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < refusals {
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
            StatusCode::OK
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, deliveries)
}

pub(crate) async fn next(deliveries: &mut UnboundedReceiver<Delivery>) -> Delivery {
    let delivery = tokio::time::timeout(Duration::from_secs(10), deliveries.recv());
    delivery.await.expect("no webhook came").unwrap()
}

fn secret() -> String {
    format!("whsec_{}", STANDARD.encode(KEY))
}

#[tokio::test]
async fn a_revocation_is_announced_with_a_good_signature() {
    let (url, mut deliveries) = receiver(0).await;
    let sandbox = Sandbox::builder()
        .webhook(url, secret())
        .start()
        .await
        .unwrap();
    sandbox.revoke(sandbox.session_id());
    let delivery = next(&mut deliveries).await;
    let (id, timestamp) = (
        &delivery.headers["svix-id"],
        &delivery.headers["svix-timestamp"],
    );
    let signed = [
        id.as_bytes(),
        b".",
        timestamp.as_bytes(),
        b".",
        &delivery.body,
    ]
    .concat();
    let mac = delivery.headers["svix-signature"]
        .strip_prefix("v1,")
        .unwrap();
    let mac = STANDARD.decode(mac).unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, KEY), &signed, &mac).unwrap();
    let event: Value = serde_json::from_slice(&delivery.body).unwrap();
    assert_eq!(
        (&event["object"], &event["type"]),
        (&"event".into(), &"session.revoked".into())
    );
    assert_eq!(event["data"]["id"], sandbox.session_id());
    assert_eq!(event["data"]["status"], "revoked");
    assert!(event["instance_id"].as_str().unwrap().starts_with("ins_"));
}

#[tokio::test]
async fn a_refused_webhook_comes_again_under_the_same_id() {
    let (url, mut deliveries) = receiver(1).await;
    let sandbox = Sandbox::builder()
        .webhook(url, secret())
        .start()
        .await
        .unwrap();
    sandbox.delete_user(sandbox.user_id());
    let first = next(&mut deliveries).await;
    let second = next(&mut deliveries).await;
    assert_eq!(first.headers["svix-id"], second.headers["svix-id"]);
    let event: Value = serde_json::from_slice(&second.body).unwrap();
    assert_eq!(event["type"], "user.deleted");
    assert_eq!(event["data"]["id"], sandbox.user_id());
}

#[tokio::test]
async fn a_webhook_endpoint_that_cannot_be_is_refused() {
    for (url, secret) in [
        ("ftp://127.0.0.1/".to_owned(), secret()),
        ("http://127.0.0.1/".to_owned(), "whsec_c2hvcnQ=".to_owned()),
        ("http://127.0.0.1/".to_owned(), "secret".to_owned()),
    ] {
        let refused = Sandbox::builder().webhook(url, secret).start().await;
        assert!(matches!(refused, Err(SandboxError::Webhook(_))));
    }
}
