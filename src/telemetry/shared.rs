//! What is recorded of what replicas share.

use super::metrics::count;

pub(super) const SHARED_UP: &str = "clerk_gateway_shared_up";
pub(super) const SHARED_LOOKUPS: &str = "clerk_gateway_shared_lookups_total";
pub(super) const SHARED_MESSAGES: &str = "clerk_gateway_shared_messages_total";

/// What became of a message between replicas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Message {
    /// No replica wrote it, or not with a key that counts.
    Forged,
    /// It says what was known here.
    Known,
    News,
    /// This replica wrote it.
    Said,
    /// Of a version that this one cannot read.
    Unknown,
}

/// What a look for something that replicas share has shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lookup {
    /// Redis could not be used, or not in time.
    Away,
    /// Nothing: this replica fetches it for all.
    Claimed,
    /// Something that no replica wrote.
    Forged,
    Hit,
    /// It lacks what was there.
    Lost,
    /// Nothing yet: another replica fetches it.
    Taken,
}

/// Shows whether this replica can tell the others.
pub(crate) fn up(is_up: bool) {
    metrics::gauge!(SHARED_UP).set(u8::from(is_up));
}

/// Counts a look for something of a kind.
pub(crate) fn lookup(kind: &'static str, lookup: Lookup) {
    let result = match lookup {
        Lookup::Away => "away",
        Lookup::Claimed => "claimed",
        Lookup::Forged => "forged",
        Lookup::Hit => "hit",
        Lookup::Lost => "lost",
        Lookup::Taken => "taken",
    };
    count(SHARED_LOOKUPS, [("kind", kind), ("result", result)]);
}

/// Counts a message.
pub(crate) fn message(message: Message) {
    let outcome = match message {
        Message::Forged => "forged",
        Message::Known => "known",
        Message::News => "news",
        Message::Said => "said",
        Message::Unknown => "unknown",
    };
    count(SHARED_MESSAGES, [("outcome", outcome)]);
}
