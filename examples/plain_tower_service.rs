//! The layer on a plain tower service, without axum: `cargo run --example plain_tower_service`.

use std::convert::Infallible;

use clerk_gateway::{Clerk, Session, SessionLayer, sandbox::Sandbox};
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt, service_fn};

type Body = Full<bytes::Bytes>;

async fn whoami(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let session = request.extensions().get::<Session>();
    let text = match session {
        Some(session) => format!("session {} of {}", session.id(), session.user_id()),
        None => "nobody".to_owned(),
    };
    Ok(Response::new(Full::from(text)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().start().await?;
    // A key that is given: nothing is fetched, and tokens are verified networkless.
    let clerk = Clerk::builder()
        .publishable_key(sandbox.publishable_key())
        .jwt_key(sandbox.jwt_key())
        .build()?;
    let service = ServiceBuilder::new()
        .layer(SessionLayer::required(clerk))
        .service(service_fn(whoami));

    let token = sandbox.session_token();
    for authorization in [String::new(), format!("Bearer {token}")] {
        let mut request = Request::new(Body::default());
        if !authorization.is_empty() {
            let value = authorization.parse()?;
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let response = service.clone().oneshot(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        println!("{status} {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
