//! What the upstream is sent: managed headers, tokens, credentials, and nothing that is forged.

use crate::support::{
    process::{raw, status_of},
    scene::Scene,
};

#[tokio::test(flavor = "multi_thread")]
async fn signed_in_the_upstream_is_told_who_it_is_and_gets_a_token_of_its_own() {
    let scene = Scene::start().await;
    assert_eq!(
        scene.signed_in("/app/x?q=1", &["Cookie: a=b; __session=x; c=d"]),
        200
    );
    let upstream = &scene.upstream;
    assert!(upstream.last().starts_with("GET /app/x?q=1 HTTP/1.1\r\n"));
    assert_eq!(
        upstream.header("x-clerk-user-id"),
        [scene.sandbox.user_id()]
    );
    let session = [scene.sandbox.session_id()];
    assert_eq!(upstream.header("x-clerk-session-id"), session);
    assert_eq!(upstream.header("x-clerk-org-role"), ["org:admin"]);
    assert_eq!(upstream.header("x-clerk-org-id").len(), 1);
    assert!(upstream.header("x-clerk-actor").is_empty());
    assert_eq!(upstream.header("cookie"), ["a=b; c=d"]);
    let authorization = upstream.header("authorization");
    assert_eq!(authorization.len(), 1);
    assert!(!authorization[0].contains(scene.sandbox.session_token()));
    assert_eq!(upstream.header("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(upstream.header("x-forwarded-host"), ["gw.test"]);
    assert_eq!(upstream.header("host"), [upstream.address.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_managed_headers_arrive_in_no_spelling_on_no_route() {
    let scene = Scene::start().await;
    let forged = [
        "X-Clerk-User-Id: user_admin",
        "x-clerk-user-id: user_admin",
        "X_Clerk_User_Id: user_admin",
        "X.Clerk.User.Id: user_admin",
        "X_Clerk-Org.Role: user_admin",
        "X-Clerk-Actor: user_admin",
        "X-Tenant: user_admin",
        "x_tenant: user_admin",
        "X-Upstream-Token: user_admin",
        "Connection: x-clerk-user-id, x-tenant",
    ];
    for path in [
        "/public/x",
        "/optional/x",
        "/app/x",
        "/forward/x",
        "/admin/x",
    ] {
        let status = match path.starts_with("/public") || path.starts_with("/optional") {
            true => status_of(&scene.get(path, &forged)),
            false => scene.signed_in(path, &forged),
        };
        assert_eq!(status, 200, "{path}");
        let last = scene.upstream.last();
        assert!(!last.contains("user_admin"), "{path}: {last}");
    }
    assert_eq!(
        scene.upstream.header("x-clerk-user-id"),
        [scene.sandbox.user_id()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_trailer_does_not_arrive() {
    let scene = Scene::start().await;
    let request = format!(
        "POST /app/x HTTP/1.1\r\nHost: gw.test\r\n{}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\nTrailer: X-Clerk-User-Id\r\n\r\n\
         1\r\na\r\n0\r\nX-Clerk-User-Id: user_admin\r\n\r\n",
        scene.bearer()
    );
    assert_eq!(status_of(&raw(scene.address, request.as_bytes())), 200);
    assert!(!scene.upstream.last().contains("user_admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_route_looks_at_no_credential_and_passes_it_on() {
    let scene = Scene::start().await;
    let garbage = "Authorization: Bearer garbage";
    assert_eq!(status_of(&scene.get("/public/x", &[garbage])), 200);
    assert_eq!(scene.upstream.header("authorization"), ["Bearer garbage"]);
    assert_eq!(scene.sandbox.requests("GetSession"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_route_with_a_token_the_clients_own_authorization_never_survives() {
    let scene = Scene::start().await;
    let answer = scene.get("/optional/x", &["Authorization: Basic YTpi"]);
    assert_eq!(status_of(&answer), 200);
    assert!(scene.upstream.header("authorization").is_empty());
    assert_eq!(scene.signed_in("/optional/x", &[]), 200);
    assert_eq!(scene.upstream.header("authorization").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_goes_on_where_the_route_says_so() {
    let scene = Scene::start().await;
    assert_eq!(
        scene.signed_in("/forward/x", &["Cookie: __session_x=y"]),
        200
    );
    let bearer = format!("Bearer {}", scene.sandbox.session_token());
    assert_eq!(scene.upstream.header("authorization"), [bearer]);
    assert_eq!(scene.upstream.header("cookie"), ["__session_x=y"]);
    assert_eq!(scene.upstream.header("x-tenant").len(), 1);
    assert!(scene.upstream.header("x-clerk-user-id").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_goes_into_the_header_that_the_route_names() {
    let scene = Scene::start().await;
    assert_eq!(scene.signed_in("/admin/x", &["X-Debug: 1"]), 200);
    let token = scene.upstream.header("x-upstream-token");
    assert_eq!(token.len(), 1);
    assert_eq!(token[0].split('.').count(), 3);
    assert!(scene.upstream.header("authorization").is_empty());
    assert!(scene.upstream.header("x-debug").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_on_is_what_is_forwarded() {
    let scene = Scene::start().await;
    assert_eq!(scene.signed_in("/%61dmin/%7euser?a=%2e%2e/", &[]), 200);
    let last = scene.upstream.last();
    assert!(
        last.starts_with("GET /admin/~user?a=%2e%2e/ HTTP/1.1"),
        "{last}"
    );
    assert_eq!(scene.upstream.header("x-upstream-token").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_no_header_can_carry_is_403_and_never_raw() {
    let scene = Scene::start().await;
    let id = scene.sandbox.session_id();
    let token = scene.sandbox.mint_with(id, |_, claims| {
        claims["act"] = serde_json::json!({ "sub": "a\r\nX-Hasura-Role: admin" });
    });
    let answer = scene.get("/owners", &[]);
    assert_eq!(status_of(&answer), 401);
    let bearer = format!("Authorization: Bearer {token}");
    let answer = scene.get("/app/x", &[&bearer]);
    assert_eq!(status_of(&answer), 403, "{answer}");
    assert!(answer.contains("claim-not-representable"), "{answer}");
    assert_eq!(scene.upstream.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_request_comes_from_is_not_for_clients_to_say() {
    let scene = Scene::start().await;
    let lines = [
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Prefix: /admin",
        "Forwarded: for=1.2.3.4",
        "X-Real-IP: 1.2.3.4",
        "X-Original-URL: /admin",
        "X-HTTP-Method-Override: DELETE",
        "Proxy: http://evil.test",
    ];
    assert_eq!(status_of(&scene.get("/public/x", &lines)), 200);
    let last = scene.upstream.last();
    for evil in ["1.2.3.4", "evil.test", "https", "/admin", "DELETE"] {
        assert!(!last.contains(evil), "{evil}: {last}");
    }
    assert_eq!(scene.upstream.header("x-forwarded-for"), ["127.0.0.1"]);
}
