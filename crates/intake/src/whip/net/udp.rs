use std::{
    array,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};
use rtc::room::{Protocol, Transmit};
use socket2::{Domain, Socket, Type};
use tokio::{io::Interest, net::UdpSocket};
use tokio_util::sync::CancellationToken;

use super::{mailbox::Mailbox, routes::Routes};

/// What one read may bring: the kernel puts datagrams of one flow together up to this (UDP GRO).
const SLOT: usize = 64 << 10;

/// Reads at once from a publisher's own socket; pages of these buffers that are not used take no memory.
const FEW: usize = 4;

/// What the kernel may hold for us, of all publishers; it gives less where `net.core.rmem_max` is lower.
const KERNEL_BUFFER: usize = 8 << 20;

/// How long reading rests after an error that a datagram did not cause.
const REST: Duration = Duration::from_millis(50);

/// A bound UDP socket.
#[derive(Debug)]
pub(in crate::whip) struct Udp {
    socket: UdpSocket,
    state: UdpSocketState,
    bound: SocketAddr,
    /// What publishers are told; datagrams come to the first of them.
    advertised: Vec<SocketAddr>,
}

/// Whose datagrams come to a socket.
#[derive(Debug, Clone)]
pub(super) enum Owner {
    /// Of whoever has a route.
    All(Arc<Routes>),
    /// Of one publisher.
    One(Arc<Mailbox>),
}

impl Udp {
    pub(super) fn bind(bound: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(bound), Type::DGRAM, None)?;
        if bound.is_ipv6() {
            // IPv4 has sockets of its own.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(KERNEL_BUFFER)?;
        socket.bind(&bound.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let bound = socket.local_addr()?;
        // The kernel counts its own bookkeeping in: it says twice what it grants.
        let granted = state.recv_buffer_size(UdpSockRef::from(&socket))? / 2;
        tracing::debug!(%bound, granted, asked = KERNEL_BUFFER, "a UDP socket for media (more: net.core.rmem_max)");
        Ok(Self { socket, state, bound, advertised: Vec::new() })
    }

    /// The first free port at or after a starting point that moves with `turn`.
    pub(super) fn bind_within(ip: IpAddr, ports: &RangeInclusive<u16>, turn: usize) -> io::Result<Self> {
        for i in 0..ports.len() {
            let place = (turn.wrapping_add(i)) % ports.len();
            let port = ports.clone().nth(place).unwrap_or(*ports.start());
            match Self::bind((ip, port).into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                bound => return bound,
            }
        }
        let text = format!("no free UDP port on {ip} in {}-{}", ports.start(), ports.end());
        Err(io::Error::new(io::ErrorKind::AddrInUse, text))
    }

    pub(super) fn advertise(&mut self, ip: IpAddr) -> SocketAddr {
        let address = (ip, self.bound.port()).into();
        self.advertised.push(address);
        address
    }

    pub(super) fn bound(&self) -> SocketAddr {
        self.bound
    }

    pub(super) fn is_advertised_as(&self, address: SocketAddr) -> bool {
        self.advertised.contains(&address)
    }

    /// Sends, or drops when the kernel has no room: resending is WebRTC's business.
    pub(super) fn send(&self, datagram: &Transmit) {
        if let Err(error) = self.socket.try_send_to(&datagram.contents, datagram.destination) {
            tracing::trace!(%error, to = %datagram.destination, "datagram not sent");
        }
    }

    /// The socket's task.
    pub(super) async fn receive(self: Arc<Self>, owner: Owner, end: CancellationToken) {
        match &owner {
            Owner::All(_) => self.receive_by::<BATCH_SIZE>(&owner, &end).await,
            Owner::One(_) => self.receive_by::<FEW>(&owner, &end).await,
        }
    }

    async fn receive_by<const SLOTS: usize>(&self, owner: &Owner, end: &CancellationToken) {
        let mut buffer = vec![0; SLOTS * SLOT];
        let mut metas = [RecvMeta::default(); SLOTS];
        let mut woken = Vec::new();
        let mut ended = pin!(end.cancelled());
        loop {
            let read = || {
                let mut slots = buffer.chunks_exact_mut(SLOT);
                let mut slots: [IoSliceMut<'_>; SLOTS] =
                    array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
                self.state.recv(UdpSockRef::from(&self.socket), &mut slots, &mut metas)
            };
            let received = tokio::select! {
                biased;
                () = &mut ended => return,
                received = self.socket.async_io(Interest::READABLE, read) => received,
            };
            match received {
                Ok(count) => {
                    let filled = buffer.chunks_exact(SLOT).zip(&metas).take(count);
                    self.hand_out(owner, filled, &mut woken);
                }
                Err(error) if is_of_a_datagram(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, at = %self.bound, "cannot read from a UDP socket");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Each task that gets something is woken once, when all is handed out.
    fn hand_out<'a>(
        &self,
        owner: &Owner,
        filled: impl Iterator<Item = (&'a [u8], &'a RecvMeta)>,
        woken: &mut Vec<Arc<Mailbox>>,
    ) {
        let Some(to) = self.advertised.first().copied() else { return };
        let mut push = |mailbox: &Arc<Mailbox>, from, datagram| {
            if mailbox.push(Protocol::Udp, from, to, datagram) {
                woken.push(mailbox.clone());
            }
        };
        let datagrams = filled.flat_map(|(slot, meta)| {
            slot[..meta.len.min(slot.len())].chunks(meta.stride.max(1)).map(|datagram| (meta.addr, datagram))
        });
        match owner {
            Owner::One(mailbox) => datagrams.for_each(|(from, datagram)| push(mailbox, from, datagram)),
            Owner::All(routes) => {
                let mut tables = routes.lock();
                for (from, datagram) in datagrams {
                    if let Some(mailbox) = tables.find(from, datagram) {
                        push(mailbox, from, datagram);
                    }
                }
            }
        }
        woken.drain(..).for_each(|mailbox| mailbox.wake());
    }
}

/// The kernel reports that an earlier datagram of ours was not delivered.
fn is_of_a_datagram(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whip::net::Batch;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn what_comes_at_once_is_handed_over_in_order() {
        let mut udp = Udp::bind((LOOPBACK, 0).into()).unwrap();
        let to = udp.advertise(LOOPBACK);
        let peer = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
        for n in 0..100_u8 {
            peer.send_to(&vec![n; usize::from(n) + 1], to).unwrap();
        }
        let (mailbox, end) = (Arc::new(Mailbox::default()), CancellationToken::new());
        let task = tokio::spawn(Arc::new(udp).receive(Owner::One(mailbox.clone()), end.clone()));
        let (mut got, mut batch) = (Vec::new(), Batch::default());
        while got.len() < 100 {
            mailbox.news().await;
            while mailbox.take(&mut batch) {
                for (datagram, bytes) in (0..).map_while(|place| batch.get(place)) {
                    assert_eq!((datagram.from, datagram.to), (peer.local_addr().unwrap(), to));
                    got.push(bytes.to_vec());
                }
            }
        }
        assert!(got.iter().enumerate().all(|(n, bytes)| *bytes == vec![n as u8; n + 1]));
        end.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn ports_come_from_the_range_until_it_is_used_up() {
        let free = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap().port();
        let first = Udp::bind_within(LOOPBACK, &(free..=free), 7).unwrap();
        assert_eq!(first.bound().port(), free);
        let error = Udp::bind_within(LOOPBACK, &(free..=free), 8).unwrap_err();
        assert_eq!(error.to_string(), format!("no free UDP port on 127.0.0.1 in {free}-{free}"));
    }
}
