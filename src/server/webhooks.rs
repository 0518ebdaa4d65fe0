//! Where Clerk's webhooks come in.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    gateway::Current,
    own::{OwnRequest, done},
};
use crate::{
    reject::Rejection,
    telemetry::{traffic::RouteCounter, webhooks::delivered},
    webhook::{Delivered, Event, Signed, SigningSecret, WebhookError},
};

/// The largest event; Clerk's have some kilobytes.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// Below the 15 s that Svix waits for an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The other replicas are told in a moment, or not now.
const TELLING_TIMEOUT: Duration = Duration::from_secs(3);
/// Whoever sends these is not known before the body is there: so many are held in memory at once.
const MAX_BODIES: usize = 128;

/// The endpoint as it runs.
pub(crate) struct Webhooks {
    pub(crate) path: String,
    pub(crate) counter: RouteCounter,
    secrets: Vec<SigningSecret>,
    delivered: Arc<Delivered>,
    bodies: Semaphore,
}

impl Webhooks {
    /// Takes deliveries that any of the secrets signed; those that `delivered` knows have no effect.
    pub(crate) fn new(
        path: String,
        secrets: Vec<SigningSecret>,
        delivered: Arc<Delivered>,
    ) -> Self {
        Self {
            path,
            counter: RouteCounter::new("webhooks"),
            secrets,
            delivered,
            bodies: Semaphore::new(MAX_BODIES),
        }
    }

    /// Answers a delivery, after its effect.
    pub(super) async fn answer(
        &self,
        current: &Current,
        request: OwnRequest<'_>,
    ) -> Result<Response<Bytes>, Rejection> {
        let taken = self.take(current, request).await;
        taken.map(|()| done()).map_err(|error| {
            delivered("none", error.slug());
            Rejection::from(error)
        })
    }

    async fn take(&self, current: &Current, request: OwnRequest<'_>) -> Result<(), WebhookError> {
        let OwnRequest { parts, body, .. } = request;
        let clerk = &current.clerk;
        let now = clerk.clock().now();
        let signed = Signed::of(&parts.headers, now)?;
        let body = self.read(body).await?;
        signed.verify(&body, &self.secrets)?;
        if self.delivered.contains(signed.id(), now) {
            delivered("any", "repeated");
            return Ok(());
        }
        let event = Event::read(&body, signed.at(), now.plus(clerk.clock_skew()))?;
        let outcome = match event.revocation {
            Some(revocation) => {
                clerk.revoke(revocation);
                // It is refused here already. Where the others have not heard of it, it is to be delivered again.
                let told = clerk.revocations().settled(TELLING_TIMEOUT).await;
                told.map_err(|_| WebhookError::NotShared)?;
                "applied"
            }
            None => "ignored",
        };
        // Only now: a delivery that broke off before must have its effect when it comes again.
        self.delivered.insert(signed.id(), now);
        delivered(event.kind, outcome);
        tracing::info!(
            webhook.id = signed.id(),
            webhook.event = event.kind,
            outcome,
            "webhook taken"
        );
        Ok(())
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, WebhookError> {
        if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
            return Err(WebhookError::TooLarge);
        }
        let _permit = self.bodies.try_acquire().map_err(|_| WebhookError::Busy)?;
        let whole = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await;
        let whole = whole.map_err(|_| WebhookError::Incomplete)?;
        match whole {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(WebhookError::TooLarge),
            Err(_) => Err(WebhookError::Incomplete),
        }
    }
}
