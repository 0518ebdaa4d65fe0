//! Clerk's webhooks: what they revoke, and whose word counts.

mod deliveries;
mod effects;
mod strangers;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{
    process::{folder, get, raw, status_of},
    scene::{Scene, Setting},
    upstream::Upstream,
};

pub(crate) const PATH: &str = "/-/webhooks/clerk";
pub(crate) const KEY: &[u8] = b"a key of Clerk's, thirty-two long";
const OTHER_KEY: &[u8] = b"another key that is long enough";

/// Both ways of verification; one asks for a template token too.
const ROUTES: &str = r#"
[[route]]
path = "/plain/*"
verify = "networkless"

[[route]]
path = "/token/*"
token = { template = "hasura", any_organization = true }

[[route]]
path = "/*"
"#;

/// A gateway that takes webhooks, and how they are signed.
pub(crate) struct Hooked {
    pub(crate) scene: Scene,
    secret_file: PathBuf,
}

impl Hooked {
    pub(crate) async fn start() -> Self {
        Self::with("", &[KEY]).await
    }

    /// Starts with more lines of `[server]` (and sections after it), and a file for each key.
    async fn with(server: &str, keys: &[&[u8]]) -> Self {
        let folder = folder();
        let file = |index: usize| folder.join(format!("secret{index}"));
        for (index, key) in keys.iter().enumerate() {
            fs::write(file(index), format!("{}\n", secret(key))).unwrap();
        }
        let files: Vec<_> = (0..keys.len()).map(file).collect();
        let server = format!("{server}\n[webhooks]\nsecret_files = {files:?}\n");
        let setting = Setting {
            server: &server,
            routes: ROUTES,
            ..Setting::default()
        };
        Self {
            scene: Scene::set(Upstream::start(), setting).await,
            secret_file: file(0),
        }
    }

    /// Has the sandbox send its webhooks here.
    fn told_by_the_sandbox(self) -> Self {
        let url = format!("http://{}{PATH}", self.scene.address);
        let sandbox = &self.scene.sandbox;
        sandbox.send_webhooks_to(&url, &secret(KEY)).unwrap();
        self
    }

    fn send(&self, delivery: &Delivery) -> String {
        raw(self.scene.address, &delivery.request(PATH))
    }

    /// Sends a delivery that is taken: with the answer, its effect is there.
    pub(crate) fn deliver(&self, delivery: &Delivery) {
        let answer = self.send(delivery);
        assert_eq!(status_of(&answer), 204, "{answer}");
    }

    fn refuses(&self, delivery: &Delivery, status: u16, code: &str) {
        let answer = self.send(delivery);
        assert_eq!(status_of(&answer), status, "{answer}");
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    }

    /// What a request with this token is answered: its status, and the code of a refusal.
    fn verdict(&self, target: &str, token: &str) -> (u16, String) {
        let bearer = format!("Authorization: Bearer {token}");
        let answer = get(self.scene.address, target, &[&bearer]);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let code = body["code"].as_str().unwrap_or_default();
        (status_of(&answer), code.to_owned())
    }

    fn passes(&self, token: &str) {
        for target in ["/plain/x", "/token/x"] {
            assert_eq!(self.verdict(target, token).0, 200, "{target}");
        }
    }

    fn refuses_token(&self, token: &str, code: &str) {
        for target in ["/plain/x", "/token/x"] {
            let verdict = self.verdict(target, token);
            assert_eq!(verdict, (401, code.to_owned()), "{target}");
        }
    }

    fn counted(&self, event: &str, outcome: &str) -> u64 {
        let start = format!(
            "clerk_gateway_webhook_deliveries_total{{event=\"{event}\",outcome=\"{outcome}\"}} "
        );
        let page = self.scene.metrics();
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |number| number.trim().parse().unwrap())
    }

    /// A token of the ready session as one that is minted in a few seconds.
    fn later_token(&self, session_id: &str) -> String {
        let sandbox = &self.scene.sandbox;
        sandbox.mint_with(session_id, |_, claims| {
            let issued_at = claims["iat"].as_i64().unwrap() + 3;
            claims["iat"] = issued_at.into();
        })
    }
}

pub(crate) fn secret(key: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(key))
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().try_into().unwrap()
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// An event on its way, as Svix sends it; tests change what they are about.
#[derive(Clone)]
pub(crate) struct Delivery {
    id: String,
    seconds: String,
    body: String,
    key: &'static [u8],
    /// In place of the right one.
    signature: Option<String>,
    prefix: &'static str,
}

impl Delivery {
    pub(crate) fn of(kind: &str, data: Value) -> Self {
        Self::at(now(), kind, data)
    }

    /// An event of that time, delivered now.
    fn at(seconds: i64, kind: &str, data: Value) -> Self {
        let event = json!({
            "object": "event",
            "type": kind,
            "timestamp": seconds * 1000,
            "instance_id": "ins_1",
            "data": data,
        });
        Self::with_body(event.to_string())
    }

    fn with_body(body: String) -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Self {
            id: format!("msg_{number}"),
            seconds: now().to_string(),
            body,
            key: KEY,
            signature: None,
            prefix: "svix-",
        }
    }

    fn signature(&self) -> String {
        let text = format!("{}.{}.{}", self.id, self.seconds, self.body);
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key);
        format!("v1,{}", STANDARD.encode(hmac::sign(&key, text.as_bytes())))
    }

    /// The header lines but those of the body.
    fn head(&self) -> String {
        let (id, seconds, prefix) = (&self.id, &self.seconds, self.prefix);
        let signature = self.signature.clone().unwrap_or_else(|| self.signature());
        format!(
            "Host: gw.test\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {prefix}id: {id}\r\n{prefix}timestamp: {seconds}\r\n{prefix}signature: {signature}\r\n"
        )
    }

    pub(crate) fn request(&self, path: &str) -> Vec<u8> {
        let (head, body) = (self.head(), &self.body);
        format!(
            "POST {path} HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}
