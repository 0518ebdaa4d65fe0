//! A gateway between two workers and a sandbox, and people who use it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use clerk_gateway::sandbox::{Sandbox, SeedTemplate, SeedUser};

use super::workers::Workers;
use crate::support::process::{Running, command, folder, free_address};

/// What a row's gateway is told beside where everything is.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) session_ttl: &'static str,
    pub(super) stale_if_error: &'static str,
    /// A file that libfaketime reads the clock's shift from.
    pub(super) clock: Option<&'static str>,
}

pub(super) const SETTING: Setting = Setting {
    session_ttl: "1s",
    stale_if_error: "5m",
    clock: None,
};

pub(super) struct Place {
    pub(super) sandbox: Sandbox,
    pub(super) workers: Workers,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) file: PathBuf,
    pub(super) people: People,
    gateway: Mutex<Running>,
    newcomers: AtomicUsize,
    setting: Setting,
}

/// Someone with a session, and a token of it that outlives the test.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) session: String,
    pub(super) user: String,
    pub(super) token: String,
}

pub(super) struct People {
    pub(super) users: Vec<String>,
    pub(super) known: Vec<Person>,
    pub(super) with_template: Vec<Person>,
    pub(super) bare: Person,
    pub(super) revoked: Vec<Person>,
    pub(super) forged: String,
    pub(super) expired: String,
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
        let sandbox = Sandbox::builder().start().await.unwrap();
        add_template(&sandbox);
        let workers = Workers::start().await;
        let (address, admin) = (free_address(), free_address());
        let [one, other] = workers.addresses;
        let text = format!(
            "[clerk]\npublishable_key = \"{}\"\napi_url = \"{}\"\ncalls_per_10s = 0\n\
             [session]\ncredentials = [\"bearer\", {{ header = \"x-session-id\" }}]\n\
             session_id_callers = [\"127.0.0.0/8\"]\n\
             [cache]\nsession_ttl = \"{}\"\nnegative_ttl = \"{}\"\nstale_if_error = \"{}\"\n\
             [server]\nlisten = \"{address}\"\nadmin = \"{admin}\"\nwatch_interval = \"0s\"\n\
             [[upstream]]\nname = \"app\"\nurls = [\"http://{one}\", \"http://{other}\"]\n{ROUTES}",
            sandbox.publishable_key(),
            sandbox.url(),
            setting.session_ttl,
            setting.session_ttl,
            setting.stale_if_error,
        );
        let file = folder().join("gateway.toml");
        std::fs::write(&file, text).unwrap();
        let command = serve(&sandbox, &file, setting);
        Self {
            people: People::of(&sandbox),
            gateway: Mutex::new(Running::start(command, address)),
            newcomers: AtomicUsize::new(0),
            sandbox,
            workers,
            address,
            admin,
            file,
            setting,
        }
    }

    pub(super) fn kill(&self) {
        let mut gateway = self.gateway.lock().unwrap();
        gateway.signal("KILL");
        assert_eq!(gateway.status(), None, "it ended by itself");
    }

    pub(super) fn start_again(&self) {
        let command = serve(&self.sandbox, &self.file, self.setting);
        *self.gateway.lock().unwrap() = Running::start(command, self.address);
    }

    pub(super) fn hang_up(&self) {
        self.gateway.lock().unwrap().signal("HUP");
    }

    pub(super) fn resident_kib(&self) -> u64 {
        self.gateway.lock().unwrap().resident_kib()
    }

    pub(super) fn stderr(&self) -> String {
        self.gateway.lock().unwrap().stderr()
    }

    /// How many sessions the gateway may have been asked for.
    pub(super) fn sessions(&self) -> usize {
        self.people.len() + self.newcomers.load(Ordering::Relaxed)
    }

    /// Somebody whom the gateway has never heard of, with a token as Clerk would mint it now.
    pub(super) fn newcomer(&self, number: u64) -> Person {
        self.newcomers.fetch_add(1, Ordering::Relaxed);
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

/// The template that only newcomers need.
pub(super) fn add_template(sandbox: &Sandbox) {
    sandbox.create_template(SeedTemplate {
        name: "wanted".to_owned(),
        ..SeedTemplate::default()
    });
}

fn serve(sandbox: &Sandbox, file: &Path, setting: Setting) -> Command {
    let mut command = command();
    command.args(["serve", "-c"]).arg(file);
    command.env("CLERK_SECRET_KEY", sandbox.secret_key());
    if let Some(file) = setting.clock {
        let library = "/usr/$LIB/faketime/libfaketimeMT.so.1";
        command.env("LD_PRELOAD", library);
        command.env("FAKETIME_TIMESTAMP_FILE", file);
        command.env("FAKETIME_CACHE_DURATION", "1");
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    command
}

impl People {
    fn len(&self) -> usize {
        self.known.len() + self.with_template.len() + self.revoked.len() + 1
    }

    fn of(sandbox: &Sandbox) -> Self {
        let users: Vec<_> = (0..5)
            .map(|_| sandbox.create_user(SeedUser::default()))
            .collect();
        let many = |count: usize| -> Vec<_> {
            let users = users.iter().cycle().take(count);
            users.map(|user| Person::of(sandbox, user)).collect()
        };
        let known = many(20);
        let revoked = many(5);
        for person in &revoked {
            sandbox.revoke(&person.session);
        }
        let expired = minted(sandbox, &known[0].session, -120, -60);
        let mut forged = known[0].token.clone();
        // Within the signature, and never the same.
        let at = forged.len() - 20;
        let other = if forged.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        forged.replace_range(at..=at, other);
        Self {
            with_template: many(10),
            bare: many(1).remove(0),
            known,
            revoked,
            forged,
            expired,
            users,
        }
    }
}

impl Person {
    fn of(sandbox: &Sandbox, user: &str) -> Self {
        let session = sandbox.create_session(user);
        Self {
            token: minted(sandbox, &session, -60, 3600),
            user: user.to_owned(),
            session,
        }
    }
}

/// A token from and until so many seconds from now.
fn minted(sandbox: &Sandbox, session: &str, from: i64, until: i64) -> String {
    sandbox.mint_with(session, |_, claims| {
        let now = claims["iat"].as_i64().unwrap();
        claims["iat"] = (now + from).into();
        claims["nbf"] = (now + from).into();
        claims["exp"] = (now + until).into();
    })
}
