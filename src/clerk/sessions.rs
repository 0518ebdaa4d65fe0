//! The Sessions API: an operation a method.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use http::{HeaderValue, Method};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    Client, Error, InvalidArgument, RefreshRequest, SessionQuery,
    budget::Priority,
    id::{OrganizationId, SessionId, TemplateName, UserId},
    model::{MintedToken, Refreshed, SessionObject, SessionPage},
    transport::Call,
};
use crate::{
    revocation::{Revocation, Revocations, SessionEnd},
    time::Clock,
};

/// The last API version that is sure to have `verify`.
const VERIFY_VERSION: HeaderValue = HeaderValue::from_static("2024-10-01");

/// The operations on sessions.
///
/// Each can fail as [`Error`] says; its own refusals are named with it. IDs and names are checked
/// first: with a malformed one nothing is sent, and the error is [`Error::InvalidArgument`].
///
/// <https://clerk.com/docs/reference/backend-api/tag/Sessions>
#[derive(Clone, Debug)]
pub struct Sessions {
    /// `None`: there is no secret key, and every operation says so.
    client: Option<Client>,
    recorder: Option<(Arc<Revocations>, Clock)>,
    priority: Priority,
}

impl Sessions {
    pub(crate) fn new(client: Option<Client>) -> Self {
        Self {
            client,
            recorder: None,
            priority: Priority::Request,
        }
    }

    /// Makes its calls as urgent as said.
    pub(crate) fn at(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// Records what is revoked through it, so that caches cannot outlive it.
    pub(crate) fn recording(self, revocations: Arc<Revocations>, clock: Clock) -> Self {
        let recorder = Some((revocations, clock));
        Self { recorder, ..self }
    }

    /// Lists one page of sessions, newest first: `GET /sessions`.
    ///
    /// It is no full history: Clerk drops old inactive sessions in time.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`] for a limit outside 1 to 500. From Clerk: 400, as where neither a client
    /// nor a user is given; 401; 422.
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/Sessions#operation/GetSessionList>
    pub async fn list(&self, query: &SessionQuery) -> Result<SessionPage, Error> {
        let mut call = self
            .client()?
            .call("GetSessionList", Method::GET, "/sessions");
        query.write(&mut call.url)?;
        self.send(call).await
    }

    /// Streams the sessions of all pages, newest first, a `GET /sessions` a page.
    ///
    /// Pages hold 500 unless the query says less. A session that begins or ends meanwhile shifts the
    /// pages: one may come twice or be left out.
    ///
    /// # Errors
    ///
    /// Those of [`Sessions::list`], as the stream's last item.
    pub fn list_all(
        &self,
        query: SessionQuery,
    ) -> impl Stream<Item = Result<SessionObject, Error>> + Send + use<> {
        let sessions = self.clone();
        stream::try_unfold(Some(query.for_all_pages()), move |query| {
            let sessions = sessions.clone();
            async move {
                let Some(query) = query else {
                    return Ok::<_, Error>(None);
                };
                let page = sessions.list(&query).await?;
                let next = next_page(query, &page);
                let items = page.data.into_iter().map(Ok);
                Ok(Some((stream::iter(items), next)))
            }
        })
        .try_flatten()
    }

    /// Retrieves a session: `GET /sessions/{session_id}`.
    ///
    /// # Errors
    ///
    /// From Clerk: 400; 401; 404 ([`Error::is_not_found`]).
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/Sessions#operation/GetSession>
    pub async fn get(&self, session_id: &str) -> Result<SessionObject, Error> {
        let id = SessionId::parse(session_id)?;
        let path = format!("/sessions/{}", id.as_str());
        self.send_for(id, self.client()?.call("GetSession", Method::GET, &path))
            .await
    }

    /// Creates an active session, for tests; not on production instances: `POST /sessions`.
    ///
    /// # Errors
    ///
    /// From Clerk: 400, as on a production instance; 401; 404 for an unknown user; 422.
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/Sessions#operation/createSession>
    pub async fn create(
        &self,
        user_id: &str,
        active_organization_id: Option<&str>,
    ) -> Result<SessionObject, Error> {
        let user = UserId::parse(user_id)?;
        let organization = active_organization_id
            .map(OrganizationId::parse)
            .transpose()?;
        let body = match organization {
            None => json!({ "user_id": user.as_str() }),
            Some(organization) => json!({
                "user_id": user.as_str(),
                "active_organization_id": organization.as_str(),
            }),
        };
        self.send(self.post("createSession", "/sessions", Some(json(&body)))?)
            .await
    }

    /// Verifies a session, and its token where one is given: `POST /sessions/{session_id}/verify`.
    ///
    /// Clerk has withdrawn this operation; it is sent with `Clerk-API-Version: 2024-10-01`, the last
    /// that has it. [`Sessions::get`] and a local check of the token do the same.
    ///
    /// # Errors
    ///
    /// [`Error::OperationDeprecated`] where Clerk does not offer it any more (410). From Clerk: 400,
    /// as for a token that is not this session's; 401; 404.
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/Sessions#operation/VerifySession>
    pub async fn verify(
        &self,
        session_id: &str,
        token: Option<&str>,
    ) -> Result<SessionObject, Error> {
        let id = SessionId::parse(session_id)?;
        let path = format!("/sessions/{}/verify", id.as_str());
        let call = Call {
            api_version: Some(VERIFY_VERSION),
            ..self.post(
                "VerifySession",
                &path,
                token.map(|token| json(&json!({ "token": token }))),
            )?
        };
        self.send_for(id, call).await
    }

    /// Revokes a session: `POST /sessions/{session_id}/revoke`.
    ///
    /// Tokens minted before live on to their own end.
    ///
    /// # Errors
    ///
    /// From Clerk: 400; 401; 404.
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/Sessions#operation/RevokeSession>
    pub async fn revoke(&self, session_id: &str) -> Result<SessionObject, Error> {
        let id = SessionId::parse(session_id)?;
        let path = format!("/sessions/{}/revoke", id.as_str());
        let session = self
            .send_for(id, self.post("RevokeSession", &path, None)?)
            .await?;
        if let Some((revocations, clock)) = &self.recorder {
            let revocation = Revocation::Session {
                id: session_id.to_owned(),
                end: SessionEnd::Revoked,
            };
            revocations.record(revocation, clock.now());
        }
        Ok(session)
    }

    /// Renews an expired session token: `POST /sessions/{session_id}/refresh`.
    ///
    /// # Errors
    ///
    /// From Clerk: 400; 401 where these tokens give no new one, which is no word about our key.
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/Sessions#operation/RefreshSession>
    pub async fn refresh(
        &self,
        session_id: &str,
        request: &RefreshRequest,
    ) -> Result<Refreshed, Error> {
        let id = SessionId::parse(session_id)?;
        let path = format!("/sessions/{}/refresh", id.as_str());
        let mut call = self.post("RefreshSession", &path, Some(request.body()))?;
        if request.suffixed_cookies {
            call.url.set_query(Some("suffixed_cookies=true"));
        }
        self.send(call).await
    }

    /// Mints a session token: `POST /sessions/{session_id}/tokens`.
    ///
    /// `lifetime` is whole seconds, 30 to 315 360 000; absent: the instance's own.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`] for a lifetime out of range. From Clerk: 401; 404.
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/Sessions#operation/CreateSessionToken>
    pub async fn create_token(
        &self,
        session_id: &str,
        lifetime: Option<Duration>,
    ) -> Result<MintedToken, Error> {
        let id = SessionId::parse(session_id)?;
        let path = format!("/sessions/{}/tokens", id.as_str());
        self.send(self.post("CreateSessionToken", &path, expires_in(lifetime)?)?)
            .await
    }

    /// Mints a template token: `POST /sessions/{session_id}/tokens/{template_name}`.
    ///
    /// `lifetime` is whole seconds, 30 to 315 360 000; absent: the template's own.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`] for a lifetime out of range. From Clerk: 401; 404 for the session or the
    /// template ([`Error::is_template_not_found`]).
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/Sessions#operation/CreateSessionTokenFromTemplate>
    pub async fn create_token_from_template(
        &self,
        session_id: &str,
        template_name: &str,
        lifetime: Option<Duration>,
    ) -> Result<MintedToken, Error> {
        let id = SessionId::parse(session_id)?;
        let template = TemplateName::parse(template_name)?;
        let path = format!("/sessions/{}/tokens/{}", id.as_str(), template.as_str());
        self.send(self.post(
            "CreateSessionTokenFromTemplate",
            &path,
            expires_in(lifetime)?,
        )?)
        .await
    }

    fn client(&self) -> Result<&Client, Error> {
        self.client.as_ref().ok_or(Error::NoSecretKey)
    }

    fn post(
        &self,
        operation: &'static str,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Call, Error> {
        Ok(Call {
            body,
            ..self.client()?.call(operation, Method::POST, path)
        })
    }

    /// Makes a call whose answer is the session `id`, and nothing else.
    async fn send_for(&self, id: SessionId<'_>, call: Call) -> Result<SessionObject, Error> {
        let session: SessionObject = self.send(call).await?;
        if session.id != id.as_str() {
            return Err(Error::AnotherSession);
        }
        Ok(session)
    }

    async fn send<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let call = Call {
            priority: self.priority,
            ..call
        };
        let body = self.client()?.send(call).await?;
        serde_json::from_slice(&body).map_err(|error| Error::not_understood(&error))
    }
}

/// Writes JSON that cannot fail to be written: maps with text keys, text and numbers.
pub(super) fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn expires_in(lifetime: Option<Duration>) -> Result<Option<Bytes>, InvalidArgument> {
    let Some(lifetime) = lifetime else {
        return Ok(None);
    };
    let seconds = lifetime.as_secs();
    if lifetime.subsec_nanos() != 0 || !(30..=315_360_000).contains(&seconds) {
        return Err(InvalidArgument::Lifetime);
    }
    Ok(Some(json(&json!({ "expires_in_seconds": seconds }))))
}

fn next_page(mut query: SessionQuery, page: &SessionPage) -> Option<SessionQuery> {
    let count = u64::try_from(page.data.len()).unwrap_or(u64::MAX);
    let page_len = query.page_len();
    let offset = query.advance(count);
    let more = match page.total_count {
        Some(total) => offset < total,
        None => count >= page_len,
    };
    (more && count > 0).then_some(query)
}
