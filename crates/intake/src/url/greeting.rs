//! SHOUTcast 1 answers `ICY 200 OK` where HTTP says `HTTP/1.0 200 OK`, and goes on as HTTP does.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const ICY: [u8; 4] = *b"ICY ";
const HTTP: &[u8] = b"HTTP/1.0 ";

/// A connection whose first four bytes are put in HTTP's words, if they are SHOUTcast's.
pub(super) struct Greeted<S> {
    stream: S,
    state: State,
}

enum State {
    /// So many bytes of the first four have come.
    Begins(usize, [u8; 4]),
    /// These are still to be given, before what comes from now on.
    Owes(Bytes),
    Through,
}

impl<S> Greeted<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, state: State::Begins(0, [0; 4]) }
    }

    pub(super) fn inner(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Begins(count, first) => {
                    let mut rest = ReadBuf::new(&mut first[*count..]);
                    ready!(Pin::new(&mut this.stream).poll_read(cx, &mut rest))?;
                    let came = rest.filled().len();
                    *count += came;
                    // no SHOUTcast, as soon as that is known: nobody waits for four bytes that need not come
                    if *first == ICY {
                        this.state = State::Owes(Bytes::from_static(HTTP));
                    } else if came == 0 || first[..*count] != ICY[..*count] {
                        this.state = State::Owes(Bytes::copy_from_slice(&first[..*count]));
                    }
                }
                State::Owes(bytes) => {
                    buf.put_slice(&bytes.split_to(bytes.len().min(buf.remaining())));
                    if bytes.is_empty() {
                        this.state = State::Through;
                    }
                    return Poll::Ready(Ok(()));
                }
                State::Through => return Pin::new(&mut this.stream).poll_read(cx, buf),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
