use std::{
    future::{Future, poll_fn},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    pin::Pin,
    task::{Context, Poll},
};

use rtc::room::{Protocol, Transmit};
use tokio::{io::ReadBuf, net::UdpSocket};

use super::{Network, tcp::Tcp};

/// A server has a handful of addresses; one that names more does not get more sockets.
const MAX_SOCKETS: usize = 8;

/// Larger than any datagram that WebRTC sends.
pub(super) const DATAGRAM_BYTES: usize = 2048;

/// What came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A datagram of `len` bytes.
    Datagram { proto: Protocol, from: SocketAddr, to: SocketAddr, len: usize },
    /// The TCP connection is open, from this address of ours.
    TcpOpen(SocketAddr),
}

/// The sockets of one peer connection: UDP, one for each address of ours, and a TCP connection when UDP leads nowhere.
pub(super) struct Sockets {
    network: Network,
    udp: Vec<Udp>,
    tcp: TcpState,
}

enum TcpState {
    Unused,
    Connecting(Pin<Box<dyn Future<Output = io::Result<Tcp>> + Send>>),
    Open(Box<Tcp>),
}

#[derive(Debug)]
struct Udp {
    local: SocketAddr,
    socket: UdpSocket,
}

impl Sockets {
    /// Binds the configured addresses, or the ones that lead to the server's.
    pub(super) fn open(network: &Network, server: &[SocketAddr]) -> io::Result<Self> {
        let mut sockets = Self { network: network.clone(), udp: Vec::new(), tcp: TcpState::Unused };
        for ip in &network.addresses {
            sockets.bind(*ip)?;
        }
        let mut failure = None;
        for remote in server {
            failure = sockets.reach(*remote).err().or(failure);
        }
        match failure {
            Some(error) if sockets.udp.is_empty() => Err(error),
            _ => Ok(sockets),
        }
    }

    /// Our addresses.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.udp.iter().map(|udp| udp.local).collect()
    }

    /// Makes sure that `remote` can be reached from an address of ours; says which one is new.
    pub(super) fn reach(&mut self, remote: SocketAddr) -> io::Result<Option<SocketAddr>> {
        if !self.network.addresses.is_empty() {
            return Ok(None);
        }
        let ip = address_towards(remote)?;
        if self.udp.len() >= MAX_SOCKETS || self.udp.iter().any(|udp| udp.local.ip() == ip) {
            return Ok(None);
        }
        self.bind(ip).map(Some)
    }

    fn bind(&mut self, ip: IpAddr) -> io::Result<SocketAddr> {
        let socket = match &self.network.ports {
            None => std::net::UdpSocket::bind((ip, 0))?,
            Some(ports) => bind_within(ip, ports)?,
        };
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        self.udp.push(Udp { local, socket: UdpSocket::from_std(socket)? });
        Ok(local)
    }

    /// Starts to connect to a TCP candidate of the server's, unless there is a connection already.
    pub(super) fn connect(&mut self, remote: SocketAddr) {
        if matches!(self.tcp, TcpState::Unused) {
            self.tcp = TcpState::Connecting(Box::pin(Tcp::connect(remote)));
        }
    }

    /// Whether media may be going over TCP.
    pub(super) fn uses_tcp(&self) -> bool {
        matches!(self.tcp, TcpState::Open(_))
    }

    /// Sends, or drops when the kernel has no room: resending is WebRTC's business.
    pub(super) fn send(&mut self, datagram: &Transmit) {
        if let TcpState::Open(tcp) = &mut self.tcp
            && datagram.proto == Protocol::Tcp
        {
            tcp.send(&datagram.contents);
            return;
        }
        if let Some(udp) = self.udp.iter().find(|udp| udp.local == datagram.source)
            && let Err(error) = udp.socket.try_send_to(&datagram.contents, datagram.destination)
        {
            tracing::trace!(%error, to = %datagram.destination, "datagram not sent");
        }
    }

    /// The next datagram, into `buffer`.
    pub(super) async fn recv(&mut self, buffer: &mut [u8; DATAGRAM_BYTES]) -> Arrival {
        poll_fn(|context| self.poll_recv(context, buffer)).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Arrival> {
        for udp in &self.udp {
            loop {
                let mut read = ReadBuf::new(buffer);
                match udp.socket.poll_recv_from(context, &mut read) {
                    Poll::Ready(Ok(from)) => {
                        let len = read.filled().len();
                        let (proto, to) = (Protocol::Udp, udp.local);
                        return Poll::Ready(Arrival::Datagram { proto, from, to, len });
                    }
                    // The kernel reports that an earlier datagram was not delivered: read on.
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => break,
                }
            }
        }
        self.poll_tcp(context, buffer)
    }

    fn poll_tcp(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Arrival> {
        let failed = match &mut self.tcp {
            TcpState::Unused => return Poll::Pending,
            TcpState::Connecting(connecting) => match connecting.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(tcp)) => {
                    let local = tcp.local;
                    self.tcp = TcpState::Open(Box::new(tcp));
                    return Poll::Ready(Arrival::TcpOpen(local));
                }
                Poll::Ready(Err(error)) => error,
            },
            TcpState::Open(tcp) => match tcp.poll_recv(context, buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(len)) => {
                    let (proto, from, to) = (Protocol::Tcp, tcp.remote, tcp.local);
                    return Poll::Ready(Arrival::Datagram { proto, from, to, len });
                }
                Poll::Ready(Err(error)) => error,
            },
        };
        // ICE notices that the path is gone; all that is left to do is to say why.
        tracing::debug!(error = %failed, "ICE over TCP ended");
        self.tcp = TcpState::Unused;
        Poll::Pending
    }
}

/// The address that the kernel would send from. Connecting a UDP socket looks up the route and sends nothing.
fn address_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// The first free port, starting at a random one so that many participants need few attempts.
fn bind_within(ip: IpAddr, ports: &RangeInclusive<u16>) -> io::Result<std::net::UdpSocket> {
    let (first, count) = (u32::from(*ports.start()), ports.len() as u32);
    let start = rand::random::<u32>();
    for i in 0..count {
        let port = first + start.wrapping_add(i) % count;
        match std::net::UdpSocket::bind((ip, port as u16)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    let text = format!("no free UDP port on {ip} in {}-{}", ports.start(), ports.end());
    Err(io::Error::new(io::ErrorKind::AddrInUse, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "127.0.0.1:7880";

    #[tokio::test]
    async fn a_loopback_server_is_reached_from_loopback_with_one_socket() {
        let mut sockets = Sockets::open(&Network::default(), &[SERVER.parse().unwrap()]).unwrap();
        assert_eq!(sockets.addresses().len(), 1);
        assert!(sockets.addresses()[0].ip().is_loopback());
        assert_eq!(sockets.reach("127.0.0.1:1".parse().unwrap()).unwrap(), None);
    }

    #[tokio::test]
    async fn ports_come_from_the_range_until_it_is_used_up() {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let network = Network { ports: Some(free..=free), ..Network::default() };
        let server = [SERVER.parse().unwrap()];
        let first = Sockets::open(&network, &server).unwrap();
        assert_eq!(first.addresses()[0].port(), free);
        let error = Sockets::open(&network, &server).err().unwrap();
        assert_eq!(error.to_string(), format!("no free UDP port on 127.0.0.1 in {free}-{free}"));
    }

    #[tokio::test]
    async fn a_datagram_names_both_its_ends() {
        let mut sockets = Sockets::open(&Network::default(), &[SERVER.parse().unwrap()]).unwrap();
        let to = sockets.addresses()[0];
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.send_to(b"hello", to).unwrap();
        let mut buffer = [0; DATAGRAM_BYTES];
        let arrival = sockets.recv(&mut buffer).await;
        let from = peer.local_addr().unwrap();
        assert_eq!(arrival, Arrival::Datagram { proto: Protocol::Udp, from, to, len: 5 });
        assert_eq!(&buffer[..5], b"hello");
    }
}
