//! Signed webhooks, as Clerk sends them through Svix.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{SandboxError, ids::random_text};
use crate::time::Clock;

/// Waits before each attempt: bounded, so that a missing receiver is soon given up.
const ATTEMPTS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];
/// What Svix gives a receiver to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The one endpoint that events go to.
pub(crate) struct Webhooks {
    endpoint: Arc<Endpoint>,
    instance_id: String,
    runtime: Handle,
}

struct Endpoint {
    url: String,
    key: hmac::Key,
    client: reqwest::Client,
    clock: Clock,
}

impl Webhooks {
    /// Must be called on a tokio runtime; `secret` is `whsec_` and base64.
    pub(crate) fn new(
        url: String,
        secret: &str,
        instance_id: String,
        clock: Clock,
    ) -> Result<Self, SandboxError> {
        let parsed = reqwest::Url::parse(&url);
        if !parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(SandboxError::Webhook("its URL is not one"));
        }
        let encoded = secret.strip_prefix("whsec_").unwrap_or_default();
        let key = STANDARD.decode(encoded).unwrap_or_default();
        if !(24..=64).contains(&key.len()) {
            let reason = "its secret must be whsec_ and base64 of 24 to 64 bytes";
            return Err(SandboxError::Webhook(reason));
        }
        let client = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|_| SandboxError::Webhook("its HTTP client could not be built"))?;
        Ok(Self {
            endpoint: Arc::new(Endpoint {
                url,
                key: hmac::Key::new(hmac::HMAC_SHA256, &key),
                client,
                clock,
            }),
            instance_id,
            runtime: Handle::current(),
        })
    }

    /// Sends an event, in the background.
    pub(crate) fn send(&self, kind: &'static str, data: &Value) {
        let event = json!({
            "object": "event",
            "type": kind,
            "timestamp": self.endpoint.clock.now().as_millis(),
            "instance_id": self.instance_id,
            "data": data,
            "event_attributes": {"http_request": {"client_ip": "127.0.0.1", "user_agent": "sandbox"}},
        });
        let endpoint = Arc::clone(&self.endpoint);
        self.runtime
            .spawn(async move { endpoint.deliver(kind, event.to_string()).await });
    }
}

impl Endpoint {
    async fn deliver(&self, kind: &'static str, body: String) {
        // The same for every attempt: receivers tell repetitions by it.
        let id = format!("msg_{}", random_text(27));
        for wait in ATTEMPTS {
            tokio::time::sleep(wait).await;
            if self.attempt(&id, &body).await {
                tracing::debug!(webhook.event = kind, webhook.id = id, "webhook delivered");
                return;
            }
        }
        tracing::warn!(webhook.event = kind, webhook.id = id, "webhook given up");
    }

    async fn attempt(&self, id: &str, body: &str) -> bool {
        let timestamp = self.clock.now().as_secs();
        let mac = hmac::sign(&self.key, format!("{id}.{timestamp}.{body}").as_bytes());
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("svix-id", id)
            .header("svix-timestamp", timestamp)
            .header("svix-signature", format!("v1,{}", STANDARD.encode(mac)))
            .body(body.to_owned());
        let answer = request.send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}
