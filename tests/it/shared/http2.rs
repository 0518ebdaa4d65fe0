//! A revocation among the streams of one HTTP/2 connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, Response};
use tokio::{task::JoinHandle, time::timeout};

use super::Fleet;

const TOLD: &[(&str, &str)] = &[("CLERK_GATEWAY__SERVER__H2C", "true")];
/// What the product promises.
const PROMISED: Duration = Duration::from_secs(1);
/// Shorter than the upstream's ticks are apart.
const NOW: Duration = Duration::from_millis(5);
/// Of each session.
const STREAMS: usize = 5;
const ASKING: usize = 8;

/// A client with one connection to a replica.
#[derive(Clone)]
struct Connection {
    client: Client,
    base: String,
}

impl Connection {
    fn to(fleet: &Fleet, replica: usize) -> Self {
        let client = Client::builder().http2_prior_knowledge();
        Self {
            client: client.build().unwrap(),
            base: format!("http://{}", fleet.replicas[replica].address),
        }
    }

    async fn ask(&self, path: &str, token: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.base));
        request.bearer_auth(token).send().await.unwrap()
    }

    /// Answers that have begun, and have no end.
    async fn streams(&self, token: &str) -> Vec<Response> {
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            let mut stream = self.ask("/plain/ticks", token).await;
            assert_eq!(stream.chunk().await.unwrap().unwrap(), "tick");
            streams.push(stream);
        }
        streams
    }

    /// Asks until told to stop: when, and what was answered.
    async fn load(self, token: String, stop: Arc<AtomicBool>) -> Vec<(Instant, u16)> {
        let mut answers = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let began = Instant::now();
            let answer = self.ask("/plain/x", &token).await;
            answers.push((began, answer.status().as_u16()));
            answer.bytes().await.unwrap();
        }
        answers
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server; tests/run installs it"]
async fn a_revocation_ends_its_own_streams_of_an_http2_connection_under_load_and_no_others() {
    let fleet = Fleet::told(2, TOLD).await;
    let (session, ended) = fleet.lasting_session();
    let (_, other) = fleet.lasting_session();
    let connection = Connection::to(&fleet, 1);
    let ending = connection.streams(&ended).await;
    let going_on = connection.streams(&other).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = |token: &String| {
        let begin = |_| tokio::spawn(connection.clone().load(token.clone(), stop.clone()));
        (0..ASKING).map(begin).collect::<Vec<_>>()
    };
    let (of_ended, of_other) = (load(&ended), load(&other));
    tokio::time::sleep(PROMISED).await;
    let ordered = Instant::now();
    fleet.replicas[0].revoke(&session);
    for stream in ending {
        let is_whole = timeout(PROMISED, to_its_end(stream)).await.unwrap();
        assert!(!is_whole, "a part is taken for the whole");
    }
    println!("streams ended after {:.1?}", ordered.elapsed());
    assert!(ordered.elapsed() < PROMISED);
    tokio::time::sleep(PROMISED).await;
    stop.store(true, Ordering::SeqCst);
    for stream in going_on {
        goes_on(stream).await;
    }
    let mut refused = 0;
    for (began, status) in answers(of_ended).await {
        let is_late = began > ordered + PROMISED;
        assert!(status == 401 || status == 200 && !is_late, "{status}");
        refused += usize::from(status == 401);
    }
    let passed = answers(of_other).await;
    assert!(
        passed.iter().all(|(_, status)| *status == 200),
        "{passed:?}"
    );
    assert!(refused > 0 && !passed.is_empty());
    let connections = "clerk_gateway_connections{listener=\"public\"}";
    assert_eq!(fleet.replicas[1].metric(connections), Some(1));
}

/// Reads a body to where it ends or breaks off, and tells which.
async fn to_its_end(mut stream: Response) -> bool {
    loop {
        match stream.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Reads what has come already, and then what is yet to come.
async fn goes_on(mut stream: Response) {
    while let Ok(chunk) = timeout(NOW, stream.chunk()).await {
        assert!(chunk.unwrap().is_some(), "it has come to its end");
    }
    assert!(stream.chunk().await.unwrap().is_some());
}

async fn answers(load: Vec<JoinHandle<Vec<(Instant, u16)>>>) -> Vec<(Instant, u16)> {
    let mut all = Vec::new();
    for one in load {
        all.extend(one.await.unwrap());
    }
    all
}
