//! The gateway as a process, between a recording upstream and a sandbox.

use std::{net::SocketAddr, path::PathBuf};

use clerk_gateway::sandbox::Sandbox;

use super::{
    process::{Running, command, folder, free_address, get, raw, status_of},
    upstream::Upstream,
};

/// The gateway in front of a recording upstream, with a sandbox behind it.
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Running,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The configuration that runs.
    pub(crate) file: PathBuf,
}

/// What a test's gateway is told beside the sandbox's keys and its addresses.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// More lines of `[clerk]`, and whole sections after it.
    pub(crate) clerk: &'a str,
    /// More lines of `[server]`, and whole sections after it.
    pub(crate) server: &'a str,
    /// The upstream's lines but its name; empty: the recording upstream.
    pub(crate) upstream: &'a str,
    pub(crate) routes: &'a str,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self {
            clerk: "",
            server: "",
            upstream: "",
            routes: ROUTES,
        }
    }
}

const ROUTES: &str = r#"
[[route]]
path = "/public/*"
auth = "none"

[[route]]
path = "/optional/*"
auth = "optional"
token = { template = "hasura" }

[[route]]
path = "/owners/*"
require = { role = "org:owner" }

[[route]]
path = "/forward/*"
credential = "forward"
headers = { "X-Tenant" = "org_id" }

[[route]]
path = "/admin/*"
token = { template = "hasura", header = "X-Upstream-Token" }
strip_headers = ["X-Debug"]

[[route]]
path = "/app/*"
token = { template = "hasura" }
"#;

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::set(Upstream::start(), Setting::default()).await
    }

    /// Sends requests on to `url`, which the recording upstream need not be.
    pub(crate) async fn with(upstream: Upstream, url: &str, response_timeout: &str) -> Self {
        let lines = format!("url = \"{url}\"\nresponse_timeout = \"{response_timeout}\"");
        let setting = Setting {
            upstream: &lines,
            ..Setting::default()
        };
        Self::set(upstream, setting).await
    }

    /// Starts with lines of the test's own.
    pub(crate) async fn set(upstream: Upstream, setting: Setting<'_>) -> Self {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let (address, admin) = (free_address(), free_address());
        let url = format!("url = \"http://{}\"", upstream.address);
        let to = match setting.upstream {
            "" => &url,
            lines => lines,
        };
        let text = format!(
            "[clerk]\npublishable_key = \"{}\"\napi_url = \"{}\"\n{}\n\
             [server]\nlisten = \"{address}\"\nadmin = \"{admin}\"\n{}\n\
             [[upstream]]\nname = \"app\"\n{to}\n{}",
            sandbox.publishable_key(),
            sandbox.url(),
            setting.clerk,
            setting.server,
            setting.routes,
        );
        let file = folder().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = command();
        command.args(["serve", "-c"]).arg(&file);
        command.env("CLERK_SECRET_KEY", sandbox.secret_key());
        // Everything is searched for secrets in the end.
        command.env("CLERK_GATEWAY_LOG", "trace");
        let gateway = Running::start(command, address);
        Self {
            sandbox,
            upstream,
            gateway,
            address,
            admin,
            file,
        }
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.sandbox.session_token())
    }

    pub(crate) fn get(&self, target: &str, lines: &[&str]) -> String {
        get(self.address, target, lines)
    }

    /// The admin port's page.
    pub(crate) fn metrics(&self) -> String {
        get(self.admin, "/metrics", &[])
    }

    /// Has the gateway `evict` or `revoke` a session, by its admin port; done when this returns.
    pub(crate) fn order(&self, what: &str, session_id: &str) {
        let request = format!(
            "POST /sessions/{session_id}/{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let answer = raw(self.admin, request.as_bytes());
        assert_eq!(status_of(&answer), 200, "{answer}");
    }

    pub(crate) fn signed_in(&self, target: &str, lines: &[&str]) -> u16 {
        let bearer = self.bearer();
        let lines: Vec<_> = lines.iter().copied().chain([bearer.as_str()]).collect();
        status_of(&self.get(target, &lines))
    }
}
