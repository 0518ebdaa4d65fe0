//! Replicas that share a Redis.

mod budget;
mod clocks;
mod everywhere;
mod flood;
mod http2;
mod revocations;
mod sessions;
mod settings;
mod tls;
mod tokens;
mod valkey;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use clerk_gateway::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::{
    support::{
        process::{Running, command, folder, free_address, get, raw, status_of},
        redis::Redis,
        upstream::Upstream,
    },
    webhooks::{Delivery, KEY, PATH, secret},
};

/// One that only the gateway itself judges, and two whose sessions are asked about at Clerk.
const ROUTES: &str = r#"
[[route]]
path = "/plain/*"
verify = "networkless"
credentials = ["bearer"]

[[route]]
path = "/asked/*"

[[route]]
path = "/token/*"
token = { template = "hasura", any_organization = true }
"#;

/// Gateways of one instance, in front of one upstream.
struct Fleet {
    sandbox: Sandbox,
    upstream: Upstream,
    redis: Redis,
    replicas: Vec<Replica>,
    /// What each is told beside its file.
    variables: &'static [(&'static str, &'static str)],
}

struct Replica {
    process: Running,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Fleet {
    /// Starts Redis and so many replicas, and waits until they know each other.
    async fn start(replicas: usize) -> Self {
        Self::told(replicas, &[]).await
    }

    /// The same, where each replica is told more by its environment.
    async fn told(replicas: usize, variables: &'static [(&str, &str)]) -> Self {
        let mut fleet = Self {
            variables,
            ..Self::alone(Redis::start()).await
        };
        for _ in 0..replicas {
            fleet.add();
        }
        fleet.meets();
        fleet
    }

    /// All but the replicas.
    async fn alone(redis: Redis) -> Self {
        Self {
            sandbox: Sandbox::builder().start().await.unwrap(),
            upstream: Upstream::echoing(),
            redis,
            replicas: Vec::new(),
            variables: &[],
        }
    }

    fn add(&mut self) {
        self.add_with("");
    }

    /// Starts one more replica, with more lines of `[shared]` and sections after it.
    fn add_with(&mut self, lines: &str) {
        self.add_by(lines, |_| ());
    }

    /// The same, and has its command changed.
    fn add_by(&mut self, lines: &str, change: impl FnOnce(&mut Command)) {
        let (address, admin) = (free_address(), free_address());
        let folder = folder();
        let webhook_secret = folder.join("webhook-secret");
        std::fs::write(&webhook_secret, secret(KEY)).unwrap();
        let text = format!(
            "[clerk]\npublishable_key = \"{}\"\napi_url = \"{}\"\n\
             [server]\nlisten = \"{address}\"\nadmin = \"{admin}\"\n\
             [session]\ncredentials = [\"bearer\", {{ header = \"x-session-id\" }}]\n\
             session_id_callers = [\"127.0.0.0/8\"]\n\
             [cache]\nsession_ttl = \"3s\"\n\
             [webhooks]\nsecret_files = [{webhook_secret:?}]\n\
             [shared]\nurl = \"{}\"\n{lines}\n\
             [[upstream]]\nname = \"app\"\nurl = \"http://{}\"\n{ROUTES}",
            self.sandbox.publishable_key(),
            self.sandbox.url(),
            self.redis.url(),
            self.upstream.address,
        );
        let file = folder.join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = command();
        command.args(["serve", "-c"]).arg(&file);
        command.env("CLERK_SECRET_KEY", self.sandbox.secret_key());
        command.env("CLERK_GATEWAY_LOG", "trace");
        command.envs(self.variables.iter().copied());
        change(&mut command);
        self.replicas.push(Replica {
            process: Running::start(command, address),
            address,
            admin,
        });
    }

    /// Waits until every replica has Redis.
    fn meets(&self) {
        for replica in &self.replicas {
            eventually("redis is connected", || replica.is_up());
        }
    }

    /// Has the first replica hear that the user is banned.
    fn ban_by_webhook(&self) {
        let ban = ban(self.sandbox.user_id());
        assert_eq!(self.replicas[0].deliver(&ban), 204);
    }

    /// A token of a session as one that is minted in a few seconds.
    fn later_token(&self, session: &str) -> String {
        self.sandbox.mint_with(session, |_, claims| {
            claims["iat"] = (claims["iat"].as_i64().unwrap() + 3).into();
        })
    }

    /// Has all replicas asked at once about one session, and returns how often Clerk was; a busy machine's Redis may
    /// be too slow for its bound, and then it is tried once more.
    fn fetched_by_all(&self, target: &str, kind: &str, count: fn(&Self) -> usize) -> usize {
        let away = format!("clerk_gateway_shared_lookups_total{{kind=\"{kind}\",result=\"away\"}}");
        let away = || -> u64 { self.replicas.iter().filter_map(|r| r.metric(&away)).sum() };
        for _ in 0..10 {
            let (_, token) = self.new_session();
            let before = (count(self), away());
            std::thread::scope(|scope| {
                for replica in self.replicas.iter().cycle().take(12) {
                    scope.spawn(|| assert_eq!(replica.verdict(target, &token).0, 200));
                }
            });
            if away() == before.1 {
                return count(self) - before.0;
            }
        }
        panic!("redis was always too slow");
    }

    /// A session with a token that is good for an hour before and after now.
    fn lasting_session(&self) -> (String, String) {
        let session = self.sandbox.create_session(self.sandbox.user_id());
        let token = self.sandbox.mint_with(&session, |_, claims| {
            let now = claims["iat"].as_i64().unwrap();
            claims["iat"] = (now - 3_600).into();
            claims["nbf"] = (now - 3_600).into();
            claims["exp"] = (now + 3_600).into();
        });
        (session, token)
    }

    fn new_session(&self) -> (String, String) {
        let session = self.sandbox.create_session(self.sandbox.user_id());
        let token = self.sandbox.mint(&session);
        (session, token)
    }
}

impl Replica {
    fn is_up(&self) -> bool {
        self.metric("clerk_gateway_shared_up") == Some(1)
    }

    fn metric(&self, name: &str) -> Option<u64> {
        let page = get(self.admin, "/metrics", &[]);
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.map(|number| number.trim().parse().unwrap())
    }

    fn messages(&self, outcome: &str) -> u64 {
        let name = format!("clerk_gateway_shared_messages_total{{outcome=\"{outcome}\"}}");
        self.metric(&name).unwrap_or_default()
    }

    /// The status, and the code of a refusal.
    fn verdict(&self, target: &str, token: &str) -> (u16, String) {
        let bearer = format!("Authorization: Bearer {token}");
        let answer = get(self.address, target, &[&bearer]);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let code = body["code"].as_str().unwrap_or_default();
        (status_of(&answer), code.to_owned())
    }

    fn passes(&self, token: &str) {
        assert_eq!(self.verdict("/plain/x", token), (200, String::new()));
    }

    fn comes_to_refuse(&self, token: &str, code: &str) {
        eventually(code, || {
            self.verdict("/plain/x", token) == (401, code.to_owned())
        });
    }

    /// Revokes a session by the admin port.
    fn revoke(&self, session_id: &str) {
        let request = format!(
            "POST /sessions/{session_id}/revoke HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let answer = raw(self.admin, request.as_bytes());
        assert_eq!(status_of(&answer), 200, "{answer}");
    }

    fn deliver(&self, delivery: &Delivery) -> u16 {
        status_of(&raw(self.address, &delivery.request(PATH)))
    }

    /// A WebSocket of a session.
    fn websocket(&self, token: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.address).unwrap();
        let limit = Some(Duration::from_secs(15));
        client.set_read_timeout(limit).unwrap();
        let head = format!(
            "GET /plain/ws HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        client.write_all(head.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        client
    }
}

/// A user's ban, as Clerk tells of it.
fn ban(user_id: &str) -> Delivery {
    Delivery::of("user.updated", json!({ "id": user_id, "banned": true }))
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
