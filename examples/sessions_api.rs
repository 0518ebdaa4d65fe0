//! The client of the Sessions API: `cargo run --example sessions_api`.

use clerk_gateway::{Clerk, clerk::SessionQuery, sandbox::Sandbox};
use futures_util::TryStreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In production: Clerk::from_env()?
    let sandbox = Sandbox::builder().start().await?;
    let clerk = Clerk::builder()
        .publishable_key(sandbox.publishable_key())
        .secret_key(sandbox.secret_key())
        .api_url(sandbox.url())
        .build()?;
    let sessions = clerk.sessions();

    let created = sessions.create(sandbox.user_id(), None).await?;
    println!("created {} ({})", created.id, created.status);

    let query = SessionQuery::new().user_id(sandbox.user_id());
    let all: Vec<_> = sessions.list_all(query).try_collect().await?;
    println!("the user has {} sessions", all.len());

    let token = sessions
        .create_token_from_template(&created.id, "hasura", None)
        .await?;
    println!("minted a token of {} bytes", token.jwt.len());

    let revoked = sessions.revoke(&created.id).await?;
    println!("revoked {} ({})", revoked.id, revoked.status);

    let missing = sessions.get("sess_doesnotexist").await;
    if let Err(error) = missing {
        println!("get of a missing session: {error}");
    }
    Ok(())
}
