//! Clerk's webhooks: whether a delivery is Clerk's, and what it says counts no more.
//!
//! Svix delivers them: signed, repeated until they are answered, in no order and with no promise that they arrive.
//! So each is judged by its signature and by its own time, applying one twice changes nothing, and nothing that it
//! says is ever taken back by another.

mod delivered;
mod event;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod signature;

pub(crate) use delivered::Delivered;
pub(crate) use event::{Event, EventError};
pub(crate) use signature::{SignatureError, Signed, SigningSecret};

/// Why a delivery is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum WebhookError {
    #[error("too many deliveries arrive at once")]
    Busy,
    #[error(transparent)]
    Event(#[from] EventError),
    #[error("the body did not arrive, or not in time")]
    Incomplete,
    #[error("its effect could not be told to the other replicas")]
    NotShared,
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("the body is larger than any event")]
    TooLarge,
}

impl WebhookError {
    /// Returns the reason slug.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::Busy => "webhook-busy",
            Self::Event(_) => "webhook-event-malformed",
            Self::Incomplete => "webhook-incomplete",
            Self::NotShared => "webhook-not-shared",
            Self::Signature(error) => error.slug(),
            Self::TooLarge => "webhook-too-large",
        }
    }
}
