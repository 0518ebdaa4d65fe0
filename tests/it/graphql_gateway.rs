//! A GraphQL gateway that checks JWTs against Clerk's keys, with this gateway before it.

use std::process::Command;

use clerk_gateway::sandbox::SeedTemplate;
use serde_json::json;

use crate::support::{
    process::free_address,
    programs::output,
    scene::{Scene, Setting},
    upstream::Upstream,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Hive Gateway; tests/run installs it"]
async fn hive_gateway_takes_the_template_token_and_no_session_token() {
    let upstream = free_address();
    let setting = Setting {
        upstream: &format!("url = \"http://{upstream}\""),
        routes: "[[route]]\npath = \"/graphql\"\nmethods = [\"POST\"]\ntoken = { template = \"graphql\" }\n",
        ..Setting::default()
    };
    let scene = Scene::set(Upstream::start(), setting).await;
    let sandbox = &scene.sandbox;
    sandbox.create_template(SeedTemplate {
        name: "graphql".to_owned(),
        claims: [
            ("aud".to_owned(), json!("graphql")),
            ("role".to_owned(), json!("user")),
        ]
        .into_iter()
        .collect(),
        ..SeedTemplate::default()
    });
    let mut node = Command::new("node");
    node.arg("tests/strangers/graphql_gateway.mjs")
        .args([scene.address.to_string(), upstream.to_string()])
        .env("ISSUER", sandbox.issuer())
        .env(
            "JWKS_URL",
            format!("{}/.well-known/jwks.json", sandbox.url()),
        )
        .env("USER_ID", sandbox.user_id())
        .env("SESSION_TOKEN", sandbox.session_token())
        .env(
            "OTHER_TEMPLATE_TOKEN",
            sandbox.template_token(sandbox.session_id(), "hasura"),
        );
    let (good, said) = output(&mut node);
    assert!(good, "{said}\n{}", scene.gateway.stderr());
}
