//! An axum router with the layer: `cargo run --example axum_router`.
//!
//! It starts the sandbox, serves three routes, and calls them as a client would.

use axum::{Router, body::Body, routing::get};
use clerk_gateway::{
    Clerk, Guard, Requirement, Session, SessionLayer, extract::Permitted, sandbox::Sandbox,
};
use http::{Request, header::AUTHORIZATION};
use http_body_util::BodyExt;
use tower::ServiceExt;

async fn me(session: Session) -> String {
    format!("you are {}", session.user_id())
}

async fn greeting(session: Option<Session>) -> String {
    let name = session.map(|session| session.user_id().to_owned());
    format!("hello, {}", name.as_deref().unwrap_or("stranger"))
}

struct Admin;

impl Guard for Admin {
    fn requirement() -> Requirement {
        Requirement::Role("org:admin".to_owned())
    }
}

async fn settings(admin: Permitted<Admin>) -> String {
    format!("{} may change the settings", admin.user_id())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In production: Clerk::from_env()?
    let sandbox = Sandbox::builder().start().await?;
    let clerk = Clerk::builder()
        .publishable_key(sandbox.publishable_key())
        .secret_key(sandbox.secret_key())
        .api_url(sandbox.url())
        .build()?;

    let app = Router::new()
        .route("/me", get(me))
        .route("/settings", get(settings))
        .route("/", get(greeting))
        .layer(SessionLayer::optional(clerk));

    for path in ["/", "/me", "/settings"] {
        println!("GET {path}");
        println!("  signed out: {}", call(&app, path, None).await?);
        let token = sandbox.session_token();
        println!("  signed in:  {}", call(&app, path, Some(token)).await?);
    }
    Ok(())
}

async fn call(
    app: &Router,
    path: &str,
    token: Option<&str>,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut request = Request::builder().uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = app.clone().oneshot(request.body(Body::empty())?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok(format!("{status} {}", String::from_utf8_lossy(&body)))
}
