//! Envoy, by `ext_authz` over gRPC.

use std::time::{Duration, Instant};

use super::{Neighbour, Place, envoy::command, neighbour};

const ENVOY: Neighbour = Neighbour {
    files: &["envoy-grpc.yaml"],
    command: |folder| command(folder, "envoy-grpc.yaml"),
    gateway_gone: 503,
};

neighbour!(ENVOY, "needs Envoy from PyPI; tests/run installs it");
neighbour!(
    ENVOY,
    "needs Envoy from PyPI; tests/run installs it",
    attacks,
    a_trailer_tells_the_app_nothing
);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Envoy from PyPI; tests/run installs it"]
async fn the_access_log_names_the_user() {
    let place = Place::start(&ENVOY).await;
    place.expect(200, &place.signed_in("/app/x", &[]));
    let line = format!("GET 200 {}\n", place.sandbox.user_id());
    let deadline = Instant::now() + Duration::from_secs(20);
    while !place.neighbour.stderr().contains(&line) {
        assert!(Instant::now() < deadline, "{}", place.neighbour.stderr());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Envoy from PyPI; tests/run installs it"]
async fn a_session_in_a_second_cookie_line_counts() {
    let place = Place::start(&ENVOY).await;
    let session = format!("Cookie: __session={}", place.token());
    place.expect(200, &place.get("/app/x", &["Cookie: theme=dark", &session]));
    assert_eq!(place.told("cookie"), "theme=dark");
}
