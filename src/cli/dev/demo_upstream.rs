//! The service behind the gateway in `dev`: shows what arrives, and verifies the template token as
//! a service would.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::{clerk::PublicJwks, sandbox::Sandbox, verify::KeySet};

/// Starts the upstream on a free port; it lives as long as the runtime.
pub(super) async fn start(sandbox: &Sandbox) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let url = format!("{}/.well-known/jwks.json", sandbox.url());
    let jwks = PublicJwks::new(&url).map_err(std::io::Error::other)?;
    let app = Router::new().fallback(echo).with_state(Arc::new(jwks));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

async fn echo(State(jwks): State<Arc<PublicJwks>>, request: Request) -> Json<Value> {
    let (parts, _) = request.into_parts();
    Json(json!({
        "service": "demo upstream",
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers(&parts.headers),
        "template_token": template_token(&parts.headers, &jwks).await,
    }))
}

fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value).into()))
        .collect()
}

/// Says whether the bearer token is one of this instance's, by its JWKS, and what it claims.
async fn template_token(headers: &HeaderMap, jwks: &PublicJwks) -> Value {
    let Some(token) = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
    else {
        return Value::Null;
    };
    let claims = verified_claims(token, jwks).await;
    json!({ "signature_verified": claims.is_some(), "claims": claims })
}

async fn verified_claims(token: &str, jwks: &PublicJwks) -> Option<Value> {
    let keys = KeySet::from_jwks(&jwks.fetch().await.ok()?).ok()?;
    let (message, signature) = token.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let key = keys.find(header["kid"].as_str())?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !key.is_signature_of(message.as_bytes(), &signature) {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}
