//! How packets come: on the connection itself, or by UDP (RFC 2326 section 12.39).

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    task::Poll,
};

use socket2::{Domain, Socket, Type};
use tokio::{io::ReadBuf, net::UdpSocket};

/// What a URL asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// TCP, unless the server has only UDP.
    Any,
    Tcp,
    Udp,
}

/// How often a pair of ports is tried for.
const TRIES: usize = 16;

/// What the kernel may hold for us: a large key picture that comes at once.
const KERNEL_BUFFER: usize = 2 << 20;

/// The largest datagram.
const DATAGRAM: usize = 64 << 10;

/// The numbers that a `Transport` header gives: `interleaved=2-3`, `server_port=5000-5001`. The second is one above where it is missing.
pub(super) fn numbers(header: &str, name: &str) -> Option<(u16, u16)> {
    let parameter = |part: &str| {
        let (of, value) = part.trim().split_once('=')?;
        of.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    };
    // Of several transports the first is the one that counts.
    let value = header.split(',').next()?.split(';').find_map(parameter)?;
    let (first, second) = value.split_once('-').unwrap_or((&value, ""));
    let first: u16 = first.parse().ok()?;
    let second = if second.is_empty() { first.checked_add(1)? } else { second.parse().ok()? };
    Some((first, second))
}

/// The sockets of one track: an even port for RTP, the next for RTCP (RFC 3550 section 11).
#[derive(Debug)]
pub(super) struct Pair {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    port: u16,
    /// Only from there anything is taken, and only there anything is sent.
    peer: IpAddr,
    /// The server's ports, once it has told them.
    server: Option<(u16, u16)>,
}

impl Pair {
    /// Two ports beside each other at `local`, for packets from `peer`.
    pub(super) fn bind(local: IpAddr, peer: IpAddr) -> io::Result<Self> {
        for _ in 0..TRIES {
            let one = socket(local, 0)?;
            let port = one.local_addr()?.port();
            let Some(beside) = (if port % 2 == 0 { port.checked_add(1) } else { port.checked_sub(1) }) else {
                continue;
            };
            let Ok(other) = socket(local, beside) else { continue };
            let (rtp, rtcp) = if port % 2 == 0 { (one, other) } else { (other, one) };
            return Ok(Self { rtp, rtcp, port: port & !1, peer, server: None });
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// RTP's port; RTCP's is the next.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The server's ports, from its answer. What it says of its address (`source=`) does not count.
    pub(super) fn told(&mut self, server: Option<(u16, u16)>) {
        self.server = server.filter(|(rtp, rtcp)| *rtp > 0 && *rtcp > 0);
    }

    /// Opens the way back through a firewall or NAT, as players do: an empty RTP packet, and a report.
    pub(super) async fn punch(&self, report: &[u8]) {
        if let Some((rtp, _)) = self.server {
            let mut empty = [0; 12];
            empty[0] = 2 << 6;
            // Whoever is not reached this way may still send.
            let _ = self.rtp.send_to(&empty, SocketAddr::new(self.peer, rtp)).await;
        }
        self.report(report).await;
    }

    /// Sends RTCP.
    pub(super) async fn report(&self, report: &[u8]) {
        if let Some((_, rtcp)) = self.server {
            // A report that is lost is followed by another.
            let _ = self.rtcp.send_to(report, SocketAddr::new(self.peer, rtcp)).await;
        }
    }
}

/// The next datagram of any of these: which pair's, whether it is RTCP, and what it is. Waits for ever where there is none.
pub(super) async fn receive(pairs: &[Pair], buffer: &mut Vec<u8>) -> (usize, bool) {
    buffer.resize(DATAGRAM, 0);
    let (at, is_rtcp, length) = poll_fn(|context| {
        for (at, pair) in pairs.iter().enumerate() {
            for (is_rtcp, socket) in [(false, &pair.rtp), (true, &pair.rtcp)] {
                loop {
                    let mut read = ReadBuf::new(buffer);
                    match socket.poll_recv_from(context, &mut read) {
                        Poll::Ready(Ok(from)) if from.ip().to_canonical() == pair.peer => {
                            return Poll::Ready((at, is_rtcp, read.filled().len()));
                        }
                        // Somebody else's, or what became of a datagram of ours.
                        Poll::Ready(_) => {}
                        Poll::Pending => break,
                    }
                }
            }
        }
        Poll::Pending
    })
    .await;
    buffer.truncate(length);
    (at, is_rtcp)
}

fn socket(local: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(local, port);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(KERNEL_BUFFER)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_what_servers_write() {
        let header = "RTP/AVP/UDP;unicast;source=10.0.0.1;client_port=4-5; server_port=6256-6257;ssrc=1A";
        assert_eq!(numbers(header, "server_port"), Some((6256, 6257)));
        assert_eq!(numbers("RTP/AVP/TCP;interleaved=2", "interleaved"), Some((2, 3)));
        assert_eq!(numbers("RTP/AVP/TCP;interleaved=65535", "interleaved"), None);
        assert_eq!(numbers("RTP/AVP;server_port=x-y,RTP/AVP;server_port=1-2", "server_port"), None);
        assert_eq!(numbers("", "server_port"), None);
    }

    #[tokio::test]
    async fn a_pair_is_even_and_takes_packets_of_its_peer_only() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        let pairs = [Pair::bind(local, local).unwrap()];
        let to = |port| SocketAddr::new(local, port);
        assert_eq!(pairs[0].port() % 2, 0);
        let stranger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        stranger.send_to(b"stranger", to(pairs[0].port())).await.unwrap();
        peer.send_to(b"peer", to(pairs[0].port() + 1)).await.unwrap();
        let mut buffer = Vec::new();
        assert_eq!(receive(&pairs, &mut buffer).await, (0, true));
        assert_eq!(buffer, b"peer");
    }
}
