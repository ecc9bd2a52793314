use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that the kernel completes while we are busy: a burst of encoders that all come back after an outage.
const BACKLOG: i32 = 1024;

/// A peer that is silent for this long is asked by the kernel whether it is there.
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// Between two such questions.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// Questions without an answer: 5 s + 3 × 2 s = 11 s to notice a half-open connection, of the 15 s that fault row 10 allows.
const PROBES: u32 = 3;

/// Bytes of ours that nobody acknowledges for this long end the connection (TCP_USER_TIMEOUT, RFC 5482).
const UNACKNOWLEDGED: Duration = Duration::from_secs(11);

/// A listening socket; an IPv6 wildcard address takes IPv4 too, or IPv4 alone where IPv6 is switched off.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    match open(addr) {
        Err(error)
            if addr.ip() == Ipv6Addr::UNSPECIFIED
                && !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) =>
        {
            open((Ipv4Addr::UNSPECIFIED, addr.port()).into())
        }
        opened => opened,
    }
}

/// A listening socket for one family of addresses.
pub(crate) fn listen_only(addr: SocketAddr) -> io::Result<TcpListener> {
    bind(addr, true)
}

fn open(addr: SocketAddr) -> io::Result<TcpListener> {
    bind(addr, !addr.ip().is_unspecified())
}

fn bind(addr: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Makes a connection notice a peer that is gone, and sends answers at once.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY).with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_prepared_to_notice_a_dead_peer_within_15_s() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        prepare(&server).unwrap();
        let socket = SockRef::from(&server);
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        let probes = socket.tcp_keepalive_interval().unwrap() * socket.tcp_keepalive_retries().unwrap();
        assert!(socket.tcp_keepalive_time().unwrap() + probes < Duration::from_secs(15));
        assert!(socket.tcp_user_timeout().unwrap().unwrap() < Duration::from_secs(15));
        drop(client);
    }
}
