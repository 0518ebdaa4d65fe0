//! The makers of the signature and of the events agree: Svix's library, and Clerk's own verifier.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use clerk_gateway::sandbox::Sandbox;
use serde_json::json;

use super::*;
use crate::{sandbox_webhooks::receiver, support::programs::output};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Svix's and Clerk's libraries; tests/run installs them"]
async fn what_svix_signs_is_taken_and_what_it_would_refuse_is_refused() {
    let hooked = Hooked::start().await;
    let mut node = Command::new("node");
    node.arg("tests/strangers/webhooks.mjs")
        .arg("send")
        .env(
            "WEBHOOK_URL",
            format!("http://{}{PATH}", hooked.scene.address),
        )
        .env("CLERK_WEBHOOK_SIGNING_SECRET", secret(KEY))
        .env("CLERK_SESSION_ID", hooked.scene.sandbox.session_id());
    let (good, said) = output(&mut node);
    assert!(good, "{said}\n{}", hooked.scene.gateway.stderr());
    hooked.refuses_token(hooked.scene.sandbox.session_token(), "session-revoked");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Svix's and Clerk's libraries; tests/run installs them"]
async fn what_the_sandbox_signs_svix_and_clerk_take() {
    let (url, mut deliveries) = receiver(0).await;
    let sandbox = Sandbox::builder().webhook(url, secret(KEY));
    let sandbox = sandbox.start().await.unwrap();
    sandbox.revoke(sandbox.session_id());
    sandbox.ban_user(sandbox.user_id());
    sandbox.delete_user(sandbox.user_id());
    let mut lines = String::new();
    for _ in 0..3 {
        let delivery = crate::sandbox_webhooks::next(&mut deliveries).await;
        let body = std::str::from_utf8(&delivery.body).unwrap();
        let line = json!({"headers": delivery.headers, "body": body});
        lines.push_str(&format!("{line}\n"));
    }
    let mut node = Command::new("node")
        .arg("tests/strangers/webhooks.mjs")
        .arg("verify")
        .env("CLERK_WEBHOOK_SIGNING_SECRET", secret(KEY))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut stdin = node.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    let said = node.wait_with_output().unwrap();
    assert!(said.status.success());
    let mut events: Vec<_> = str::from_utf8(&said.stdout).unwrap().lines().collect();
    events.sort_unstable();
    assert_eq!(events, ["session.revoked", "user.deleted", "user.updated"]);
}
