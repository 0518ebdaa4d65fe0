//! What replicas leave for each other in Redis, and who fetches it: see [`Commons`].

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use redis::{Cmd, RedisResult, Value, aio::MultiplexedConnection, cmd};
use tokio::{runtime::Handle, time::timeout};

use super::vault::Vault;
use crate::{
    cache::{Awaited, Commons, Look, Owner, Spot},
    telemetry::shared::{self, Lookup},
};

/// Redis has so long to answer before Clerk is asked as if there were no Redis.
const PATIENCE: Duration = Duration::from_millis(50);
/// A claim runs out after this, whatever became of its owner.
const CLAIM: Duration = Duration::from_secs(3);

/// Returns the value, or claims the fetch of it: `[value]`, `1` where it is claimed now, nothing where it is claimed already.
const LOOK: &str = "\
local value = redis.call('GET', KEYS[1])
if value then return {value} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return false";

/// Stores the value, if there is any, and gives the claim up.
const LEAVE: &str = "\
if ARGV[2] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1";

/// The connection to Redis, while there is one.
pub(super) type Connection = Arc<ArcSwapOption<MultiplexedConnection>>;

/// The place in Redis where values are left.
#[derive(Debug)]
pub(crate) struct Values {
    vault: Arc<Vault>,
    connection: Connection,
}

impl Values {
    pub(super) fn new(vault: Arc<Vault>, connection: Connection) -> Self {
        Self { vault, connection }
    }

    /// Asks Redis, within the patience that there is for it.
    async fn ask(&self, command: Cmd) -> Option<Value> {
        let connection = self.connection.load_full()?;
        ask(connection, command).await
    }

    fn seen(&self, spot: &Spot, reply: Option<Value>) -> (Look, Lookup) {
        match reply {
            None => (Look::Away, Lookup::Away),
            Some(Value::Int(_)) => (Look::Claimed, Lookup::Claimed),
            Some(Value::Array(mut values)) => match values.pop() {
                Some(Value::BulkString(sealed)) => {
                    match self.vault.open(spot.kind, &spot.name, &sealed) {
                        Some(value) => (Look::There(value), Lookup::Hit),
                        // Nobody's word; it is fetched and replaced.
                        None => (Look::There(Vec::new()), Lookup::Forged),
                    }
                }
                _ => (Look::Away, Lookup::Away),
            },
            Some(Value::Nil) => (Look::Taken, Lookup::Taken),
            Some(_) => (Look::Away, Lookup::Away),
        }
    }

    /// Runs a command that nobody waits for.
    fn begin(&self, command: Cmd) {
        // A process that ends may drop a claim when nothing runs any more.
        let runtime = Handle::try_current();
        if let (Some(connection), Ok(runtime)) = (self.connection.load_full(), runtime) {
            runtime.spawn(ask(connection, command));
        }
    }
}

impl Commons for Values {
    fn spot(&self, kind: &'static str, parts: &[&str]) -> Spot {
        Spot {
            kind,
            name: self.vault.name(kind, parts),
        }
    }

    fn look<'a>(&'a self, spot: &'a Spot, owner: &'a Owner) -> Awaited<'a, Look> {
        Box::pin(async {
            let mut look = script(LOOK, spot, owner);
            look.arg(millis(CLAIM));
            let (look, counted) = self.seen(spot, self.ask(look).await);
            shared::lookup(spot.kind, counted);
            look
        })
    }

    fn claim<'a>(&'a self, spot: &'a Spot, owner: &'a Owner) -> Awaited<'a, bool> {
        Box::pin(async {
            let mut claim = cmd("SET");
            claim.arg(claimed(spot)).arg(&owner.0[..]);
            claim.arg("NX").arg("PX").arg(millis(CLAIM));
            matches!(self.ask(claim).await, Some(Value::Okay))
        })
    }

    fn put(&self, spot: &Spot, owner: &Owner, value: Vec<u8>, ttl: Duration) {
        let sealed = self.vault.seal(spot.kind, &spot.name, &value);
        match sealed {
            Some(sealed) if ttl >= Duration::from_millis(1) => {
                let mut leave = script(LEAVE, spot, owner);
                leave.arg(sealed).arg(millis(ttl));
                self.begin(leave);
            }
            _ => self.release(spot, owner),
        }
    }

    fn release(&self, spot: &Spot, owner: &Owner) {
        self.begin(script(LEAVE, spot, owner));
    }
}

async fn ask(connection: Arc<MultiplexedConnection>, command: Cmd) -> Option<Value> {
    let mut connection = MultiplexedConnection::clone(&connection);
    let answer: RedisResult<Value> = timeout(PATIENCE, command.query_async(&mut connection))
        .await
        .ok()?;
    match answer {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::debug!(%error, "redis has not answered");
            None
        }
    }
}

/// Begins a command on a value and its claim.
fn script(text: &str, spot: &Spot, owner: &Owner) -> Cmd {
    let mut script = cmd("EVAL");
    script.arg(text).arg(2).arg(&spot.name).arg(claimed(spot));
    script.arg(&owner.0[..]);
    script
}

fn claimed(spot: &Spot) -> String {
    format!("{}:claimed", spot.name)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
