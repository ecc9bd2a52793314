//! The sockets that media comes through, and who gets what comes.

mod mailbox;
mod routes;
pub(super) mod stun;
mod tcp;
mod udp;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rtc::{
    room::{Protocol, Transmit},
    whip::Local,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub(super) use mailbox::{Batch, Mailbox};
pub(super) use routes::{Route, Routes};
use tcp::Tcp;
use udp::{Owner, Udp};

use super::{
    Error,
    options::{Address, Media, Udp as Ports},
};
use crate::socket;

/// All that media comes through.
#[derive(Debug)]
pub(super) struct Net {
    ports: Ports,
    addresses: Vec<Address>,
    routes: Arc<Routes>,
    shared: Arc<[Arc<Udp>]>,
    udp: Vec<Local>,
    tcp: Vec<Local>,
    /// Where the search for a publisher's own port begins.
    turn: AtomicUsize,
    tasks: TaskTracker,
    end: CancellationToken,
}

/// The sockets of one publisher, shared with others or its own.
#[derive(Debug)]
pub(super) struct Sockets {
    udp: Arc<[Arc<Udp>]>,
    /// Ends the tasks of its own sockets.
    _own: Option<DropGuard>,
}

impl Net {
    /// Binds everything; the sockets' tasks run until `end`.
    pub(super) fn bind(media: Media, tasks: TaskTracker, end: CancellationToken) -> Result<Self, Error> {
        let routes = Arc::new(Routes::default());
        let (mut shared, mut udp) = (Vec::new(), Vec::new());
        if let Ports::Shared(port) = media.udp {
            (shared, udp) = bind_all(&media.addresses, |ip| Udp::bind((ip, port).into()))?;
        }
        let shared: Arc<[Arc<Udp>]> = shared.into_iter().map(Arc::new).collect();
        for socket in &*shared {
            tasks.spawn(socket.clone().receive(Owner::All(routes.clone()), end.clone()));
        }
        let mut tcp = Vec::new();
        if let Some(port) = media.tcp_port {
            for listener in listen_all(&media.addresses, port)? {
                tcp.push(Local { protocol: Protocol::Tcp, address: listener.advertised });
                tasks.spawn(listener.receive(routes.clone(), end.clone()));
            }
        }
        let (ports, addresses, turn) = (media.udp, media.addresses, AtomicUsize::new(0));
        Ok(Self { ports, addresses, routes, shared, udp, tcp, turn, tasks, end })
    }

    /// The shared sockets' addresses, as bound.
    pub(super) fn udp_addrs(&self) -> Vec<SocketAddr> {
        self.shared.iter().map(|udp| udp.bound()).collect()
    }

    /// The listeners' addresses for ICE over TCP, as advertised.
    pub(super) fn tcp_addrs(&self) -> Vec<SocketAddr> {
        self.tcp.iter().map(|local| local.address).collect()
    }

    /// Who gets what.
    pub(super) fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// Sockets for one publisher and their candidates, in the order that they are offered. Call [`Sockets::open`] next.
    pub(super) fn session(&self) -> Result<(Pending, Vec<Local>), Error> {
        let (own, mut locals) = match &self.ports {
            Ports::Shared(_) => (None, self.udp.clone()),
            Ports::PerSession(ports) => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let (own, locals) = bind_all(&self.addresses, |ip| Udp::bind_within(ip, ports, turn))?;
                (Some(own), locals)
            }
        };
        locals.extend(&self.tcp);
        Ok((Pending { own }, locals))
    }

    /// What comes to the publisher's sockets goes to its mailbox from now on.
    pub(super) fn open(&self, pending: Pending, mailbox: &Arc<Mailbox>) -> Sockets {
        let Some(own) = pending.own else { return Sockets { udp: self.shared.clone(), _own: None } };
        let end = self.end.child_token();
        let own: Arc<[Arc<Udp>]> = own.into_iter().map(Arc::new).collect();
        for socket in &*own {
            self.tasks.spawn(socket.clone().receive(Owner::One(mailbox.clone()), end.clone()));
        }
        Sockets { udp: own, _own: Some(end.drop_guard()) }
    }
}

/// Sockets that nothing reads from yet.
#[derive(Debug)]
pub(super) struct Pending {
    own: Option<Vec<Udp>>,
}

impl Sockets {
    /// Sends from the address that the datagram names.
    pub(super) fn send_udp(&self, datagram: &Transmit) {
        if let Some(udp) = self.udp.iter().find(|udp| udp.is_advertised_as(datagram.source)) {
            udp.send(datagram);
        }
    }
}

/// One socket for each address to bind, however many names it has.
fn bind_all(
    addresses: &[Address],
    bind: impl Fn(IpAddr) -> io::Result<Udp>,
) -> Result<(Vec<Udp>, Vec<Local>), Error> {
    let mut sockets: Vec<Udp> = Vec::new();
    let mut locals = Vec::new();
    for Address { bind: ip, advertise } in addresses {
        let known = sockets.iter().position(|socket| socket.bound().ip() == *ip);
        let place = match known {
            Some(place) => place,
            None => {
                sockets.push(bind(*ip).map_err(|error| Error::bind("UDP", *ip, error))?);
                sockets.len() - 1
            }
        };
        locals.push(Local { protocol: Protocol::Udp, address: sockets[place].advertise(*advertise) });
    }
    Ok((sockets, locals))
}

fn listen_all(addresses: &[Address], port: u16) -> Result<Vec<Tcp>, Error> {
    let mut listeners: Vec<Tcp> = Vec::new();
    let mut bound = Vec::new();
    for Address { bind: ip, advertise } in addresses {
        if bound.contains(ip) {
            continue;
        }
        bound.push(*ip);
        let listen = || {
            let listener = socket::listen_only((*ip, port).into())?;
            let advertised = (*advertise, listener.local_addr()?.port()).into();
            io::Result::Ok(Tcp { listener, advertised })
        };
        listeners.push(listen().map_err(|error| Error::bind("ICE-TCP", *ip, error))?);
    }
    Ok(listeners)
}
