//! A handler's test with the in-process sandbox: `cargo test --example handler_test`.
//!
//! In your crate: `clerk-gateway = { version = "0.1", features = ["test-util"] }` under
//! `[dev-dependencies]`; no network and no Clerk account are needed.

use axum::{Router, routing::get};
use clerk_gateway::{Clerk, Session, SessionLayer};

async fn me(session: Session) -> String {
    session.user_id().to_owned()
}

fn app(clerk: Clerk) -> Router {
    Router::new()
        .route("/me", get(me))
        .layer(SessionLayer::required(clerk))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(Clerk::from_env()?)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use clerk_gateway::sandbox::Sandbox;
    use http::{Request, StatusCode, header::AUTHORIZATION};
    use tower::ServiceExt;

    use super::*;

    async fn status(sandbox: &Sandbox, token: &str) -> StatusCode {
        let clerk = Clerk::builder()
            .publishable_key(sandbox.publishable_key())
            .secret_key(sandbox.secret_key())
            .api_url(sandbox.url())
            .build()
            .unwrap();
        let request = Request::builder()
            .uri("/me")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        app(clerk).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_signed_in_user_sees_herself() {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let token = sandbox.mint(sandbox.session_id());
        assert_eq!(status(&sandbox, &token).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_revoked_session_is_refused() {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let token = sandbox.mint(sandbox.session_id());
        sandbox.revoke(sandbox.session_id());
        assert_eq!(status(&sandbox, &token).await, StatusCode::UNAUTHORIZED);
    }
}
