//! A Hasura-style gateway from the layer: `cargo run --example hasura_gateway`.
//!
//! The session token stays here; a token minted from the `hasura` JWT template goes on as
//! `Authorization`, with the claims that Hasura reads. As a standalone gateway: config/hasura.toml.

use std::convert::Infallible;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clerk_gateway::{Clerk, SessionLayer, sandbox::Sandbox};
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Body = Full<bytes::Bytes>;

/// Stands for the GraphQL engine: shows the claims of the token that arrives.
async fn engine(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let bearer = request.headers().get(AUTHORIZATION);
    let claims = bearer
        .and_then(|value| value.to_str().ok()?.split('.').nth(1))
        .and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok())
        .unwrap_or_default();
    Ok(Response::new(Full::from(claims)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().start().await?;
    let clerk = Clerk::builder()
        .publishable_key(sandbox.publishable_key())
        .secret_key(sandbox.secret_key())
        .api_url(sandbox.url())
        .build()?;
    let layer = SessionLayer::builder(clerk)
        .template_token("hasura")
        .forward_template_token()
        .build()?;
    let gateway = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(engine));

    for _ in 0..3 {
        let request = Request::builder()
            .header(AUTHORIZATION, format!("Bearer {}", sandbox.session_token()))
            .body(Body::default())?;
        let response = gateway.clone().oneshot(request).await?;
        let claims = response.into_body().collect().await?.to_bytes();
        let claims: serde_json::Value = serde_json::from_slice(&claims)?;
        println!("{:#}", claims["https://hasura.io/jwt/claims"]);
    }
    let mints = sandbox.requests("CreateSessionTokenFromTemplate");
    println!("three requests, {mints} token minted");
    Ok(())
}
