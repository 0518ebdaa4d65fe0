//! A crate elsewhere on disk that uses the library as its README says.

use std::{fs, path::Path, process::Command};

const WITH_CLIENT: &str = r#"
use axum::{Extension, Router, routing::get};
use clerk_gateway::{Clerk, Session, SessionLayer, TemplateToken};

async fn me(session: Session) -> String {
    session.user_id().to_owned()
}

async fn graphql(Extension(token): Extension<TemplateToken>) {
    let bearer = token.as_str();
    let _ = bearer;
}

fn app() -> Result<Router, Box<dyn std::error::Error>> {
    let clerk = Clerk::from_env()?;
    let graphql_layer = SessionLayer::builder(clerk.clone()).template_token("hasura").build()?;
    let app = Router::new()
        .route("/graphql", get(graphql).layer(graphql_layer))
        .route("/me", get(me))
        .layer(SessionLayer::required(clerk.clone()));
    Ok(app)
}

fn main() {
    let _ = app();
}
"#;

const WITHOUT_CLIENT: &str = r#"
use axum::{Router, routing::get};
use clerk_gateway::{Clerk, Session, SessionLayer};

async fn me(session: Option<Session>) -> String {
    session.map_or_else(String::new, |session| session.user_id().to_owned())
}

fn main() {
    let clerk = Clerk::builder()
        .issuer("https://clerk.example.com")
        .jwt_key("not a key")
        .build();
    assert!(clerk.is_err());
    if let Ok(clerk) = clerk {
        let app: Router = Router::new()
            .route("/me", get(me))
            .layer(SessionLayer::optional(clerk));
        let _ = app;
    }
}
"#;

#[test]
#[ignore = "compiles the library twice more; tests/run runs it"]
fn a_crate_elsewhere_on_disk_compiles_against_the_library() {
    for (name, features, code) in [
        ("with-client", r#""axum", "client""#, WITH_CLIENT),
        ("without-client", r#""axum""#, WITHOUT_CLIENT),
    ] {
        check(name, features, code);
    }
}

fn check(name: &str, features: &str, code: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::temp_dir().join(format!("clerk-gateway-{name}-{}", std::process::id()));
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = format!(
        r#"[package]
name = "{name}"
version = "0.0.0"
edition = "2024"

[dependencies]
axum = {{ version = "0.8", default-features = false }}
clerk-gateway = {{ path = "{}", default-features = false, features = [{features}] }}

[workspace]
"#,
        root.display()
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/main.rs"), code).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["check", "--quiet"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", root.join("target/library-user"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}:\n{stderr}");
    fs::remove_dir_all(folder).unwrap();
}
