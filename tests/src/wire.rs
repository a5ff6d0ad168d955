//! Bytes on the wire. In: a stream. Out: the same, and how many bytes went over it, flight by flight: what one side sends
//! before the other says anything.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that counts. The first flight is sent, the second received, and so on.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    flights: Vec<usize>,
}

impl<S> Counted<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, flights: vec![0] }
    }

    pub(crate) fn flights(&self) -> Vec<usize> {
        self.flights.clone()
    }

    fn count(&mut self, sent: bool, bytes: usize) {
        let sending = self.flights.len() % 2 == 1;
        if bytes > 0 && sent != sending {
            self.flights.push(0);
        }
        *self.flights.last_mut().expect("there is a first flight") += bytes;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.count(false, buffer.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            this.count(true, written);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
