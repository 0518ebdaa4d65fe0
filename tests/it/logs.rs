//! What the library logs where something is set up wrongly or withdrawn: loudly, and once.

use std::{
    io,
    sync::{Arc, Mutex},
};

use clerk_gateway::{RequireLayer, SessionLayer, verify::Operation};
use http::StatusCode;
use tower::{Layer, ServiceExt, service_fn};
use tracing::subscriber::DefaultGuard;

use crate::support::{Stage, bearer, passed, plain, show, verdict};

/// The log of this thread, while the guard lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_missing_layer_is_logged_with_the_fix() {
    let (log, _guard) = Log::capture();
    let guarded = RequireLayer::role("org:admin").layer(service_fn(show));
    let response = guarded.oneshot(plain()).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = log.text();
    let fix = "SessionLayer::required(clerk)";
    assert!(text.contains("ERROR") && text.contains(fix), "{text}");
}

#[tokio::test]
async fn the_withdrawn_verify_operation_is_warned_of_once() {
    let (log, _guard) = Log::capture();
    let stage = Stage::start().await;
    stage.sandbox.faults().verify_is_gone(true);
    let clerk = stage.builder().operation(Operation::Verify).build();
    let layer = SessionLayer::required(clerk.unwrap());
    for _ in 0..3 {
        assert_eq!(verdict(&layer, bearer(&stage.token())).await, passed());
        stage.pass(20);
    }
    let text = log.text();
    assert_eq!(text.matches("no longer offers").count(), 1, "{text}");
}

#[tokio::test]
async fn no_log_shows_a_token_or_the_secret_key() {
    let (log, _guard) = Log::capture();
    let stage = Stage::start().await;
    let layer = SessionLayer::required(stage.clerk());
    let token = stage.token();
    let forged = format!("{token}x");
    verdict(&layer, bearer(&token)).await;
    verdict(&layer, bearer(&forged)).await;
    let text = log.text();
    assert!(text.contains("request refused"), "{text}");
    for secret in [token.as_str(), stage.sandbox.secret_key()] {
        assert!(!text.contains(secret), "{text}");
    }
}
