//! What the sandbox's tests share: starting one, asking it, reading answers and tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clerk_gateway::sandbox::Sandbox;
use reqwest::{Method, Response};
use serde_json::Value;

pub(crate) async fn start() -> Sandbox {
    Sandbox::builder().start().await.unwrap()
}

pub(crate) async fn send(
    sandbox: &Sandbox,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Response {
    let request = reqwest::Client::new()
        .request(method, format!("{}{path}", sandbox.url()))
        .bearer_auth(sandbox.secret_key());
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.unwrap()
}

pub(crate) async fn get(sandbox: &Sandbox, path: &str) -> (u16, Value) {
    read(send(sandbox, Method::GET, path, None).await).await
}

pub(crate) async fn post(sandbox: &Sandbox, path: &str, body: Value) -> (u16, Value) {
    read(send(sandbox, Method::POST, path, Some(body)).await).await
}

pub(crate) async fn read(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

pub(crate) fn code(body: &Value) -> &str {
    body["errors"][0]["code"].as_str().unwrap()
}

pub(crate) fn decode(token: &str) -> (Value, Value) {
    let part = |index: usize| {
        let text = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    (part(0), part(1))
}

pub(crate) fn session_path(sandbox: &Sandbox, rest: &str) -> String {
    format!("/v1/sessions/{}{rest}", sandbox.session_id())
}
