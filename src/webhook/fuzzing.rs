//! The door to webhooks.

use http::HeaderMap;

use super::{Event, Signed, SigningSecret};
use crate::time::Timestamp;

/// What was made of a delivery.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// Its signature is the secret's.
    pub genuine: bool,
    /// What it says, genuine or not; `None` where that cannot be read.
    pub event: Option<Said>,
}

/// What an event says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Said {
    /// Its type.
    pub kind: &'static str,
    /// Whom it concerns, where it revokes anything.
    pub revokes: Option<String>,
}

/// Reads a delivery; `None` where its head alone is bad.
pub fn read_delivery(
    headers: &HeaderMap,
    body: &[u8],
    secret: &str,
    now: Timestamp,
) -> Option<Delivery> {
    let secret = SigningSecret::parse(secret).ok()?;
    let signed = Signed::of(headers, now).ok()?;
    let event = Event::read(body, signed.at(), now).ok();
    Some(Delivery {
        genuine: signed.verify(body, &[secret]).is_ok(),
        event: event.map(|event| Said {
            kind: event.kind,
            revokes: event.revocation.map(|revoked| format!("{revoked:?}")),
        }),
    })
}
