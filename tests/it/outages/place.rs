//! Gateways between two workers and a sandbox, and people who use them.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use clerk_gateway::sandbox::Sandbox;

use super::{
    apart::{Apart, wanted},
    people::{People, Person},
    replica::Replica,
    workers::Workers,
};
use crate::support::{process::free_address, redis::Redis, wire::Wire};

/// How many newcomers a Clerk that is apart knows of.
const WAITING: usize = 2_000;

/// What a row's gateways are told beside where everything is.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) session_ttl: &'static str,
    pub(super) stale_if_error: &'static str,
    /// A file that libfaketime reads the clock's shift from.
    pub(super) clock: Option<&'static str>,
    /// How many gateways there are; more than one share a Redis.
    pub(super) replicas: usize,
    /// Whether Clerk is a process that can be killed.
    pub(super) is_apart: bool,
}

pub(super) const SETTING: Setting = Setting {
    session_ttl: "1s",
    stale_if_error: "5m",
    clock: None,
    replicas: 1,
    is_apart: false,
};

pub(super) const FLEET: Setting = Setting {
    replicas: 3,
    ..SETTING
};

pub(super) struct Place {
    /// Clerk; where that is apart, who mints as it does.
    pub(super) sandbox: Sandbox,
    pub(super) workers: Workers,
    pub(super) replicas: Vec<Replica>,
    pub(super) people: People,
    apart: Option<Apart>,
    redis: Option<Mutex<Redis>>,
    /// Between the gateways and Redis.
    wire: Option<Wire>,
    newcomers: AtomicUsize,
    /// Those whom a Clerk that is apart knows of.
    waiting: Mutex<VecDeque<Person>>,
}

const ROUTES: &str = r#"
[[route]]
path = "/public/*"
auth = "none"
[[route]]
path = "/networkless/*"
verify = "networkless"
credentials = ["bearer"]
[[route]]
path = "/token/*"
token = { template = "hasura" }
[[route]]
path = "/new-token/*"
token = { template = "wanted" }
[[route]]
path = "/app/*"
"#;

impl Place {
    pub(super) async fn start(setting: Setting) -> Self {
        let sandbox = match setting.is_apart {
            true => Sandbox::builder().deterministic().start().await,
            false => Sandbox::builder().start().await,
        };
        let sandbox = sandbox.unwrap();
        add_template(&sandbox);
        let people = People::of(&sandbox, setting.replicas);
        let waiting = waiting(&sandbox, &people, setting);
        let apart = setting.is_apart.then(|| {
            let all = people.all().chain(&waiting);
            Apart::start(&sandbox, &all.map(|one| &*one.session).collect::<Vec<_>>())
        });
        let redis = (setting.replicas > 1).then(Redis::start);
        let wire = match &redis {
            Some(redis) => Some(Wire::to(redis.address).await),
            None => None,
        };
        let mut place = Self {
            workers: Workers::start().await,
            replicas: Vec::new(),
            newcomers: AtomicUsize::new(0),
            redis: redis.map(Mutex::new),
            waiting: Mutex::new(waiting),
            sandbox,
            people,
            apart,
            wire,
        };
        for _ in 0..setting.replicas {
            place.add(setting);
        }
        if setting.replicas > 1 {
            place.meet().await;
        }
        place
    }

    fn add(&mut self, setting: Setting) {
        let addresses = (free_address(), free_address());
        let text = self.text(addresses, setting);
        let key = self.sandbox.secret_key();
        let replica = Replica::start(addresses, &text, key, setting.clock);
        self.replicas.push(replica);
    }

    fn text(&self, (address, admin): (SocketAddr, SocketAddr), setting: Setting) -> String {
        let [one, other] = self.workers.addresses;
        let clerk = match &self.apart {
            Some(apart) => format!("http://{}", apart.address),
            None => self.sandbox.url().to_owned(),
        };
        let shared = self.wire.as_ref().map(|wire| {
            let address = wire.address;
            format!("[shared]\nurl = \"redis://{address}\"\n")
        });
        format!(
            "[clerk]\npublishable_key = \"{}\"\napi_url = \"{clerk}\"\ncalls_per_10s = 0\n\
             [session]\ncredentials = [\"bearer\", {{ header = \"x-session-id\" }}]\n\
             session_id_callers = [\"127.0.0.0/8\"]\n\
             [cache]\nsession_ttl = \"{}\"\nnegative_ttl = \"{}\"\nstale_if_error = \"{}\"\n\
             [server]\nlisten = \"{address}\"\nadmin = \"{admin}\"\nwatch_interval = \"0s\"\n{}\
             [[upstream]]\nname = \"app\"\nurls = [\"http://{one}\", \"http://{other}\"]\n{ROUTES}",
            self.sandbox.publishable_key(),
            setting.session_ttl,
            setting.session_ttl,
            setting.stale_if_error,
            shared.unwrap_or_default(),
        )
    }

    /// Waits until all replicas have Redis, and refuse what the first of them revokes.
    async fn meet(&self) {
        for replica in &self.replicas {
            replica.finds_redis(true).await;
        }
        self.replicas[0].revoke(&self.people.ended.session);
        for replica in &self.replicas {
            replica.comes_to_refuse(&self.people.ended.token).await;
        }
    }

    /// Has each replica revoke a session; that holds there when this returns.
    pub(super) fn revoke_on_each(&self) {
        for (replica, person) in self.replicas.iter().zip(&self.people.ending) {
            replica.revoke(&person.session);
        }
    }

    /// Has one replica revoke what otherwise each would.
    pub(super) fn revoke_all_on(&self, replica: usize) {
        for person in &self.people.ending {
            self.replicas[replica].revoke(&person.session);
        }
    }

    pub(super) fn clerk(&self) -> &Apart {
        self.apart.as_ref().unwrap()
    }

    pub(super) fn wire(&self) -> &Wire {
        self.wire.as_ref().unwrap()
    }

    pub(super) fn kill_redis(&self) {
        self.redis.as_ref().unwrap().lock().unwrap().kill();
    }

    pub(super) fn start_redis_again(&self) {
        let redis = self.redis.as_ref().unwrap();
        redis.lock().unwrap().start_again();
    }

    /// The resident memory of each replica.
    pub(super) fn resident_kib(&self) -> Vec<u64> {
        self.replicas.iter().map(Replica::resident_kib).collect()
    }

    pub(super) fn stderr(&self) -> String {
        self.replicas.iter().map(Replica::stderr).collect()
    }

    /// How many sessions the gateway may have been asked for.
    pub(super) fn sessions(&self) -> usize {
        self.people.len() + self.newcomers.load(Ordering::Relaxed)
    }

    /// Somebody whom the gateway has never heard of, with a token as Clerk would mint it now.
    pub(super) fn newcomer(&self, number: u64) -> Person {
        self.newcomers.fetch_add(1, Ordering::Relaxed);
        if self.apart.is_some() {
            let waiting = self.waiting.lock().unwrap().pop_front();
            return waiting.expect("newcomers for as long as this lasts");
        }
        let users = &self.people.users;
        let user = users[number as usize % users.len()].clone();
        let session = self.sandbox.create_session(&user);
        let token = self.sandbox.mint(&session);
        Person {
            session,
            user,
            token,
        }
    }
}

fn waiting(sandbox: &Sandbox, people: &People, setting: Setting) -> VecDeque<Person> {
    let users = people.users.iter().cycle();
    let users = users.take(if setting.is_apart { WAITING } else { 0 });
    users.map(|user| Person::of(sandbox, user)).collect()
}

/// The template that only newcomers need.
pub(super) fn add_template(sandbox: &Sandbox) {
    sandbox.create_template(wanted());
}
