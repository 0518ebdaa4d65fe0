//! Asks a gateway's admin port, so that what is asked takes effect there at once.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use serde_json::Value;

use crate::clerk::id::{InvalidId, SessionId};

/// Above the time that the gateway gives its own call of Clerk.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which gateway is asked.
#[derive(Args, Clone, Debug)]
pub(super) struct AdminArgs {
    /// Ask the gateway with this admin port, which refuses the session at once, instead of Clerk
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The file with the token of that gateway's server.admin_token_file
    #[arg(long, value_name = "FILE", requires = "admin")]
    admin_token_file: Option<PathBuf>,
}

/// Why a gateway could not be asked, or did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AdminError {
    /// The gateway gave no answer.
    #[error("the gateway's admin port gave no answer: {0}")]
    Http(#[from] reqwest::Error),
    /// The ID is none.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The gateway did not do it, or only in part.
    #[error("the gateway answered {status}: {body}")]
    Refused { status: u16, body: Value },
    /// The token's file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Token(PathBuf, #[source] std::io::Error),
}

impl AdminArgs {
    pub(super) fn url(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    /// Has the session revoked, and returns what the gateway says.
    pub(super) async fn revoke(&self, url: &str, session: &str) -> Result<Value, AdminError> {
        let session = SessionId::parse(session)?;
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let url = url.trim_end_matches('/');
        let mut request = client.post(format!("{url}/sessions/{}/revoke", session.as_str()));
        if let Some(path) = &self.admin_token_file {
            let token = fs::read_to_string(path);
            let token = token.map_err(|error| AdminError::Token(path.clone(), error))?;
            request = request.bearer_auth(token.trim());
        }
        let response = request.send().await?;
        let status = response.status();
        let body: Value = response.json().await.unwrap_or_default();
        match status.is_success() {
            true => Ok(body),
            false => Err(AdminError::Refused {
                status: status.as_u16(),
                body,
            }),
        }
    }
}
