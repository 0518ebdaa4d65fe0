//! The verifier of one profile: the token first, then the session.

use std::sync::Arc;

use super::{
    TokenError, VerifyError,
    key_source::KeySource,
    loaded_keys::LoadedKeys,
    session_token::{self, TokenProfile},
    token_cache::{ProvenToken, TokenCache, TokenQuery},
};
#[cfg(feature = "client")]
use super::{
    jwks::KeysError,
    session_facts::{NotGood, SessionAnswer},
    session_status::{SessionStatuses, Voucher},
};
#[cfg(feature = "client")]
use crate::{
    cache::Failure,
    clerk::{Error, budget::Priority, outage::Outage},
    revocation::Revocations,
    time::Clock,
};
use crate::{
    credential::{ClientUat, Credential, PresentedToken},
    session::Session,
    telemetry::metrics::{self, CacheResult},
    time::Timestamp,
};

/// Verifies credentials for one profile of one instance.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) profile: TokenProfile,
    /// The profile's number in the token cache's keys.
    pub(crate) number: usize,
    pub(crate) keys: Arc<KeySource>,
    pub(crate) tokens: Arc<TokenCache>,
    #[cfg(feature = "client")]
    pub(crate) revocations: Arc<Revocations>,
    /// `None`: networkless.
    #[cfg(feature = "client")]
    pub(crate) statuses: Option<Arc<SessionStatuses>>,
    #[cfg(feature = "client")]
    pub(crate) on_unavailable: OnUnavailable,
    #[cfg(feature = "client")]
    pub(crate) clock: Clock,
}

/// What happens to a valid token where Clerk cannot be asked about its session.
#[cfg(feature = "client")]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(
    feature = "gateway",
    derive(schemars::JsonSchema, serde::Deserialize, serde::Serialize)
)]
#[cfg_attr(feature = "gateway", serde(rename_all = "kebab-case"))]
pub enum OnUnavailable {
    /// It is refused: 503.
    #[default]
    Deny,
    /// The token alone decides, as in networkless verification.
    Networkless,
}

type Verified = Result<Session, VerifyError>;

impl Verifier {
    /// Tells whether tokens alone decide.
    pub(crate) fn is_networkless(&self) -> bool {
        #[cfg(feature = "client")]
        return self.statuses.is_none();
        #[cfg(not(feature = "client"))]
        return true;
    }

    /// Verifies with what is at hand; `None` where something must be awaited.
    pub(crate) fn recall(&self, credential: &Credential<'_>, now: Timestamp) -> Option<Verified> {
        let verified = match credential {
            Credential::SessionToken { token, client_uat } => {
                match self.prove_at_hand(*token, now)? {
                    Ok(proven) => match self.judge(&proven.session, *client_uat, now) {
                        Ok(()) => self.confirm_at_hand(&proven, now)?,
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(error),
                }
            }
            Credential::SessionId { id, .. } => self.recall_bare(id, now)?,
        };
        Some(verified)
    }

    /// Judges a proven token by what is known here of its session.
    fn judge(
        &self,
        session: &Session,
        client_uat: Option<ClientUat>,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        judge_client_uat(session, client_uat)?;
        self.judge_revoked(session, now)
    }

    fn prove_at_hand(
        &self,
        token: PresentedToken<'_>,
        now: Timestamp,
    ) -> Option<Result<Arc<ProvenToken>, VerifyError>> {
        let keys = self.keys.at_hand(now)?;
        match self.prove_with(&keys, token, now) {
            Err(VerifyError::Token(TokenError::UnknownKey)) => {
                match self.keys.may_lack_a_kid(now) {
                    true => None,
                    false => Some(self.prove_with_newer(&keys, token, now)),
                }
            }
            proven => Some(proven),
        }
    }

    /// Proves with keys that have come since `keys` were looked at: the fetch that brought them is over, so that
    /// nothing else says that there are others.
    fn prove_with_newer(
        &self,
        keys: &LoadedKeys,
        token: PresentedToken<'_>,
        now: Timestamp,
    ) -> Result<Arc<ProvenToken>, VerifyError> {
        let newer = self.keys.at_hand(now);
        match newer.filter(|newer| newer.generation != keys.generation) {
            Some(newer) => self.prove_with(&newer, token, now),
            None => Err(TokenError::UnknownKey.into()),
        }
    }

    fn prove_with(
        &self,
        keys: &LoadedKeys,
        token: PresentedToken<'_>,
        now: Timestamp,
    ) -> Result<Arc<ProvenToken>, VerifyError> {
        // Only what was read before is kept, so that what is found needs no reading.
        let query = TokenQuery::new(self.number, token.bytes(), keys.generation);
        if let Some(proven) = self.tokens.get(&query)
            && !self.profile.is_expired(&proven.session, now)
        {
            metrics::token_cache(CacheResult::Hit);
            return Ok(proven);
        }
        let token = token.text()?;
        metrics::token_cache(CacheResult::Miss);
        let session = session_token::verify(token, &keys.set, &self.profile, now)?;
        Ok(self.tokens.put(&query, session, now))
    }

    #[cfg(feature = "client")]
    fn judge_revoked(&self, session: &Session, now: Timestamp) -> Result<(), VerifyError> {
        Ok(self.revocations.judge(&session.subject(), now)?)
    }
}

// Without a client nothing here can learn of a revocation, and nothing needs to be asked.
#[cfg(not(feature = "client"))]
impl Verifier {
    fn judge_revoked(&self, _: &Session, _: Timestamp) -> Result<(), VerifyError> {
        Ok(())
    }

    fn confirm_at_hand(&self, proven: &ProvenToken, _: Timestamp) -> Option<Verified> {
        Some(Ok(proven.session.clone()))
    }

    fn recall_bare(&self, _: &str, _: Timestamp) -> Option<Verified> {
        Some(Err(VerifyError::SessionIdNetworkless))
    }
}

#[cfg(feature = "client")]
impl Verifier {
    /// Verifies, awaiting what is not at hand.
    pub(crate) async fn verify(&self, credential: &Credential<'_>, now: Timestamp) -> Verified {
        let (token, client_uat) = match credential {
            Credential::SessionToken { token, client_uat } => (*token, *client_uat),
            Credential::SessionId { id, .. } => return self.verify_bare(id, now).await,
        };
        let proven = self.prove(token, now).await?;
        self.judge(&proven.session, client_uat, now)?;
        let session = self.confirm(&proven, token, now).await?;
        // What was awaited took time: whatever was revoked or ran out meanwhile is refused.
        let now = self.clock.now();
        self.judge_revoked(&session, now)?;
        match self.profile.is_expired(&session, now) {
            true => Err(TokenError::Expired.into()),
            false => Ok(session),
        }
    }

    /// Asks whether a session that was proven here is still good; cached answers count.
    #[cfg(feature = "gateway")]
    pub(crate) async fn check(
        &self,
        session: &Session,
        now: Timestamp,
        priority: Priority,
    ) -> Result<(), VerifyError> {
        self.judge_revoked(session, now)?;
        let Some(statuses) = &self.statuses else {
            return Ok(());
        };
        let voucher = self.voucher(session);
        let answer = statuses.get(session.id(), None, now, voucher, priority);
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(failure) => return self.excuse(outage(&failure)),
        };
        let facts = answer.facts(self.profile.accepts_pending(), now)?;
        if facts.user_id != session.user_id() {
            return Err(NotGood::UserMismatch.into());
        }
        self.judge_revoked(session, self.clock.now())
    }

    /// Tells whether the token alone may decide while Clerk cannot be asked.
    fn excuse(&self, outage: Outage) -> Result<(), VerifyError> {
        match outage {
            // Our own key being refused is a fault of ours, not an outage to go on through.
            Outage::RateLimited(_) | Outage::Unavailable
                if self.on_unavailable == OnUnavailable::Networkless =>
            {
                Ok(())
            }
            outage => Err(VerifyError::Outage(outage)),
        }
    }

    async fn prove(
        &self,
        token: PresentedToken<'_>,
        now: Timestamp,
    ) -> Result<Arc<ProvenToken>, VerifyError> {
        // What cannot be a token is bad, whether or not keys can be had.
        token.text()?;
        let keys = self.keys.load(now).await.map_err(keys_outage)?;
        match self.prove_with(&keys, token, now) {
            Err(VerifyError::Token(TokenError::UnknownKey)) => {}
            proven => return proven,
        }
        match self.keys.load_for_unknown_kid(now).await {
            None => self.prove_with_newer(&keys, token, now),
            Some(newer) => {
                let newer = newer.map_err(keys_outage)?;
                self.prove_with(&newer, token, now)
            }
        }
    }

    fn confirm_at_hand(&self, proven: &ProvenToken, now: Timestamp) -> Option<Verified> {
        let Some(statuses) = &self.statuses else {
            return Some(Ok(proven.session.clone()));
        };
        let voucher = self.voucher(&proven.session);
        let answer = statuses.recall(proven.session.id(), now, voucher)?;
        Some(self.compose(proven, &answer, now))
    }

    async fn confirm(
        &self,
        proven: &ProvenToken,
        token: PresentedToken<'_>,
        now: Timestamp,
    ) -> Verified {
        let Some(statuses) = &self.statuses else {
            return Ok(proven.session.clone());
        };
        let id = proven.session.id();
        let voucher = self.voucher(&proven.session);
        let answer = statuses.get(id, Some(token.text()?), now, voucher, Priority::Request);
        match answer.await {
            Ok(answer) => self.compose(proven, &answer, now),
            Err(failure) => {
                self.excuse(outage(&failure))?;
                Ok(proven.session.clone())
            }
        }
    }

    /// Clerk minted the token when its clock said so; ours may be that much ahead.
    fn voucher(&self, session: &Session) -> Voucher {
        let skew = self.profile.accepted_skew();
        let minted = session.issued_at();
        Voucher::Token(minted.map(|minted| minted.minus(skew)))
    }

    fn compose(&self, proven: &ProvenToken, answer: &SessionAnswer, now: Timestamp) -> Verified {
        let facts = answer.facts(self.profile.accepts_pending(), now)?;
        if facts.user_id != proven.session.user_id() {
            return Err(NotGood::UserMismatch.into());
        }
        match proven.composed.get() {
            Some(session) if *session.status() == facts.status => Ok(session.clone()),
            Some(_) => Ok(facts.compose(&proven.session)),
            None => {
                let session = facts.compose(&proven.session);
                Ok(proven.composed.get_or_init(|| session).clone())
            }
        }
    }

    fn recall_bare(&self, id: &str, now: Timestamp) -> Option<Verified> {
        let Some(statuses) = &self.statuses else {
            return Some(Err(VerifyError::SessionIdNetworkless));
        };
        if let Err(revoked) = self.revocations.judge_session(id, now) {
            return Some(Err(revoked.into()));
        }
        let answer = statuses.recall(id, now, Voucher::Nothing)?;
        Some(self.judge_bare(&answer, now))
    }

    async fn verify_bare(&self, id: &str, now: Timestamp) -> Verified {
        let Some(statuses) = &self.statuses else {
            return Err(VerifyError::SessionIdNetworkless);
        };
        if let Some(answer) = statuses.recall(id, now, Voucher::Nothing) {
            return self.judge_bare(&answer, now);
        }
        if !statuses.may_look_up_bare(id, now) {
            return Err(VerifyError::Outage(Outage::RateLimited(None)));
        }
        let answer = statuses.get(id, None, now, Voucher::Nothing, Priority::Request);
        let answer = answer
            .await
            .map_err(|failure| VerifyError::Outage(outage(&failure)))?;
        self.judge_bare(&answer, self.clock.now())
    }

    fn judge_bare(&self, answer: &SessionAnswer, now: Timestamp) -> Verified {
        let facts = answer.facts(self.profile.accepts_pending(), now)?;
        self.revocations.judge(&facts.subject(), now)?;
        Ok(facts.bare())
    }
}

// Clerk's SDK also refuses a session cookie whose `__client_uat` is absent; here that is accepted,
// because other programs in front may drop cookies that they do not know.
fn judge_client_uat(session: &Session, client_uat: Option<ClientUat>) -> Result<(), VerifyError> {
    match client_uat {
        Some(client_uat) => Ok(client_uat.check(session.issued_at())?),
        None => Ok(()),
    }
}

#[cfg(feature = "client")]
fn outage(failure: &Failure<Error>) -> Outage {
    match failure {
        Failure::Failed(error) => Outage::of(error),
        Failure::Lost => Outage::Unavailable,
    }
}

#[cfg(feature = "client")]
fn keys_outage(failure: Failure<KeysError>) -> VerifyError {
    VerifyError::Outage(match failure {
        Failure::Failed(error) => error.outage(),
        Failure::Lost => Outage::Unavailable,
    })
}

#[cfg(test)]
#[cfg(feature = "gateway")]
#[path = "verifier_tests.rs"]
mod tests;
