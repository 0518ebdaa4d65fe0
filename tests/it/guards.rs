//! Guards and extractors: 401 signed out, 403 not permitted, 500 where the layer is missing.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use clerk_gateway::{
    Guard, RequireLayer, Requirement, Session, SessionLayer, TemplateToken, extract::Permitted,
};
use http::{Request, header::AUTHORIZATION};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::support::Stage;

struct Admin;

impl Guard for Admin {
    fn requirement() -> Requirement {
        Requirement::Role("org:admin".to_owned())
    }
}

struct Owner;

impl Guard for Owner {
    fn requirement() -> Requirement {
        Requirement::Role("org:owner".to_owned())
    }
}

fn routes() -> Router {
    Router::new()
        .route("/me", get(async |session: Session| session.id().to_owned()))
        .route(
            "/optional",
            get(async |session: Option<Session>| format!("{}", session.is_some())),
        )
        .route("/admin", get(async |_: Permitted<Admin>| "admin"))
        .route("/owner", get(async |_: Permitted<Owner>| "owner"))
        .route("/token", get(async |_: TemplateToken| "token"))
}

async fn answer(app: &Router, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = Request::builder().uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    let code = problem["code"].as_str().map(str::to_owned);
    (status, code.unwrap_or(text))
}

#[tokio::test]
async fn extractors_tell_signed_out_not_permitted_and_permitted_apart() {
    let stage = Stage::start().await;
    let app = routes().layer(SessionLayer::optional(stage.clerk()));
    let token = stage.token();
    let id = stage.sandbox.session_id();
    for (path, token, status, text) in [
        ("/me", None, 401, "session-token-missing"),
        ("/me", Some(&token), 200, id),
        ("/optional", None, 200, "false"),
        ("/optional", Some(&token), 200, "true"),
        ("/admin", None, 401, "session-token-missing"),
        ("/admin", Some(&token), 200, "admin"),
        ("/owner", Some(&token), 403, "role-missing"),
        ("/token", None, 401, "session-token-missing"),
        ("/token", Some(&token), 500, "layer-missing"),
    ] {
        let answer = answer(&app, path, token.map(String::as_str)).await;
        assert_eq!(answer, (status, text.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn without_the_layer_every_extractor_is_a_500() {
    for path in ["/me", "/optional", "/admin", "/token"] {
        let answer = answer(&routes(), path, None).await;
        assert_eq!(answer, (500, "layer-missing".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn require_layers_are_403_with_their_reason() {
    let stage = Stage::start().await;
    let id = stage.sandbox.session_id();
    let token = stage
        .sandbox
        .mint_with(id, |_, claims| claims["fva"] = serde_json::json!([9, -1]));
    let session = {
        let layer = SessionLayer::required(stage.clerk());
        let seen = crate::support::seen(&layer, crate::support::bearer(&token)).await;
        seen.session.unwrap()
    };
    let organization = session.organization().unwrap();
    let permission = organization.permissions.first().unwrap().as_str();
    let slug = organization.slug.clone().unwrap();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (layer, expected) in [
        (RequireLayer::role("org:admin"), (200, id)),
        (RequireLayer::role("org:owner"), (403, "role-missing")),
        (RequireLayer::role("admin"), (403, "role-missing")),
        (RequireLayer::permission(permission), (200, id)),
        (
            RequireLayer::permission("org:x:y"),
            (403, "permission-missing"),
        ),
        (RequireLayer::organization(&organization.id), (200, id)),
        (RequireLayer::organization(slug), (200, id)),
        (
            RequireLayer::organization("other"),
            (403, "organization-mismatch"),
        ),
        (RequireLayer::reverified_within(minutes(10)), (200, id)),
        (
            RequireLayer::reverified_within(minutes(9)),
            (403, "reverification-required"),
        ),
    ] {
        let app = routes()
            .layer(layer.clone())
            .layer(SessionLayer::optional(stage.clerk()));
        let expected = (expected.0, expected.1.to_owned());
        let answered = answer(&app, "/me", Some(&token)).await;
        assert_eq!(answered, expected, "{layer:?}");
        let signed_out = answer(&app, "/me", None).await;
        assert_eq!(signed_out, (401, "session-token-missing".to_owned()));
    }
}

#[tokio::test]
async fn a_layers_own_requirements_hold() {
    let stage = Stage::start().await;
    let owners = SessionLayer::builder(stage.clerk())
        .require(Requirement::Role("org:owner".to_owned()))
        .build()
        .unwrap();
    let app = routes().layer(owners);
    let answered = answer(&app, "/me", Some(&stage.token())).await;
    assert_eq!(answered, (403, "role-missing".to_owned()));
}
