//! HTTP/2 by prior knowledge: told from HTTP/1 by its first bytes, which are then read again.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::{cut::Cut, wire::WriteTimer};
use crate::limit::places::Place;

/// RFC 9113 §3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A stream whose first bytes were read already, and are read again.
pub(super) struct Replayed<T> {
    inner: T,
    first: Vec<u8>,
}

/// Reads as much as tells the protocol; the caller bounds the time.
pub(super) async fn sniff(mut stream: TcpStream) -> io::Result<(Replayed<TcpStream>, Protocol)> {
    let mut first = Vec::with_capacity(PREFACE.len());
    while PREFACE.starts_with(&first) && first.len() < PREFACE.len() {
        let left = (PREFACE.len() - first.len()) as u64;
        if (&mut stream).take(left).read_buf(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let protocol = match first == PREFACE {
        true => Protocol::Http2,
        false => Protocol::Http1,
    };
    let replayed = Replayed {
        inner: stream,
        first,
    };
    Ok((replayed, protocol))
}

impl<T> Replayed<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            first: Vec::new(),
        }
    }
}

impl<T: AsyncRead + Unpin> Replayed<T> {
    /// Waits for the next bytes, and keeps them to be read again; `false` where the other side has ended.
    pub(super) async fn wait(&mut self) -> io::Result<bool> {
        let mut next = [0; PREFACE.len()];
        let read = self.read(&mut next).await?;
        self.first = next[..read].to_vec();
        Ok(read > 0)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Replayed<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.first.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        let fits = this.first.len().min(buf.remaining());
        buf.put_slice(&this.first[..fits]);
        this.first.drain(..fits);
        if this.first.is_empty() {
            this.first = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Replayed<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// An HTTP/2 connection's transport: its first bytes and each write are bound in time; pings bound the rest.
pub(super) struct Paced<T> {
    inner: T,
    /// Gone with the first bytes.
    first_read: Option<Pin<Box<Sleep>>>,
    write: WriteTimer,
    cut: Cut,
}

impl<T> Paced<T> {
    pub(super) fn new(
        inner: T,
        (first_read, write): (Duration, Duration),
        (cut, place): (Cut, Place),
    ) -> Self {
        Self {
            inner,
            first_read: Some(Box::pin(sleep(first_read))),
            write: WriteTimer::new(write, cut.clone(), place),
            cut,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if read.is_ready() {
            this.first_read = None;
            return read;
        }
        let Some(timer) = &mut this.first_read else {
            return Poll::Pending;
        };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(this.cut.because("handshake-timeout")))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.write.judge(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.write.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.write.judge(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.write.judge(cx, shut)
    }
}
