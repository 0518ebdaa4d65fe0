//! `clerk-gateway serve`: what is wrong is said before anything is bound, and one URL is enough.

use std::net::TcpListener;

use clerk_gateway::sandbox::Sandbox;

use crate::support::{
    process::{Running, command, folder, free_address, get, run, status_of},
    upstream::Upstream,
};

const MINIMAL: &str = "[clerk]\nissuer = \"https://clerk.example.com\"\n";

fn serve_with(text: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let file = folder().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = command();
    command.args(["serve", "-c"]).arg(&file);
    command.envs(variables.iter().copied());
    let (status, _, stderr) = run(&mut command);
    (status, stderr)
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_its_fix() {
    let key = ("CLERK_SECRET_KEY", "sk_test_x");
    let upstream = "[[upstream]]\nname = \"app\"\nurl = \"http://127.0.0.1:1\"\n";
    let with = |more: &str| format!("{MINIMAL}{more}{upstream}");
    for (name, text, variables, parts) in [
        (
            "no key",
            with(""),
            &[][..],
            &["clerk.secret_key", "CLERK_SECRET_KEY"][..],
        ),
        (
            "unknown key",
            with("isuer = \"x\"\n"),
            &[key],
            &["gateway.toml:3", "isuer", "issuer"],
        ),
        (
            "bad upstream",
            format!("{MINIMAL}[[upstream]]\nname = \"app\"\nurl = \"localhost\"\n"),
            &[key],
            &["gateway.toml:5", "upstream[0].url", "http://"],
        ),
        (
            "unreadable key file",
            with("secret_key_file = \"missing\"\n"),
            &[],
            &["gateway.toml:3", "clerk.secret_key_file", "missing"],
        ),
        (
            "garbage key",
            with("jwt_key = \"garbage\"\n"),
            &[key],
            &["gateway.toml:3", "clerk.jwt_key", "PEM"],
        ),
        (
            "managed bare-id header",
            format!(
                "{MINIMAL}[session]\ncredentials = [{{ header = \"x-clerk-session\" }}]\n\
                 session_id_callers = [\"127.0.0.1/32\"]\n{upstream}"
            ),
            &[key],
            &["x-clerk-session", "only the gateway sets", "x-session-id"],
        ),
        (
            "plain http",
            with("api_url = \"http://api.example.com\"\n"),
            &[key],
            &["gateway.toml:3", "clerk.api_url", "https"],
        ),
    ] {
        let (status, stderr) = serve_with(&text, variables);
        assert_eq!(status, Some(2), "{name}: {stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{name} lacks {part:?}: {stderr}");
        }
        assert!(!stderr.contains("listening"), "{name}: {stderr}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = command();
    command
        .args([
            "serve",
            "--upstream",
            "http://127.0.0.1:1",
            "--listen",
            &address,
        ])
        .args(["--issuer", "https://clerk.example.com"])
        .env("CLERK_SECRET_KEY", "sk_test_x");
    let (status, _, stderr) = run(&mut command);
    assert_eq!(status, Some(2), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
    assert!(stderr.contains("server.listen"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_and_clerks_own_variables_protect_everything() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let upstream = Upstream::start();
    let address = free_address();
    let mut command = command();
    command
        .args(["serve", "--listen", &address.to_string()])
        .args(["--upstream", &format!("http://{}", upstream.address)])
        .env("CLERK_SECRET_KEY", sandbox.secret_key())
        .env("CLERK_PUBLISHABLE_KEY", sandbox.publishable_key())
        .env("CLERK_API_URL", sandbox.url())
        .env("CLERK_JWT_KEY", sandbox.jwt_key().replace('\n', "\\n"));
    let _gateway = Running::start(command, address);
    assert_eq!(status_of(&get(address, "/any/path", &[])), 401);
    assert_eq!(upstream.hits(), 0);
    let bearer = format!("Authorization: Bearer {}", sandbox.session_token());
    assert_eq!(status_of(&get(address, "/any/path", &[&bearer])), 200);
    assert_eq!(upstream.header("x-clerk-user-id"), [sandbox.user_id()]);
    assert_eq!(sandbox.requests("GetJWKS"), 0);
}
