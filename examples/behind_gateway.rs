//! The layer in an app behind the gateway: `cargo run --example behind_gateway`.
//!
//! The gateway's route has `credential = "forward"`, so the session token arrives and the app
//! verifies it once more, networkless: whoever reaches the app past the gateway is refused, and the
//! managed headers need not be trusted on their own.

use axum::{Router, body::Body, routing::get};
use clerk_gateway::{Clerk, Session, SessionLayer, sandbox::Sandbox, verify::VerifyMode};
use http::{HeaderMap, Request, header::AUTHORIZATION};
use http_body_util::BodyExt;
use tower::ServiceExt;

async fn orders(headers: HeaderMap, session: Session) -> String {
    let told = headers.get("x-clerk-user-id");
    let told = told
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nobody");
    format!(
        "the gateway says {told}, the token proves {}",
        session.user_id()
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().start().await?;
    let clerk = Clerk::builder()
        .publishable_key(sandbox.publishable_key())
        .jwt_key(sandbox.jwt_key())
        .build()?;
    // The gateway has asked Clerk whether the session is active; the app need not ask again.
    let layer = SessionLayer::builder(clerk)
        .verify(VerifyMode::Networkless)
        .build()?;
    let app = Router::new().route("/orders", get(orders)).layer(layer);

    let through_gateway = Request::builder()
        .uri("/orders")
        .header("x-clerk-user-id", sandbox.user_id())
        .header(AUTHORIZATION, format!("Bearer {}", sandbox.session_token()));
    let past_gateway = Request::builder()
        .uri("/orders")
        .header("x-clerk-user-id", "user_admin");
    for (name, request) in [("through", through_gateway), ("past", past_gateway)] {
        let response = app.clone().oneshot(request.body(Body::empty())?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!(
            "{name} the gateway: {status} {}",
            String::from_utf8_lossy(&body)
        );
    }
    Ok(())
}
