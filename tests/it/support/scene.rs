//! The gateway as a process, between a recording upstream and a sandbox.

use std::net::SocketAddr;

use clerk_gateway::sandbox::Sandbox;

use super::{
    process::{Running, command, folder, free_address, get, status_of},
    upstream::Upstream,
};

/// The gateway in front of a recording upstream, with a sandbox behind it.
pub(crate) struct Scene {
    pub(crate) sandbox: Sandbox,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Running,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
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
        let upstream = Upstream::start();
        let url = format!("http://{}", upstream.address);
        Self::with(upstream, &url, "30s").await
    }

    /// Sends requests on to `url`, which the recording upstream need not be.
    pub(crate) async fn with(upstream: Upstream, url: &str, response_timeout: &str) -> Self {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let (address, admin) = (free_address(), free_address());
        let text = format!(
            "[clerk]\npublishable_key = \"{}\"\napi_url = \"{}\"\n\
             [server]\nlisten = \"{address}\"\nadmin = \"{admin}\"\n\
             [[upstream]]\nname = \"app\"\nurl = \"{url}\"\nresponse_timeout = \"{response_timeout}\"\n{ROUTES}",
            sandbox.publishable_key(),
            sandbox.url(),
        );
        let file = folder().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = command();
        command.args(["serve", "-c"]).arg(&file);
        command.env("CLERK_SECRET_KEY", sandbox.secret_key());
        let gateway = Running::start(command, address);
        Self {
            sandbox,
            upstream,
            gateway,
            address,
            admin,
        }
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.sandbox.session_token())
    }

    pub(crate) fn get(&self, target: &str, lines: &[&str]) -> String {
        get(self.address, target, lines)
    }

    pub(crate) fn signed_in(&self, target: &str, lines: &[&str]) -> u16 {
        let bearer = self.bearer();
        let lines: Vec<_> = lines.iter().copied().chain([bearer.as_str()]).collect();
        status_of(&self.get(target, &lines))
    }
}
