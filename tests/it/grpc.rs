//! gRPC through the gateway, as grpc-js sees it.

use std::process::Command;

use crate::support::{
    process::free_address,
    programs::output,
    scene::{Scene, Setting},
    upstream::Upstream,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs grpc-js; tests/run installs it"]
async fn calls_of_every_kind_pass_with_trailers_and_refusals_are_statuses() {
    let upstream = free_address();
    let setting = Setting {
        server: "h2c = true",
        upstream: &format!("url = \"http://{upstream}\"\nprotocol = \"h2c\""),
        routes: "[[route]]\npath = \"/test.Echo/*\"\nmethods = [\"POST\"]\n",
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let other = scene.sandbox.create_session(scene.sandbox.user_id());
    let revoke = format!("http://{}/sessions/{other}/revoke", scene.admin);
    let mut node = Command::new("node");
    node.arg("tests/strangers/grpc.mjs")
        .args([scene.address.to_string(), upstream.to_string()])
        .args([scene.sandbox.session_token(), &scene.sandbox.mint(&other)])
        .arg(revoke);
    let (good, said) = output(&mut node);
    assert!(good, "{said}\n{}", scene.gateway.stderr());
}
