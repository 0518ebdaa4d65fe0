//! The one ledger in Redis, in which all replicas count their calls of Clerk: see [`crate::clerk::fleet`].
//!
//! A call waits for one short script in Redis. Whoever writes there can neither forge calls, for the ledger is
//! authenticated, nor hide them for long: where it lacks calls that were in it, each replica keeps to its part.

use std::{convert::Infallible, time::Duration};

use redis::{RedisError, aio::MultiplexedConnection, cmd};
use tokio::time::{sleep, timeout};

use super::vault::{CALLS, Vault};
use crate::{
    clerk::{
        books::Books,
        fleet::{Ask, Doubt},
        ledger::Ledger,
    },
    telemetry::shared::{self, Lookup},
    time::{Clock, Timestamp},
};

/// Redis has so long before this replica goes on alone: longer than for a value, for alone it has less.
const PATIENCE: Duration = Duration::from_millis(100);
/// So often the replicas look, where no calls make them; and where Redis has failed, so long they do not.
const PACE: Duration = Duration::from_secs(1);

/// Puts a ledger in the place of another, if that is still there; returns the one that was there, and the time.
///
/// What no replica can have written is taken away: else nobody could write.
const SWAP: &str = "\
local held = redis.pcall('GET', KEYS[1]) or ''
if type(held) == 'table' or #held > 4096 then redis.call('DEL', KEYS[1]) held = '' end
if ARGV[2] and held == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
local time = redis.call('TIME')
return {held, time[1], time[2]}";

/// The ledger in Redis, as one replica sees it.
pub(super) struct SharedLedger<'a> {
    vault: &'a Vault,
    books: &'a Books,
    clock: &'a Clock,
    connection: MultiplexedConnection,
    place: String,
    /// What was there when it was last looked at.
    held: Option<Held>,
}

/// What is in Redis; no bytes, where nothing is.
struct Held {
    sealed: Vec<u8>,
    ledger: Ledger,
}

/// Why a replica is alone.
#[derive(Debug, thiserror::Error)]
enum Alone {
    #[error("redis has not answered in time")]
    Away,
    #[error("what redis has cannot be reckoned with: {0:?}")]
    Doubt(Doubt),
    #[error("redis has answered with an error: {0}")]
    Redis(#[from] RedisError),
    #[error("there is no randomness to encrypt with")]
    Sealing,
    #[error("the ledger is of another version")]
    Version,
}

impl<'a> SharedLedger<'a> {
    pub(super) fn new(
        vault: &'a Vault,
        books: &'a Books,
        clock: &'a Clock,
        connection: MultiplexedConnection,
    ) -> Self {
        Self {
            vault,
            books,
            clock,
            connection,
            place: vault.place(CALLS),
            held: None,
        }
    }

    /// Agrees with the other replicas on who makes which calls, again and again.
    pub(super) async fn run(&mut self) -> Infallible {
        loop {
            // At the latest when it is time for a look.
            let _ = timeout(PACE, self.books.news()).await;
            if !self.agree().await {
                sleep(PACE).await;
            }
        }
    }

    /// Tells the others of the calls made here, learns of theirs, and answers who asks for more; tells whether that
    /// was possible.
    pub(super) async fn agree(&mut self) -> bool {
        let asks = self.books.asks();
        let error = match timeout(PATIENCE, self.try_to_agree(asks)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error,
            Err(_) => Alone::Away,
        };
        tracing::debug!(%error, "calls of clerk are not counted together");
        match error {
            Alone::Doubt(Doubt::Lost) => {
                shared::lookup(CALLS, Lookup::Lost);
                self.books.start_over();
            }
            _ => {
                shared::lookup(CALLS, Lookup::Away);
                self.books.go_alone();
            }
        }
        false
    }

    async fn try_to_agree(&mut self, asks: Vec<Ask>) -> Result<(), Alone> {
        loop {
            let now = self.clock.now();
            let draft = self.books.draft(&asks, now);
            let wanted = match &self.held {
                Some(held) if self.books.is_news(&draft, &held.ledger, now) => {
                    Some(self.seal(&draft.ledger)?)
                }
                _ => None,
            };
            let seen = self.swap(wanted.as_deref()).await?;
            match &mut self.held {
                Some(held) if held.sealed == seen => {
                    if let Some(sealed) = wanted {
                        held.ledger.clone_from(&draft.ledger);
                        held.sealed = sealed;
                    }
                    self.books.agree(draft, asks, self.clock.now());
                    return Ok(());
                }
                _ => {
                    let held = self.held.insert(self.open(seen)?);
                    self.books.learn(&held.ledger, self.clock.now())?;
                }
            }
        }
    }

    /// Puts a ledger in the place of the one that was seen, and returns what was there.
    async fn swap(&mut self, wanted: Option<&[u8]>) -> Result<Vec<u8>, Alone> {
        let held = self.held.as_ref().map(|held| held.sealed.as_slice());
        let mut swap = cmd("EVAL");
        swap.arg(SWAP).arg(1).arg(&self.place);
        swap.arg(held.unwrap_or_default());
        if let Some(wanted) = wanted {
            swap.arg(wanted).arg(Ledger::KEPT_FOR.as_millis() as u64);
        }
        let (held, seconds, micros): (Vec<u8>, i64, i64) =
            swap.query_async(&mut self.connection).await?;
        let millis = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
        let now = self.clock.now();
        self.books.set_clock(Timestamp::from_millis(millis), now)?;
        Ok(held)
    }

    fn seal(&self, ledger: &Ledger) -> Result<Vec<u8>, Alone> {
        // Only maps with keys that are no strings or numbers could fail, and there are none.
        let text = serde_json::to_vec(ledger).unwrap_or_default();
        let sealed = self.vault.seal(CALLS, &self.place, &text);
        sealed.ok_or(Alone::Sealing)
    }

    /// Reads what is there; what no replica wrote is as good as nothing.
    fn open(&self, sealed: Vec<u8>) -> Result<Held, Alone> {
        let ledger = match self.vault.open(CALLS, &self.place, &sealed) {
            Some(text) => serde_json::from_slice(&text).map_err(|_| Alone::Version)?,
            None => {
                if !sealed.is_empty() {
                    shared::lookup(CALLS, Lookup::Forged);
                }
                Ledger::default()
            }
        };
        Ok(Held { sealed, ledger })
    }
}

impl From<Doubt> for Alone {
    fn from(doubt: Doubt) -> Self {
        Self::Doubt(doubt)
    }
}
