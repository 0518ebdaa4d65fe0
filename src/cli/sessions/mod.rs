//! `clerk-gateway sessions`: the Sessions API from a shell.

mod admin;
mod print;

use std::{
    io::{self, Write},
    time::Duration,
};

use clap::{Args, Subcommand};
use futures_util::TryStreamExt;
use secrecy::{ExposeSecret, SecretString};

use self::{
    admin::{AdminArgs, AdminError},
    print::Printer,
};
use crate::{
    clerk::{
        self, Client, SessionQuery,
        model::{MintedToken, SessionPage},
    },
    session::SessionStatus,
};

/// The arguments of `sessions`.
#[derive(Args, Debug)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    operation: Operation,
    /// Print JSON, as the API gives it
    #[arg(long, global = true)]
    json: bool,
}

/// Makes the client that the environment names.
pub(super) fn client_from_env() -> Result<Client, String> {
    let key = std::env::var("CLERK_SECRET_KEY").unwrap_or_default();
    if key.is_empty() {
        return Err("CLERK_SECRET_KEY is not set: it is the instance's secret key".to_owned());
    }
    let mut builder = Client::builder(key.into());
    if let Ok(url) = std::env::var("CLERK_API_URL")
        && !url.is_empty()
    {
        builder = builder.api_url(&url);
    }
    builder.build().map_err(|error| error.to_string())
}

#[derive(Debug, Subcommand)]
enum Operation {
    /// List a user's or a client's sessions, newest first
    List(ListArgs),
    /// Show a session
    Get {
        /// The session's ID, sess_…
        session: String,
    },
    /// Create a session, for tests; not on production instances
    Create {
        /// The user's ID, user_…
        user: String,
        /// The organization to make active, org_…
        #[arg(long)]
        organization: Option<String>,
    },
    /// Verify a session, by an operation that Clerk has withdrawn; `get` is its successor
    Verify {
        /// The session's ID, sess_…
        session: String,
        /// A token of that session, to be verified too
        #[arg(long)]
        token: Option<SecretString>,
    },
    /// Revoke a session
    Revoke {
        /// The session's ID, sess_…
        session: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Mint a token and print it alone
    Token(TokenArgs),
}

#[derive(Args, Debug)]
struct ListArgs {
    /// The user's ID, user_…
    #[arg(long)]
    user: Option<String>,
    /// The client's ID, client_…
    #[arg(long)]
    client: Option<String>,
    /// One status: abandoned, active, ended, expired, removed, replaced, revoked
    #[arg(long)]
    status: Option<String>,
    /// How many on the page, 1 to 500
    #[arg(long)]
    limit: Option<u16>,
    /// How many to leave out at the beginning
    #[arg(long)]
    offset: Option<u64>,
    /// Every page; --limit is then the size of one
    #[arg(long)]
    all: bool,
}

#[derive(Args, Debug)]
struct TokenArgs {
    /// The session's ID, sess_…
    session: String,
    /// The JWT template's name; without it, a session token
    #[arg(long)]
    template: Option<String>,
    /// How long the token lives, 30 to 315360000
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
}

/// Why `sessions` failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionsError {
    /// A gateway, or the way to it.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Clerk, or the way to it.
    #[error(transparent)]
    Clerk(#[from] clerk::Error),
    /// The output could not be written.
    #[error("the output could not be written")]
    Output(#[from] io::Error),
}

impl SessionsArgs {
    /// Tells whether a gateway is asked, and not Clerk.
    pub(super) fn is_for_a_gateway(&self) -> bool {
        matches!(&self.operation, Operation::Revoke { admin, .. } if admin.url().is_some())
    }
}

/// Runs what a gateway is asked, printing its answer to `out`; it does nothing where none is.
pub(super) async fn run_on_gateway(
    args: SessionsArgs,
    out: &mut impl Write,
) -> Result<(), SessionsError> {
    if let Operation::Revoke { session, admin } = &args.operation
        && let Some(url) = admin.url()
    {
        let answer = admin.revoke(url, session).await?;
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

/// Runs `sessions`, printing to `out`.
pub(crate) async fn run(
    args: SessionsArgs,
    client: Client,
    out: &mut impl Write,
) -> Result<(), SessionsError> {
    let sessions = client.sessions();
    let mut printer = Printer {
        out,
        json: args.json,
    };
    match args.operation {
        Operation::List(list) => printer.page(&list.run(&client).await?)?,
        Operation::Get { session } => printer.session(sessions.get(&session).await?)?,
        Operation::Create { user, organization } => {
            printer.session(sessions.create(&user, organization.as_deref()).await?)?;
        }
        Operation::Verify { session, token } => {
            let token = token.as_ref().map(ExposeSecret::expose_secret);
            printer.session(sessions.verify(&session, token).await?)?;
        }
        Operation::Revoke { session, .. } => printer.session(sessions.revoke(&session).await?)?,
        Operation::Token(token) => printer.token(&token.run(&client).await?)?,
    }
    Ok(())
}

impl ListArgs {
    async fn run(self, client: &Client) -> Result<SessionPage, clerk::Error> {
        let all = self.all;
        let query = self.query();
        if !all {
            return client.sessions().list(&query).await;
        }
        let data: Vec<_> = client.sessions().list_all(query).try_collect().await?;
        Ok(SessionPage {
            total_count: u64::try_from(data.len()).ok(),
            data,
        })
    }

    fn query(self) -> SessionQuery {
        let mut query = SessionQuery::new();
        if let Some(user) = self.user {
            query = query.user_id(user);
        }
        if let Some(client) = self.client {
            query = query.client_id(client);
        }
        if let Some(status) = self.status {
            query = query.status(SessionStatus::from(status));
        }
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        if let Some(offset) = self.offset {
            query = query.offset(offset);
        }
        query.paginated(true)
    }
}

impl TokenArgs {
    async fn run(self, client: &Client) -> Result<MintedToken, clerk::Error> {
        let sessions = client.sessions();
        let lifetime = self.expires_in.map(Duration::from_secs);
        match &self.template {
            None => sessions.create_token(&self.session, lifetime).await,
            Some(template) => {
                sessions
                    .create_token_from_template(&self.session, template, lifetime)
                    .await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};
    use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: SessionsArgs,
    }

    fn session(id: &str) -> Value {
        json!({
            "object": "session", "id": id, "user_id": "user_1", "client_id": "client_1",
            "actor": null, "status": "active", "last_active_organization_id": null,
            "last_active_at": 1_716_883_200_000_i64, "latest_activity": null,
            "expire_at": 1_716_969_600_000_i64, "abandon_at": 1_719_475_200_000_i64,
            "updated_at": 1_716_883_200_000_i64, "created_at": 1_716_883_200_000_i64,
            "tasks": null, "new_field": [1],
        })
    }

    async fn answers(method: &str, path: &str, body: Value) -> MockServer {
        let server = MockServer::start().await;
        Mock::given(matchers::method(method))
            .and(matchers::path(path))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&server)
            .await;
        server
    }

    async fn run_on(server: &MockServer, line: &str) -> Result<String, SessionsError> {
        let words = ["sessions"].into_iter().chain(line.split(' '));
        let args = Command::try_parse_from(words).unwrap().args;
        let client = Client::builder("sk_test_key".into())
            .api_url(&server.uri())
            .build()
            .unwrap();
        let mut out = Vec::new();
        run(args, client, &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn list_prints_a_table() {
        let page = json!({"data": [session("sess_1"), session("sess_22")], "total_count": 2});
        let server = answers("GET", "/v1/sessions", page).await;
        let out = run_on(&server, "list --user user_1").await.unwrap();
        assert_eq!(
            out,
            "SESSION  STATUS  USER    CLIENT    ORGANIZATION  LAST ACTIVE           EXPIRES\n\
             sess_1   active  user_1  client_1  -             2024-05-28T08:00:00Z  2024-05-29T08:00:00Z\n\
             sess_22  active  user_1  client_1  -             2024-05-28T08:00:00Z  2024-05-29T08:00:00Z\n"
        );
    }

    #[tokio::test]
    async fn every_option_of_list_reaches_the_query() {
        let server = answers("GET", "/v1/sessions", json!([])).await;
        let line = "list --user user_1 --client client_1 --status ended --limit 5 --offset 10";
        run_on(&server, line).await.unwrap();
        let requests = server.received_requests().await.unwrap();
        assert_eq!(
            requests[0].url.query(),
            Some("client_id=client_1&user_id=user_1&status=ended&limit=5&offset=10&paginated=true")
        );
    }

    #[tokio::test]
    async fn list_all_prints_every_page() {
        let server = MockServer::start().await;
        for (offset, id) in [("1", "sess_2"), ("0", "sess_1")] {
            let page = json!({"data": [session(id)], "total_count": 2});
            let given = match offset {
                "0" => Mock::given(matchers::query_param_is_missing("offset")),
                _ => Mock::given(matchers::query_param("offset", offset)),
            };
            given
                .respond_with(ResponseTemplate::new(200).set_body_json(page))
                .mount(&server)
                .await;
        }
        let out = run_on(&server, "list --all --limit 1 --json")
            .await
            .unwrap();
        let page: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(page["total_count"], 2);
        assert_eq!(page["data"][1]["id"], "sess_2");
    }

    #[tokio::test]
    async fn json_is_the_sessions_own() {
        let server = answers("GET", "/v1/sessions/sess_1", session("sess_1")).await;
        let out = run_on(&server, "get sess_1 --json").await.unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&out).unwrap(),
            session("sess_1")
        );
    }

    #[tokio::test]
    async fn the_other_operations_print_their_session() {
        for (line, path) in [
            ("create user_1 --organization org_1", "/v1/sessions"),
            ("verify sess_1 --token t", "/v1/sessions/sess_1/verify"),
            ("revoke sess_1", "/v1/sessions/sess_1/revoke"),
        ] {
            let server = answers("POST", path, session("sess_1")).await;
            let out = run_on(&server, line).await.unwrap();
            assert!(out.contains("\nsess_1   active"), "{line}: {out}");
        }
    }

    #[tokio::test]
    async fn token_prints_the_jwt_alone() {
        for (line, path) in [
            ("token sess_1", "/v1/sessions/sess_1/tokens"),
            (
                "token sess_1 --template hasura --expires-in 60",
                "/v1/sessions/sess_1/tokens/hasura",
            ),
        ] {
            let server = answers("POST", path, json!({"object": "token", "jwt": "a.b.c"})).await;
            assert_eq!(run_on(&server, line).await.unwrap(), "a.b.c\n");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_clerks_words() {
        let server = MockServer::start().await;
        let body = json!({"errors": [{"code": "resource_not_found", "message": "No session"}]});
        Mock::given(matchers::any())
            .respond_with(ResponseTemplate::new(404).set_body_json(body))
            .mount(&server)
            .await;
        let error = run_on(&server, "get sess_1").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "clerk answered 404 resource_not_found: No session"
        );
    }

    #[tokio::test]
    async fn no_answer_can_command_the_terminal() {
        let mut hostile = session("sess_1");
        hostile["status"] = json!("\u{1b}[2Jactive\n");
        let server = answers("GET", "/v1/sessions/sess_1", hostile).await;
        let out = run_on(&server, "get sess_1").await.unwrap();
        assert!(
            !out.contains('\u{1b}') && out.lines().count() == 2,
            "{out:?}"
        );
    }
}
