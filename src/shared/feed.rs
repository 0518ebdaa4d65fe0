//! Revocations between replicas: one stream in Redis, to which each writes and which each reads.
//!
//! A stream and not a channel, for what was said while a replica was away is read when it is back: from where it was,
//! and by one that starts from the beginning of all that is still of any use.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{Cmd, RedisError, RedisResult, Value, aio::MultiplexedConnection, cmd, pipe};
use tokio::time::sleep;

use super::{
    Shared,
    ledger::SharedLedger,
    link::{Backoff, Link},
    values::Connection,
    vault::{RESTORING, REVOCATIONS, Vault},
    wire,
};
use crate::{
    clerk::books::Books,
    revocation::{Outbox, Recorded, Revocations},
    telemetry::shared::{self, Message},
    time::Clock,
};

/// Redis answers a reader after this, where there is nothing new.
const BLOCK: Duration = Duration::from_secs(1);
/// A Redis that is silent for longer is gone.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many messages are read or written at a time.
const BATCH: usize = 500;
/// By so much may the replicas' clocks and Redis's differ before a message is dropped that somebody needs.
const SLACK: Duration = Duration::from_secs(10 * 60);
/// So long has one replica the task of saying all again.
const RESTORING_TIME: Duration = Duration::from_secs(30);
/// A connection that held for so long is no sign of a Redis in trouble.
const STEADY: Duration = Duration::from_secs(10);
const FIELD: &str = "m";

/// What a replica says and hears of revocations.
pub(super) struct Feed<'a> {
    link: &'a Link,
    vault: &'a Vault,
    revocations: &'a Revocations,
    outbox: Arc<Outbox>,
    clock: &'a Clock,
    /// Where the connection is for those who look for values.
    connection: &'a Connection,
    /// Where calls of Clerk are counted.
    books: &'a Books,
    stream: String,
    /// The newest message that is known to have been in the stream.
    newest: Mutex<MessageId>,
}

/// A message's place in the stream: milliseconds, and a number within them.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct MessageId(u64, u64);

impl<'a> Feed<'a> {
    pub(super) fn new(shared: &'a Shared, revocations: &'a Revocations, clock: &'a Clock) -> Self {
        Self {
            link: &shared.link,
            vault: &shared.vault,
            revocations,
            outbox: revocations.share(),
            clock,
            connection: &shared.connection,
            books: &shared.books,
            stream: shared.vault.place(REVOCATIONS),
            newest: Mutex::default(),
        }
    }

    /// Connects, says and hears, again and again.
    pub(super) async fn run(&self) {
        let mut backoff = Backoff::new();
        let mut read_up_to = MessageId::default();
        let mut is_said = false;
        loop {
            let tried_at = self.clock.now();
            let ended = self.connected(&mut read_up_to).await;
            let was_up = self.outbox.is_connected();
            self.outbox.set_connected(false);
            self.connection.store(None);
            self.books.start_over();
            if let (Err(error), true) = (ended, was_up || !is_said) {
                tracing::warn!(
                    redis.address = self.link.address(),
                    %error,
                    "redis cannot be used: this replica goes on alone, and tells the others when redis is back"
                );
                is_said = true;
            }
            if was_up && self.clock.now().since(tried_at) > STEADY {
                backoff.reset();
            }
            sleep(backoff.next()).await;
        }
    }

    /// Catches up, then says and hears until the connection fails.
    async fn connected(&self, read_up_to: &mut MessageId) -> RedisResult<Infallible> {
        let connecting = || self.link.connect(PATIENCE);
        let (mut reader, mut writer) = tokio::try_join!(connecting(), connecting())?;
        if self.has_lost(&mut writer).await? {
            *read_up_to = MessageId::default();
            self.restore(&mut writer).await?;
        }
        while self.hear(&mut reader, read_up_to, None).await? {}
        let mut ledger = SharedLedger::new(self.vault, self.books, self.clock, writer.clone());
        // Before the first request, which may need a call.
        ledger.agree().await;
        self.outbox.set_connected(true);
        self.connection.store(Some(Arc::new(writer.clone())));
        tracing::info!(redis.address = self.link.address(), "redis is connected");
        let hearing = self.hear_on(&mut reader, read_up_to);
        let counting = async { Ok(ledger.run().await) };
        let ended = tokio::try_join!(hearing, self.say_on(&mut writer), counting);
        ended.map(|(never, ..)| never)
    }

    async fn hear_on(
        &self,
        reader: &mut MultiplexedConnection,
        read_up_to: &mut MessageId,
    ) -> RedisResult<Infallible> {
        loop {
            self.hear(reader, read_up_to, Some(BLOCK)).await?;
        }
    }

    async fn say_on(&self, writer: &mut MultiplexedConnection) -> RedisResult<Infallible> {
        loop {
            self.say(writer).await?;
        }
    }

    /// Tells whether Redis has forgotten messages that were there.
    async fn has_lost(&self, connection: &mut MultiplexedConnection) -> RedisResult<bool> {
        let mut newest = cmd("XREVRANGE");
        newest.arg(&self.stream).arg("+").arg("-");
        newest.arg("COUNT").arg(1);
        let newest = messages(newest.query_async(connection).await?);
        let newest = newest.first().map(|(id, _)| *id);
        Ok(newest.unwrap_or_default() < self.newest())
    }

    /// Has one replica say again all that it knows, for those who start now.
    async fn restore(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.set_newest(|newest| *newest = MessageId::default());
        let mut claim = cmd("SET");
        claim.arg(self.vault.place(RESTORING)).arg("").arg("NX");
        claim.arg("PX").arg(millis(RESTORING_TIME));
        let claimed: Option<Value> = claim.query_async(connection).await?;
        if claimed.is_some() {
            let all = self.revocations.all(self.clock.now());
            tracing::warn!(
                revocations = all.len(),
                "redis has forgotten what was revoked: it is told again"
            );
            self.outbox.push(all);
        }
        Ok(())
    }

    /// Reads what is new, and tells whether there was anything.
    async fn hear(
        &self,
        connection: &mut MultiplexedConnection,
        read_up_to: &mut MessageId,
        block: Option<Duration>,
    ) -> RedisResult<bool> {
        let reading = self.reading(*read_up_to, block);
        let messages = messages(only_stream(reading.query_async(connection).await?));
        for (id, sealed) in &messages {
            shared::message(self.take(sealed));
            *read_up_to = *id;
        }
        self.set_newest(|newest| *newest = (*newest).max(*read_up_to));
        Ok(!messages.is_empty())
    }

    fn reading(&self, after: MessageId, block: Option<Duration>) -> Cmd {
        let mut reading = cmd("XREAD");
        reading.arg("COUNT").arg(BATCH);
        if let Some(block) = block {
            reading.arg("BLOCK").arg(millis(block));
        }
        reading.arg("STREAMS").arg(&self.stream);
        reading.arg(format!("{}-{}", after.0, after.1));
        reading
    }

    /// Learns what a message says, if a replica wrote it.
    fn take(&self, sealed: &[u8]) -> Message {
        let Some(text) = self.vault.open(REVOCATIONS, &self.stream, sealed) else {
            return Message::Forged;
        };
        let Some(recorded) = wire::decode(&text) else {
            return Message::Unknown;
        };
        match self.revocations.learn(recorded, self.clock.now()) {
            true => Message::News,
            false => Message::Known,
        }
    }

    /// Writes what waits to be told, as soon as anything does.
    async fn say(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let batch = self.outbox.next(BATCH).await;
        let kept_for = self.revocations.kept_for().saturating_add(SLACK);
        let oldest = self.clock.now().minus(kept_for).as_millis().max(0);
        let mut adding = pipe();
        for recorded in &batch.recorded {
            let sealed = self.sealed(recorded)?;
            let add = adding.cmd("XADD").arg(&self.stream);
            add.arg("MINID").arg("~").arg(oldest);
            add.arg("*").arg(FIELD).arg(sealed);
        }
        let expire = adding.cmd("PEXPIRE").arg(&self.stream);
        expire.arg(millis(kept_for)).ignore();
        let added: Vec<String> = adding.query_async(connection).await?;
        let added = added.iter().filter_map(|id| MessageId::read(id.as_bytes()));
        self.set_newest(|newest| *newest = added.fold(*newest, MessageId::max));
        self.outbox.told(&batch);
        for _ in &batch.recorded {
            shared::message(Message::Said);
        }
        Ok(())
    }

    fn sealed(&self, recorded: &Recorded) -> RedisResult<Vec<u8>> {
        let text = wire::encode(recorded);
        let sealed = self.vault.seal(REVOCATIONS, &self.stream, &text);
        sealed.ok_or_else(|| RedisError::from((redis::ErrorKind::Client, "no randomness")))
    }

    fn newest(&self) -> MessageId {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_newest(&self, set: impl FnOnce(&mut MessageId)) {
        set(&mut self.newest.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl MessageId {
    fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (millis, number) = text.split_once('-')?;
        Some(Self(millis.parse().ok()?, number.parse().ok()?))
    }
}

/// Returns the messages of the one stream that was asked for, from either form of the protocol.
fn only_stream(reply: Value) -> Value {
    let messages = match reply {
        Value::Map(mut streams) => streams.pop().map(|(_, messages)| messages),
        Value::Array(mut streams) => match streams.pop() {
            Some(Value::Array(mut stream)) => stream.pop(),
            _ => None,
        },
        _ => None,
    };
    messages.unwrap_or_default()
}

/// Reads `[[id, [name, value, …]], …]`; a message of another form has an empty text.
fn messages(reply: Value) -> Vec<(MessageId, Vec<u8>)> {
    let Value::Array(entries) = reply else {
        return Vec::new();
    };
    let message = |entry| {
        let Value::Array(mut entry) = entry else {
            return None;
        };
        let fields = entry.pop()?;
        let id = match entry.pop()? {
            Value::BulkString(id) => MessageId::read(&id)?,
            Value::SimpleString(id) => MessageId::read(id.as_bytes())?,
            _ => return None,
        };
        let text = match fields {
            Value::Array(mut fields) => match fields.pop() {
                Some(Value::BulkString(text)) => text,
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        Some((id, text))
    };
    entries.into_iter().filter_map(message).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn messages_of_any_form_are_gone_past() {
        let of = |id: &str, fields| Value::Array(vec![text(id), fields]);
        let reply = Value::Array(vec![
            of("5-1", Value::Array(vec![text("m"), text("sealed")])),
            of("5-2", Value::Array(vec![])),
            of("7-0", Value::Nil),
        ]);
        let expected = [
            (MessageId(5, 1), b"sealed".to_vec()),
            (MessageId(5, 2), vec![]),
            (MessageId(7, 0), vec![]),
        ];
        assert_eq!(messages(reply), expected);
        assert_eq!(messages(Value::Nil), []);
        assert_eq!(messages(Value::Array(vec![Value::Int(1)])), []);
    }

    #[test]
    fn places_in_a_stream_are_in_the_order_of_their_numbers() {
        let id = |text: &str| MessageId::read(text.as_bytes());
        assert!(id("9-10") > id("9-9") && id("10-0") > id("9-10"));
        for bad in ["", "1", "1-", "-1", "a-b", "1-1-1"] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
