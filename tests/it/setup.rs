//! What cannot be set up is refused at once, with a message that says what to do.

use clerk_gateway::{Clerk, ClerkBuilder, SessionLayer, SetupError, verify::VerifyMode};

use crate::support::Stage;

const PUBLISHABLE: &str = "pk_test_Y2xlcmsuY2xlcmsuZGV2JA";

fn named() -> ClerkBuilder {
    Clerk::builder().publishable_key(PUBLISHABLE)
}

fn keyed() -> ClerkBuilder {
    named().secret_key("sk_test_abcdefgh")
}

#[test]
fn a_handle_that_cannot_work_is_refused_with_the_way_out() {
    let no_parties: [&str; 0] = [];
    for (name, builder, message) in [
        ("nothing", Clerk::builder(), "CLERK_PUBLISHABLE_KEY"),
        (
            "no keys",
            Clerk::builder().issuer("https://clerk.example.com"),
            "CLERK_JWT_KEY",
        ),
        (
            "no secret key",
            named().verify(VerifyMode::SessionsApi),
            "CLERK_SECRET_KEY",
        ),
        (
            "publishable key",
            Clerk::builder().publishable_key("pk_x"),
            "pk_test_",
        ),
        ("issuer", named().issuer("http://x/"), "https://"),
        ("key", named().jwt_key("garbage"), "not a PEM"),
        ("jwks", named().jwks("[]"), "not a JWKS"),
        ("secret key", named().secret_key("abc"), "sk_test_"),
        (
            "plain http",
            keyed().api_url("http://api.example.com"),
            "use https",
        ),
        (
            "live key",
            named()
                .secret_key("sk_live_abcdefgh")
                .api_url("http://127.0.0.1:1"),
            "sk_live_",
        ),
        ("api url", keyed().api_url("nonsense"), "https://host"),
        (
            "jwks url",
            keyed().jwks_url("http://keys.example.com"),
            "use https",
        ),
        (
            "no parties",
            keyed().authorized_parties(no_parties),
            "at least one",
        ),
        (
            "a party with a path",
            keyed().authorized_parties(["https://app.example.com/"]),
            "origin",
        ),
        ("audience", keyed().audience([""]), "audience"),
        (
            "skew",
            keyed().clock_skew(std::time::Duration::from_secs(301)),
            "5 minutes",
        ),
        (
            "lifetime",
            keyed().max_token_lifetime(std::time::Duration::ZERO),
            "more than zero",
        ),
    ] {
        let error = builder.build().map(drop).unwrap_err().to_string();
        assert!(error.contains(message), "{name}: {error}");
    }
}

#[test]
fn no_message_shows_a_secret_key() {
    let secret = "sk_live_verysecret";
    let builder = named().secret_key(secret).api_url("http://127.0.0.1:1");
    let shown = format!("{builder:?}");
    let error = builder.build().unwrap_err();
    for text in [shown, error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("verysecret"), "{text}");
    }
}

#[tokio::test]
async fn a_layer_that_cannot_work_says_which_setting_is_wrong() {
    let stage = Stage::start().await;
    let builder = || SessionLayer::builder(stage.clerk());
    let error = builder().forward_template_token().build().unwrap_err();
    assert!(matches!(error, SetupError::NoTemplate), "{error}");
    let callers = builder().session_id_callers(["localhost"]);
    let error = callers.build().unwrap_err();
    assert!(
        matches!(&error, SetupError::SessionIdCaller(text) if text == "localhost"),
        "{error}"
    );
    for name in ["authorization", "cookie", "host"] {
        let error = builder().session_id_header(name).build().unwrap_err();
        assert!(matches!(error, SetupError::Sources(_)), "{name}: {error}");
    }
}
