//! A wire to a server that can be made bad: slow, or cut without either end being told.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Good,
    /// Each answer takes so much longer.
    Slow(Duration),
    /// Whatever is sent is lost, on connections that are there for good.
    Cut,
}

impl Wire {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self {
            address: listener.local_addr().unwrap(),
            state: watch::Sender::new(State::Good),
        };
        tokio::spawn(accept(listener, server, wire.state.subscribe()));
        wire
    }

    pub(crate) fn slow(&self, by: Duration) {
        self.state.send_replace(State::Slow(by));
    }

    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// New connections are good; those that were cut are never heard of again.
    pub(crate) fn heal(&self) {
        self.state.send_replace(State::Good);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, state: watch::Receiver<State>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, server, state.clone()));
    }
}

async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    if *state.borrow() == State::Cut {
        lose(&mut client).await;
        return Ok(());
    }
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut said, mut answers) = client.into_split();
    let (mut answered, mut to_server) = server.into_split();
    let delays = state.clone();
    tokio::select! {
        _ = tokio::io::copy(&mut said, &mut to_server) => return Ok(()),
        () = carry_back(&mut answered, &mut answers, delays) => return Ok(()),
        _ = state.wait_for(|state| *state == State::Cut) => {}
    }
    // Neither end is told, and whatever heals, this connection does not.
    lose(&mut said).await;
    Ok(())
}

/// Reads what nobody will answer.
async fn lose(said: &mut (impl AsyncRead + Unpin)) {
    let mut lost = [0; 1024];
    while said.read(&mut lost).await.is_ok_and(|read| read > 0) {}
}

async fn carry_back(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    state: watch::Receiver<State>,
) {
    let (queue, mut due) = mpsc::unbounded_channel();
    let reading = async move {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            let delay = match *state.borrow() {
                State::Slow(by) => by,
                State::Good | State::Cut => Duration::ZERO,
            };
            let _ = queue.send((Instant::now() + delay, bytes[..read].to_vec()));
        }
    };
    let writing = async move {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
