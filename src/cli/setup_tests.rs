//! Requests, revocations and reloads in every order: each reload in two steps, as it makes what runs before it
//! replaces it, and each request in two, as it takes what runs before it is decided.

use std::{collections::HashSet, net::SocketAddr};

use http::{Request, request::Parts};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    config::{self, Sources},
    pipeline::Passed,
    request::{Peer, Scheme},
    sandbox::Sandbox,
};

const SESSIONS: usize = 3;
const CONFIGURATIONS: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request takes what runs.
    Take,
    /// A request that has taken it is decided, with the token of a session.
    Decide { request: usize, session: usize },
    /// A session is revoked by what a request has taken, or by what runs.
    Revoke { by: Option<usize>, session: usize },
    /// A reload makes what is to run.
    Make { configuration: usize },
    /// It replaces what runs.
    Replace,
}

struct World {
    tokens: Vec<String>,
    loaded: Vec<Loaded>,
}

/// What a request has taken, and which configuration that is.
struct Taken {
    current: Arc<Current>,
    configuration: usize,
}

impl World {
    async fn new() -> Self {
        let sandbox = Sandbox::builder().start().await.unwrap();
        let token = |session: usize| {
            sandbox.mint_with(sandbox.session_id(), |_, claims| {
                claims["sid"] = id(session).into();
                claims["exp"] = (claims["iat"].as_i64().unwrap() + 3600).into();
            })
        };
        Self {
            tokens: (0..SESSIONS).map(token).collect(),
            loaded: (0..CONFIGURATIONS)
                .map(|configuration| load(&sandbox, configuration))
                .collect(),
        }
    }

    fn request(&self, session: usize) -> Parts {
        let bearer = format!("Bearer {}", self.tokens[session]);
        let builder = Request::get("/a")
            .header("host", "gw.test")
            .header("authorization", bearer);
        builder.body(()).unwrap().into_parts().0
    }

    async fn run(&self, steps: &[Step]) {
        let tunnels = Tunnels::new();
        let (mut running, current) = made(&self.loaded[0], None, &tunnels).unwrap();
        let gateway = Gateway::new(current);
        let mut configuration = 0;
        let mut next = None;
        let mut revoked = HashSet::new();
        let mut taken: Vec<Taken> = Vec::new();
        for step in steps {
            match *step {
                Step::Take => taken.push(Taken {
                    current: gateway.current(),
                    configuration,
                }),
                Step::Decide { request, session } => {
                    if let Some(taken) = taken.get(request) {
                        let is_revoked = revoked.contains(&session);
                        taken.decide(self.request(session), is_revoked).await;
                    }
                }
                Step::Revoke { by, session } => {
                    let by = by.and_then(|by| taken.get(by));
                    let current = by.map_or(gateway.current(), |by| Arc::clone(&by.current));
                    current.clerk.refuse_session(&id(session));
                    revoked.insert(session);
                }
                Step::Make { configuration } => {
                    let loaded = &self.loaded[configuration];
                    let made = made(loaded, Some(&running), &tunnels).unwrap();
                    next = Some((made, configuration));
                }
                Step::Replace => {
                    if let Some(((made, current), which)) = next.take() {
                        gateway.replace(current);
                        running = made;
                        configuration = which;
                    }
                }
            }
        }
    }
}

impl Taken {
    /// Decides, and compares with what this configuration must make of it.
    async fn decide(&self, mut parts: Parts, is_revoked: bool) {
        let peer = Peer::new(SocketAddr::from(([127, 0, 0, 1], 4000)), Scheme::Http);
        let decided = self.current.pipeline.decide(&peer, &mut parts).await;
        match decided {
            Ok(Passed::Forward(_, Some(_))) => assert!(!is_revoked, "a revoked session has passed"),
            Ok(_) => panic!("it passed as nobody"),
            Err(refusal) => {
                let reason = refusal.rejection.reason();
                assert_eq!((is_revoked, reason), (true, "session-revoked"));
                return;
            }
        }
        let names = parts.headers.keys().map(http::HeaderName::as_str);
        let marks: Vec<_> = names.filter(|name| name.starts_with("x-mark-")).collect();
        assert_eq!(marks, [format!("x-mark-{}", self.configuration)]);
    }
}

fn id(session: usize) -> String {
    format!("sess_{session}")
}

/// Every second one has another handle.
fn load(sandbox: &Sandbox, configuration: usize) -> Loaded {
    let (key, pem) = (sandbox.publishable_key(), sandbox.jwt_key());
    let skew = 5 + configuration % 2;
    let text = format!(
        r#"
[clerk]
publishable_key = "{key}"
jwt_key = """{pem}"""
clock_skew = "{skew}s"
[session]
verify = "networkless"
[[upstream]]
name = "app"
url = "http://127.0.0.1:9"
[[route]]
path = "/*"
upstream = "app"
headers = {{ "X-Mark-{configuration}" = "session_id" }}
"#
    );
    let sources = Sources {
        built_in: Some(text),
        ..Sources::default()
    };
    config::load(&sources).unwrap()
}

fn step() -> impl Strategy<Value = Step> {
    let request = 0..8_usize;
    prop_oneof![
        3 => Just(Step::Take),
        6 => (request.clone(), 0..SESSIONS)
            .prop_map(|(request, session)| Step::Decide { request, session }),
        1 => (proptest::option::of(request), 0..SESSIONS)
            .prop_map(|(by, session)| Step::Revoke { by, session }),
        2 => (0..CONFIGURATIONS).prop_map(|configuration| Step::Make { configuration }),
        2 => Just(Step::Replace),
    ]
}

#[test]
fn whatever_is_reloaded_meanwhile_a_request_meets_one_configuration_and_every_revocation() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new());
    proptest!(ProptestConfig::with_cases(200), |(steps in vec(step(), 1..60))| {
        runtime.block_on(world.run(&steps));
    });
}
