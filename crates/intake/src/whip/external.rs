use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    net::{UdpSocket, lookup_host},
    time::timeout,
};

use super::net::stun::{self, Transaction};

/// A question is asked again after this; RFC 8489 section 6.2.1 has 500 ms for the first time.
const AGAIN: Duration = Duration::from_millis(500);

/// How often it is asked: networks lose single datagrams.
const TIMES: usize = 6;

/// For names to be looked up.
const LOOKUP: Duration = Duration::from_secs(3);

/// Servers that are asked, at once; the first answer counts.
const SERVERS: usize = 16;

/// The address that the network sees us at when we send from `bind`, as STUN servers say (RFC 8489): what publishers outside a
/// one-to-one NAT, as clouds have them, must be told. `servers` are `host:port`, `stun:` may stand before it, port 3478 is meant
/// without one. Takes about 6 s at most; `None` when nobody has answered, which is logged.
pub async fn external_address(servers: &[String], bind: IpAddr) -> Option<IpAddr> {
    match ask(servers, bind).await {
        Ok(address) => Some(address),
        Err(error) => {
            tracing::warn!(%bind, %error, "no STUN server told our external address");
            None
        }
    }
}

async fn ask(servers: &[String], bind: IpAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((bind, 0)).await?;
    let servers = look_up(servers, bind).await;
    if servers.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no server has an address of our kind"));
    }
    let transaction: Transaction = rand::random();
    let question = stun::request(transaction);
    for _ in 0..TIMES {
        for server in &servers {
            // One that cannot be reached is only one of several.
            let _ = socket.send_to(&question, server).await;
        }
        if let Ok(address) = timeout(AGAIN, answer(&socket, &servers, transaction)).await {
            return Ok(address);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

async fn look_up(servers: &[String], bind: IpAddr) -> Vec<SocketAddr> {
    let found = servers.iter().take(SERVERS).map(|server| async move {
        let name = server.strip_prefix("stun:").unwrap_or(server);
        let has_port = name.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let name = if has_port { name.to_owned() } else { format!("{name}:3478") };
        let mut addresses = timeout(LOOKUP, lookup_host(name)).await.ok()?.ok()?;
        addresses.find(|address| address.is_ipv4() == bind.is_ipv4())
    });
    join_all(found).await.into_iter().flatten().collect()
}

async fn answer(socket: &UdpSocket, servers: &[SocketAddr], transaction: Transaction) -> IpAddr {
    let mut buffer = [0; 1500];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut buffer).await
            && servers.contains(&from)
            && let Some(address) = stun::seen_at(&buffer[..length], transaction)
        {
            return address;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says where the question came from, the second time that it is asked.
    async fn serve(socket: UdpSocket) {
        let mut buffer = [0; 1500];
        socket.recv_from(&mut buffer).await.unwrap();
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        assert_eq!((length, &buffer[..4]), (20, &[0, 1, 0, 0][..]));
        let answer = [&[1, 1, 0, 12], &buffer[4..20], &[0, 1, 0, 8, 0, 1, 0, 9, 198, 51, 100, 7]].concat();
        socket.send_to(&answer, from).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_says_where_we_are_though_a_datagram_is_lost_and_another_is_silent() {
        let [server, silent] =
            [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap()];
        let names =
            [format!("stun:{}", silent.local_addr().unwrap()), server.local_addr().unwrap().to_string()];
        let serving = tokio::spawn(serve(server));
        let address = external_address(&names, "127.0.0.1".parse().unwrap()).await;
        assert_eq!(address, Some("198.51.100.7".parse().unwrap()));
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn without_a_server_there_is_no_address() {
        assert_eq!(external_address(&[], "127.0.0.1".parse().unwrap()).await, None);
        let other_family = ["[::1]:3478".to_owned()];
        assert_eq!(external_address(&other_family, "127.0.0.1".parse().unwrap()).await, None);
    }
}
