//! Other proxies as they are, each with its file from `config/`: what one lets through, and what the app then gets.

mod attacks;
mod caddy;
mod claims;
mod envoy;
mod envoy_grpc;
mod haproxy;
mod nginx;
mod same_set;
mod traefik;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use clerk_gateway::sandbox::Sandbox;

use crate::support::{
    process::{Running, command, folder, free_address, raw, status_of},
    upstream::Upstream,
};

/// The host that clients ask for; the file of the gateway names it.
const HOST: &str = "app.example.com";

/// More routes than the file has.
const MORE_ROUTES: &str = r#"
[[route]]
path = "/limited/*"
auth = "none"
rate_limit = { per_address = "3/1h" }

[[route]]
path = "/owners/*"
require = { role = "org:owner" }
"#;

/// A proxy, and what its guide promises.
struct Neighbour {
    /// The files of `config/` that are its guide.
    files: &'static [&'static str],
    /// What runs it on the files in a folder.
    command: fn(&Path) -> Command,
    /// Its answer where the gateway is gone.
    gateway_gone: u16,
}

/// A neighbour between clients and an app, asking the gateway, which asks a sandbox.
struct Place {
    sandbox: Sandbox,
    app: Upstream,
    gateway: Running,
    admin: SocketAddr,
    address: SocketAddr,
    gateway_gone: u16,
    neighbour: Running,
}

/// The addresses of one place, for those in the files.
struct Addresses {
    public: SocketAddr,
    app: SocketAddr,
    decisions: SocketAddr,
    grpc: SocketAddr,
}

impl Addresses {
    /// Puts the addresses where a file has its documented ones.
    fn put_into(&self, text: &str, folder: &Path) -> String {
        let mut text = text.to_owned();
        for (port, address) in [
            (8000, self.public),
            (3000, self.app),
            (8081, self.decisions),
            (8082, self.grpc),
        ] {
            let forms = ["127.0.0.1:", "port_value: ", "\n:"];
            for form in forms {
                let (from, to) = (format!("{form}{port}"), format!("{form}{}", address.port()));
                text = text.replace(&from, &to);
            }
        }
        let here = format!("{}/", folder.display());
        text.replace("/etc/haproxy/", &here)
            .replace("/etc/traefik/", &here)
    }
}

impl Place {
    async fn start(neighbour: &Neighbour) -> Self {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let app = Upstream::echoing();
        let addresses = Addresses {
            public: free_address(),
            app: app.address,
            decisions: free_address(),
            grpc: free_address(),
        };
        let folder = folder();
        for name in neighbour.files {
            let text = fs::read_to_string(Path::new("config").join(name)).unwrap();
            fs::write(folder.join(name), addresses.put_into(&text, &folder)).unwrap();
        }
        let admin = free_address();
        let file = gateway_file(&sandbox, &addresses, admin);
        let mut serve = command();
        serve.args(["serve", "-c"]).arg(&file);
        serve.env("CLERK_SECRET_KEY", sandbox.secret_key());
        let gateway = Running::start(serve, addresses.decisions);
        let running = Running::start((neighbour.command)(&folder), addresses.public);
        let place = Self {
            sandbox,
            app,
            gateway,
            admin,
            address: addresses.public,
            gateway_gone: neighbour.gateway_gone,
            neighbour: running,
        };
        place.wait_for_routes();
        place
    }

    /// Traefik listens before it has read its routes.
    fn wait_for_routes(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while status_of(&self.get("/", &[])) == 404 {
            assert!(Instant::now() < deadline, "{}", self.neighbour.stderr());
        }
    }

    /// A token of the user's session, as the app's own page has it.
    fn token(&self) -> String {
        let session = self.sandbox.session_id();
        self.sandbox
            .mint_for_origin(session, &format!("http://{HOST}"))
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.token())
    }

    /// Sends a request without a body, on a connection of its own.
    fn send(&self, line: &str, lines: &[&str]) -> String {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("{line} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{lines}\r\n");
        raw(self.address, head.as_bytes())
    }

    fn get(&self, target: &str, lines: &[&str]) -> String {
        self.send(&format!("GET {target}"), lines)
    }

    /// A GET with the user's token.
    fn signed_in(&self, target: &str, lines: &[&str]) -> String {
        let bearer = self.bearer();
        let lines: Vec<_> = lines.iter().copied().chain([bearer.as_str()]).collect();
        self.get(target, &lines)
    }

    /// Panics, with what the programs have said, where an answer has another status.
    fn expect(&self, status: u16, answer: &str) {
        assert_eq!(
            status_of(answer),
            status,
            "{answer}\n{}\n{}",
            self.neighbour.stderr(),
            self.gateway.stderr()
        );
    }
}

/// The gateway's own file of `config/`, for this place's sandbox.
fn gateway_file(sandbox: &Sandbox, addresses: &Addresses, admin: SocketAddr) -> PathBuf {
    let text = fs::read_to_string("config/decision.toml").unwrap();
    let folder = folder();
    // The clients of these tests speak no TLS.
    let text = text.replace("https://app.example.com", "http://app.example.com");
    let text = text.replace("#grpc = ", "grpc = ");
    let text = addresses.put_into(&text, &folder);
    let (clerk, rest) = text.split_once("[clerk]\n").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    let text = format!(
        "{clerk}[clerk]\npublishable_key = \"{}\"\napi_url = \"{}\"\n{rest}\n{MORE_ROUTES}\n\
         [server]\nlisten = \"{}\"\nadmin = \"{admin}\"\n",
        sandbox.publishable_key(),
        sandbox.url(),
        free_address(),
    );
    let file = folder.join("decision.toml");
    fs::write(&file, text).unwrap();
    file
}

/// Tests a neighbour on every claim.
macro_rules! neighbour {
    ($neighbour:ident, $needs:literal) => {
        neighbour! { $neighbour, $needs, claims,
            signed_out_is_401_and_reaches_nobody
            a_signed_out_browser_is_sent_to_the_sign_in_page
            an_app_is_told_who_is_signed_in_and_gets_no_session_token
            a_session_in_a_cookie_does_not_reach_the_app
            what_a_session_may_not_do_is_403
            an_open_route_passes_without_an_identity
            a_body_goes_to_the_app
            a_websocket_passes_with_a_session_alone
            another_sites_page_gets_no_websocket
            a_revoked_session_is_refused
            nothing_passes_while_clerk_is_down
            nothing_passes_while_the_gateway_is_gone
            too_many_requests_are_told_to_wait
        }
        neighbour! { $neighbour, $needs, attacks,
            nothing_forged_arrives_on_any_route
            no_trick_with_a_path_reaches_what_is_closed
            the_app_gets_the_path_that_was_decided_on
            what_a_client_says_of_its_request_changes_nothing
            an_address_is_not_changed_by_what_a_client_says
            a_connection_header_takes_nothing_away
        }
        neighbour! { $neighbour, $needs, same_set,
            raw_requests_fare_as_at_the_gateway_itself
        }
    };
    ($neighbour:ident, $needs:literal, $where:ident, $($claim:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = $needs]
            async fn $claim() {
                let place = $crate::neighbours::Place::start(&$neighbour).await;
                $crate::neighbours::$where::$claim(place);
            }
        )+
    };
}
use neighbour;
