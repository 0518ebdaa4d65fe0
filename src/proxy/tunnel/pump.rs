//! One direction of an upgraded connection.

use std::{future::pending, io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
};

use super::{End, websocket::Frames};
use crate::limit::activity::Activity;

const BUFFER: usize = 8 * 1024;

/// How a direction ends.
pub(super) struct Direction {
    /// Makes the last frame of a WebSocket; `None`: its bytes mean nothing to us.
    pub(super) close: Option<fn(u16) -> Vec<u8>>,
    pub(super) end: watch::Receiver<Option<End>>,
    pub(super) activity: Arc<Activity>,
}

/// Copies until the reading side ends, or until told to end and the frame under way is whole.
pub(super) async fn pump<R, W>(mut from: R, mut to: W, mut direction: Direction) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut frames = Frames::default();
    let mut buffer = vec![0; BUFFER];
    let mut ending: Option<End> = None;
    loop {
        if let Some(end) = ending
            && frames.is_at_boundary()
        {
            return say_goodbye(to, &direction, end).await;
        }
        let read = tokio::select! {
            biased;
            end = told(&mut direction.end), if ending.is_none() => {
                ending = Some(end);
                continue;
            }
            read = from.read(&mut buffer) => read?,
        };
        if read == 0 {
            return to.shutdown().await;
        }
        direction.activity.note();
        let mut bytes = &buffer[..read];
        match (direction.close, ending) {
            (None, _) => {}
            (Some(_), None) => frames.follow(bytes),
            (Some(_), Some(_)) => bytes = &bytes[..frames.finish(bytes)],
        }
        to.write_all(bytes).await?;
        to.flush().await?;
    }
}

async fn told(end: &mut watch::Receiver<Option<End>>) -> End {
    match end.wait_for(Option::is_some).await.map(|end| *end) {
        Ok(Some(end)) => end,
        // Nobody is left who could tell.
        Ok(None) | Err(_) => pending().await,
    }
}

async fn say_goodbye<W>(mut to: W, direction: &Direction, end: End) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    if let Some(close) = direction.close {
        to.write_all(&close(end.code())).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proxy::tunnel::websocket::close_to_client;

    fn direction(close: bool) -> (watch::Sender<Option<End>>, Direction) {
        let (sender, end) = watch::channel(None);
        let close: Option<fn(u16) -> Vec<u8>> =
            close.then_some(|code| close_to_client(code).to_vec());
        let activity = Arc::new(Activity::new(Duration::from_secs(60)));
        let direction = Direction {
            close,
            end,
            activity,
        };
        (sender, direction)
    }

    #[tokio::test]
    async fn a_close_frame_never_lands_inside_a_frame() {
        let (end, direction) = direction(true);
        let (mut upstream, from) = tokio::io::duplex(64);
        let (to, mut client) = tokio::io::duplex(64);
        let pumped = tokio::spawn(pump(from, to, direction));
        upstream.write_all(&[0x82, 5, b'h', b'e']).await.unwrap();
        let mut half = [0; 4];
        client.read_exact(&mut half).await.unwrap();
        end.send_replace(Some(End::GoingAway));
        upstream.write_all(b"llo\x82\x01x").await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [&b"llo"[..], &close_to_client(1001)].concat());
        pumped.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn other_upgrades_are_cut_without_a_word() {
        let (end, direction) = direction(false);
        let (_upstream, from) = tokio::io::duplex(64);
        let (to, mut client) = tokio::io::duplex(64);
        end.send_replace(Some(End::GoingAway));
        pump(from, to, direction).await.unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    }
}
