use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
    time::timeout,
};

/// The other end is the server that we have just joined: one that does not answer in this time is firewalled.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// What may wait for a slow connection: half a second at 8 Mbit/s. More would only make media late; it is dropped.
const UNSENT_BYTES: usize = 512 * 1024;

/// Room for what one read brings; grows with a frame of up to 64 kB.
const READ_BYTES: usize = 16 * 1024;

/// An ICE connection over TCP (RFC 6544), for networks that let no UDP through. Each datagram has its length before it, two
/// bytes, big endian (RFC 4571).
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    stream: TcpStream,
    framing: Framing,
    unsent: Vec<u8>,
}

impl Tcp {
    pub(super) async fn connect(remote: SocketAddr) -> io::Result<Self> {
        let stream = timeout(CONNECT_DEADLINE, TcpStream::connect(remote)).await??;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        Ok(Self { local, remote, stream, framing: Framing::default(), unsent: Vec::new() })
    }

    /// Sends a datagram, or drops it when too much waits already.
    pub(super) fn send(&mut self, datagram: &[u8]) {
        let Ok(length) = u16::try_from(datagram.len()) else { return };
        if self.unsent.len() + datagram.len() > UNSENT_BYTES {
            return;
        }
        self.unsent.extend(length.to_be_bytes());
        self.unsent.extend(datagram);
        // A broken connection is for poll_recv to report.
        self.flush().ok();
    }

    /// Writes what the kernel takes now.
    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.try_write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next datagram, into `buffer`; an error when the connection is over. Sends what waits meanwhile.
    pub(super) fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        while !self.unsent.is_empty() && self.stream.poll_write_ready(context)?.is_ready() {
            self.flush()?;
        }
        loop {
            if let Some(length) = self.framing.next(buffer) {
                return Poll::Ready(Ok(length));
            }
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            match std::pin::Pin::new(&mut self.stream).poll_read(context, &mut read)? {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if read.filled().is_empty() => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(()) => self.framing.bytes.extend(read.filled()),
            }
        }
    }
}

/// Cuts a byte stream into datagrams.
#[derive(Debug, Default)]
struct Framing {
    bytes: Vec<u8>,
}

impl Framing {
    /// Copies the next whole datagram; skips those that are larger than `buffer`, and empty ones.
    fn next(&mut self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            let (head, rest) = self.bytes.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*head));
            let datagram = rest.get(..length)?;
            let fits = (1..=buffer.len()).contains(&length);
            if fits {
                buffer[..length].copy_from_slice(datagram);
            }
            self.bytes.drain(..2 + length);
            if fits {
                return Some(length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::future::poll_fn;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[tokio::test]
    async fn datagrams_go_both_ways_and_the_end_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut tcp = Tcp::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, from) = listener.accept().await.unwrap();
        assert_eq!(from, tcp.local);
        tcp.send(b"ping");
        let mut got = [0; 6];
        peer.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"\0\x04ping");
        peer.write_all(b"\0\x02ok\0\x01!").await.unwrap();
        drop(peer);
        let mut buffer = [0; 16];
        for expected in [&b"ok"[..], b"!"] {
            let length = poll_fn(|context| tcp.poll_recv(context, &mut buffer)).await.unwrap();
            assert_eq!(&buffer[..length], expected);
        }
        assert!(poll_fn(|context| tcp.poll_recv(context, &mut buffer)).await.is_err());
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut_the_datagrams_are_the_same(
            datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
            cut in 1_usize..50,
        ) {
            let mut stream = vec![];
            for datagram in &datagrams {
                stream.extend((datagram.len() as u16).to_be_bytes());
                stream.extend(datagram);
            }
            let (mut framing, mut got, mut buffer) = (Framing::default(), vec![], [0; 32]);
            for part in stream.chunks(cut) {
                framing.bytes.extend(part);
                while let Some(length) = framing.next(&mut buffer) {
                    got.push(buffer[..length].to_vec());
                }
            }
            let fitting: Vec<_> = datagrams.into_iter().filter(|d| (1..=32).contains(&d.len())).collect();
            prop_assert_eq!(got, fitting);
        }
    }
}
