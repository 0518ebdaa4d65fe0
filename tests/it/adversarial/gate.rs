//! The gateway that every case attacks.

use std::time::{SystemTime, UNIX_EPOCH};

use clerk_gateway::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::{
    process::raw,
    scene::{Scene, Setting},
    upstream::Upstream,
};
use crate::ways::{Sent, Verdict, Ways};

pub(super) const ROUTES: &str = r#"
[[route]]
path = "/public/*"
auth = "none"

[[route]]
path = "/optional/*"
auth = "optional"

[[route]]
path = "/app/*"

[[route]]
path = "/app/graphql"
token = { template = "hasura" }

[[route]]
path = "/admin/*"
require = { role = "org:admin" }

[[route]]
path = "/invoices/*"
require = { permission = "org:inv:read" }

[[route]]
path = "/fresh/*"
require = { role = "org:admin", reverified_within = "10m" }

[[route]]
path = "/self/*"
require = { impersonation = "deny" }

[[route]]
path = "/strip/*"
auth = "none"
strip_prefix = "/strip"

[[route]]
path = "/ws"
"#;

/// Without a template token, which a gateway without Clerk's API cannot mint.
pub(super) const NETWORKLESS_ROUTES: &str = "[[route]]\npath = \"/app/*\"\n";

const SERVER: &str = "trusted_proxies = [\"127.0.0.2/32\"]\nh2c = true";

/// A gateway with a public, a signed-in and an administrators' part.
///
/// Where it can be asked, too, every way must say what the proxy does.
pub(super) struct Gate(pub(super) Scene, Option<Ways>);

/// One answer on a connection.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Everything from the status line to the next answer.
    pub(super) text: String,
}

impl Gate {
    pub(super) async fn start() -> Self {
        Self::set(Upstream::start(), Setting::default()).await
    }

    /// In front of an upstream that answers as told.
    pub(super) async fn before(answer: &'static [u8]) -> Self {
        Self::set(Upstream::answering(answer), Setting::default()).await
    }

    /// Trusts the proxies of another network than the usual one.
    pub(super) async fn trusting(network: &str) -> Self {
        let server = format!("trusted_proxies = [\"{network}\"]");
        let setting = Setting {
            server: &server,
            routes: ROUTES,
            ..Setting::default()
        };
        // Only a proxy of that network can say what its client has said.
        Self(Scene::set(Upstream::start(), setting).await, None)
    }

    /// With lines of the test's own; the routes are these where the test has none.
    pub(super) async fn set(upstream: Upstream, setting: Setting<'_>) -> Self {
        let ways = Ways::new();
        let server = format!("{SERVER}\n{}\n{}", setting.server, ways.section());
        let routes = match setting.routes == Setting::default().routes {
            true => ROUTES,
            false => setting.routes,
        };
        let setting = Setting {
            server: &server,
            routes,
            ..setting
        };
        Self(Scene::set(upstream, setting).await, Some(ways))
    }

    pub(super) fn sandbox(&self) -> &Sandbox {
        &self.0.sandbox
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.0.upstream
    }

    /// Sends bytes on a connection of their own, and returns all answers until it is closed.
    pub(super) fn send(&self, bytes: impl AsRef<[u8]>) -> Vec<Answer> {
        let text = raw(self.0.address, bytes.as_ref());
        answers(&text)
    }

    /// Sends one request; it must be answered once.
    pub(super) fn one(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let shown = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        let hits = self.upstream().hits();
        let mut answers = self.send(bytes.as_ref());
        assert_eq!(answers.len(), 1, "{shown:?}: {answers:?}");
        let answer = answers.remove(0);
        self.ask_by_every_way(bytes.as_ref(), &answer, hits);
        answer
    }

    /// Panics where one says other than the proxy did.
    fn ask_by_every_way(&self, bytes: &[u8], answer: &Answer, hits: usize) {
        let (Some(ways), Some(sent)) = (self.1, Sent::read(bytes)) else {
            return;
        };
        let answer = format!("HTTP/1.1 {}", answer.text);
        let proxied = Verdict::proxied(&answer, self.upstream(), hits);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| runtime.block_on(ways.agree(&sent, &proxied)));
    }

    /// Sends a GET with header lines, and closes behind it.
    pub(super) fn get(&self, target: &str, lines: &[&str]) -> Answer {
        self.one(request("GET", target, lines))
    }

    /// Sends each request alone: one answer of one of the statuses, and nothing for the upstream.
    pub(super) fn refuses<R: AsRef<[u8]>>(&self, statuses: &[u16], requests: &[R]) {
        for request in requests {
            let shown = String::from_utf8_lossy(request.as_ref()).into_owned();
            let answer = self.one(request);
            assert!(statuses.contains(&answer.status), "{shown:?}: {answer:?}");
            assert_eq!(self.upstream().hits(), 0, "{shown:?}");
        }
    }

    /// The header line of a member without any role that counts.
    pub(super) fn member(&self) -> String {
        self.bearer(|claims| claims["o"]["rol"] = "member".into())
    }

    /// The header line of an administrator.
    pub(super) fn admin(&self) -> String {
        self.bearer(|claims| claims["o"]["rol"] = "admin".into())
    }

    /// The header line of a session whose claims the test edits.
    pub(super) fn bearer(&self, edit: impl FnOnce(&mut Value)) -> String {
        format!("Authorization: Bearer {}", self.token(edit))
    }

    pub(super) fn token(&self, edit: impl FnOnce(&mut Value)) -> String {
        let id = self.sandbox().session_id();
        self.sandbox().mint_with(id, |_, claims| edit(claims))
    }
}

pub(super) fn request(method: &str, target: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: gw.test\r\n{lines}Connection: close\r\n\r\n")
}

/// GETs of the targets, each closed behind.
pub(super) fn gets(targets: &[&str]) -> Vec<String> {
    let get = |target: &&str| request("GET", target, &[]);
    targets.iter().map(get).collect()
}

fn answers(text: &str) -> Vec<Answer> {
    text.replace("HTTP/1.0 ", "HTTP/1.1 ")
        .split("HTTP/1.1 ")
        .skip(1)
        .filter(|answer| !answer.starts_with("100 "))
        .map(|answer| Answer {
            status: answer[..3].parse().unwrap(),
            text: answer.to_owned(),
        })
        .collect()
}

impl Answer {
    /// The values of a header.
    pub(super) fn header(&self, name: &str) -> Vec<&str> {
        let lines = self
            .text
            .lines()
            .skip(1)
            .map_while(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().try_into().unwrap()
}

/// The claims of a good session token of `issuer`.
pub(super) fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "sub": "user_1", "sid": "sess_1", "azp": "https://app.test", "v": 2,
        "iat": now(), "nbf": now() - 5, "exp": now() + 60,
        "o": { "id": "org_1", "slg": "acme", "rol": "member" },
    })
}
