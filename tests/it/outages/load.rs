//! The load: requests of all kinds at a steady pace, however long each of them takes.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    kind::Kind,
    people::Person,
    place::Place,
    workers::{HELD, NUMBER, header},
};

/// Requests a second, where the machine allows.
const RATE: f64 = 500.0;
const TICK: Duration = Duration::from_millis(10);
/// More are not under way at once: most of them wait for Clerk.
const MOST: usize = 400;
/// More of those that wait for nobody are under way only where the machine is behind.
const MOST_PROMPT: usize = 10;
/// Whoever is not answered by then never is.
const NEVER: Duration = Duration::from_secs(20);
/// How long a client stays that goes away.
const PATIENCE: Duration = Duration::from_millis(600);

/// A request, and what became of it.
pub(super) struct Sample {
    pub(super) number: u64,
    pub(super) kind: Kind,
    /// Who was asked.
    pub(super) replica: usize,
    pub(super) began: Instant,
    pub(super) took: Duration,
    /// The phases in which it began and ended.
    pub(super) phases: (usize, usize),
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Answered {
        status: u16,
        code: String,
    },
    /// The answer came, but it is not for who asked.
    Wrong(String),
    Lost(String),
    /// The client went away.
    Left,
}

/// Requests that go on until they are told to stop.
pub(super) struct Load {
    shared: Arc<Shared>,
    pacer: JoinHandle<()>,
}

struct Shared {
    place: Arc<Place>,
    mix: Vec<Kind>,
    phase: AtomicUsize,
    turn: AtomicUsize,
    numbers: AtomicU64,
    /// A replica's unused connections.
    idle: Vec<Mutex<Vec<TcpStream>>>,
    most: AtomicUsize,
    prompt: AtomicUsize,
    samples: Mutex<Vec<Sample>>,
    stopping: AtomicUsize,
}

/// One of the load's requests, and in which phase whoever asks came with what they have.
#[derive(Clone, Copy)]
struct Turn {
    number: u64,
    phase: usize,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Load {
    /// Starts once everybody whom the gateway is to know has been answered.
    pub(super) async fn start(place: &Arc<Place>, mix: Vec<Kind>) -> Self {
        let shared = Arc::new(Shared {
            place: Arc::clone(place),
            mix,
            phase: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            numbers: AtomicU64::new(0),
            idle: place.replicas.iter().map(|_| Mutex::default()).collect(),
            most: AtomicUsize::new(0),
            prompt: AtomicUsize::new(0),
            samples: Mutex::default(),
            stopping: AtomicUsize::new(0),
        });
        for replica in 0..place.replicas.len() {
            for one in &place.people.known {
                shared
                    .ask_at(replica, Kind::Known, shared.next(), one)
                    .await;
            }
            for one in &place.people.with_template {
                shared
                    .ask_at(replica, Kind::Template, shared.next(), one)
                    .await;
            }
        }
        let pacer = tokio::spawn(pace(Arc::clone(&shared)));
        Self { shared, pacer }
    }

    pub(super) fn enter(&self, phase: usize) {
        self.shared.phase.store(phase, Ordering::SeqCst);
    }

    /// Returns how many requests were under way at once at most.
    pub(super) fn most(&self) -> usize {
        self.shared.most.load(Ordering::Relaxed)
    }

    /// Waits for every answer, and returns what became of all.
    pub(super) async fn stop(self) -> Vec<Sample> {
        self.shared.stopping.store(1, Ordering::SeqCst);
        self.pacer.await.unwrap();
        std::mem::take(&mut self.shared.samples.lock().unwrap())
    }
}

async fn pace(shared: Arc<Shared>) {
    let began = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = JoinSet::new();
    let mut sent = 0.0;
    while shared.stopping.load(Ordering::SeqCst) == 0 {
        ticks.tick().await;
        while running.try_join_next().is_some() {}
        // What the machine cannot do in time is not made up for.
        let due = began.elapsed().as_secs_f64() * RATE;
        sent = f64::max(sent, due - RATE / 10.0);
        while sent < due && running.len() < MOST && !shared.is_behind() {
            sent += 1.0;
            let shared = Arc::clone(&shared);
            running.spawn(async move { shared.one().await });
        }
        shared.most.fetch_max(running.len(), Ordering::Relaxed);
    }
    while running.join_next().await.is_some() {}
}

impl Shared {
    fn is_behind(&self) -> bool {
        self.prompt.load(Ordering::Relaxed) >= MOST_PROMPT
    }

    async fn one(&self) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.one_of(self.mix[turn % self.mix.len()]).await;
    }

    async fn one_of(&self, kind: Kind) {
        let turn = self.next();
        let who = self.who(kind, turn.number);
        self.ask(kind, turn, &who).await;
        if kind == Kind::Leaver {
            // Whoever left comes back, and finds what was begun for them.
            self.ask(Kind::New, self.next(), &who).await;
        }
    }

    fn next(&self) -> Turn {
        Turn {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            phase: self.phase.load(Ordering::SeqCst),
        }
    }

    async fn ask(&self, kind: Kind, turn: Turn, who: &Person) {
        let replica = self.replica(kind, turn.number);
        self.ask_at(replica, kind, turn, who).await;
    }

    async fn ask_at(&self, replica: usize, kind: Kind, turn: Turn, who: &Person) {
        let Turn { number, phase } = turn;
        let (request, expected) = self.request(kind, number, who);
        let prompt = usize::from(kind.is_prompt());
        self.prompt.fetch_add(prompt, Ordering::Relaxed);
        let began = Instant::now();
        let outcome = match kind {
            Kind::Leaver => self.leave(replica, &request).await,
            _ => match timeout(NEVER, self.exchange(replica, &request)).await {
                Err(_) => Outcome::Lost("never answered".to_owned()),
                Ok(Err(error)) => Outcome::Lost(error.to_string()),
                Ok(Ok(answer)) => judge(&answer, &expected),
            },
        };
        self.prompt.fetch_sub(prompt, Ordering::Relaxed);
        let sample = Sample {
            number,
            kind,
            replica,
            began,
            took: began.elapsed(),
            phases: (phase, self.phase.load(Ordering::SeqCst)),
            outcome,
        };
        self.samples.lock().unwrap().push(sample);
    }

    fn who(&self, kind: Kind, number: u64) -> Person {
        let people = &self.place.people;
        // The mix has an even length: by the number alone, each kind would meet the same few.
        let turn = number as usize / 2 + number as usize / 20;
        let of = |all: &[Person]| all[turn % all.len()].clone();
        match kind {
            Kind::Template => of(&people.with_template),
            Kind::Revoked => of(&people.revoked),
            Kind::Bare => people.bare.clone(),
            Kind::Ended => people.ended.clone(),
            Kind::Own | Kind::Others => people.ending[self.home(number)].clone(),
            Kind::New | Kind::NewToken | Kind::Leaver => self.place.newcomer(number),
            _ => of(&people.known),
        }
    }

    /// The replica that revokes a session of those that the row revokes.
    fn home(&self, number: u64) -> usize {
        let turn = number as usize / 2 + number as usize / 20;
        turn % self.idle.len()
    }

    fn replica(&self, kind: Kind, number: u64) -> usize {
        let count = self.idle.len();
        match kind {
            Kind::Own => self.home(number),
            Kind::Others => {
                let other = 1 + number as usize % (count - 1);
                (self.home(number) + other) % count
            }
            _ => number as usize % count,
        }
    }

    /// A request's bytes, and what the upstream is to say where it is reached.
    fn request(&self, kind: Kind, number: u64, who: &Person) -> (String, String) {
        let people = &self.place.people;
        let path = match kind {
            Kind::Public => "/public/",
            Kind::Networkless | Kind::Ended | Kind::Own | Kind::Others => "/networkless/",
            Kind::Template => "/token/",
            Kind::NewToken => "/new-token/",
            Kind::Leaver => &format!("/app{HELD}"),
            _ => "/app/",
        };
        let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
        let credential = match kind {
            Kind::Public | Kind::SignedOut => String::new(),
            Kind::Forged => bearer(&people.forged),
            Kind::Expired => bearer(&people.expired),
            Kind::UnknownKid => bearer(&self.of_unknown_key(number)),
            Kind::Bare => format!("X-Session-Id: {}\r\n", who.session),
            _ => bearer(&who.token),
        };
        let says = match kind {
            Kind::Public => " ".to_owned(),
            Kind::Template | Kind::NewToken => format!("{} {}", who.session, who.user),
            _ => format!("{} ", who.session),
        };
        let (method, body) = match kind {
            Kind::Post => ("POST", "Content-Length: 4\r\n\r\nbody"),
            _ => ("GET", "\r\n"),
        };
        let request = format!(
            "{method} {path}{number} HTTP/1.1\r\nHost: gw.test\r\n{NUMBER}: {number}\r\n{credential}{body}"
        );
        (request, says)
    }

    fn of_unknown_key(&self, number: u64) -> String {
        let session = &self.place.people.known[0].session;
        let kid = format!("ins_unknown{number}");
        let edit = |header: &mut serde_json::Value, _: &mut _| header["kid"] = kid.into();
        self.place.sandbox.mint_with(session, edit)
    }

    async fn exchange(&self, replica: usize, request: &str) -> io::Result<Answer> {
        let mut stream = self.connection(replica).await?;
        stream.write_all(request.as_bytes()).await?;
        let answer = read(&mut stream).await?;
        if !header(&answer.head, "connection").eq_ignore_ascii_case("close") {
            self.idle[replica].lock().unwrap().push(stream);
        }
        Ok(answer)
    }

    async fn leave(&self, replica: usize, request: &str) -> Outcome {
        let Ok(mut stream) = connect(self.place.replicas[replica].address).await else {
            return Outcome::Lost("no connection".to_owned());
        };
        let _ = stream.write_all(request.as_bytes()).await;
        match timeout(PATIENCE, read(&mut stream)).await {
            Ok(Ok(Answer { status, .. })) => Outcome::Answered {
                status,
                code: String::new(),
            },
            _ => Outcome::Left,
        }
    }

    /// An unused connection, if there is one that its replica has not ended meanwhile.
    fn idle(&self, replica: usize) -> Option<TcpStream> {
        let mut idle = self.idle[replica].lock().unwrap();
        std::iter::from_fn(|| idle.pop()).find(is_open)
    }

    async fn connection(&self, replica: usize) -> io::Result<TcpStream> {
        match self.idle(replica) {
            Some(stream) => Ok(stream),
            None => connect(self.place.replicas[replica].address).await,
        }
    }
}

fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn read(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = answer(&bytes) {
            return Ok(answer);
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length: usize = header(head, "content-length").parse().unwrap();
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().unwrap(),
        head: head.to_owned(),
        body: body.get(..length)?.to_owned(),
    })
}

fn judge(answer: &Answer, expected: &str) -> Outcome {
    let Answer { status, head, body } = answer;
    if *status == 200 && body != expected {
        return Outcome::Wrong(format!("{body:?} and not {expected:?}"));
    }
    if *status == 503 && header(head, "retry-after").is_empty() {
        return Outcome::Wrong("503 without Retry-After".to_owned());
    }
    let code = body.split(r#""code":""#).nth(1);
    let code = code.and_then(|rest| rest.split('"').next());
    Outcome::Answered {
        status: *status,
        code: code.unwrap_or_default().to_owned(),
    }
}
