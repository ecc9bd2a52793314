//! One connection, as the engine drives it.

use std::{fmt, time::Instant};

use str0m::{
    config::{DtlsCert, KeyingMaterial},
    crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, ProtocolVersion},
};

use super::{
    Fault,
    certificate::Identity,
    client::Client,
    hello::FINISHED,
    inbox::Message,
    link::{Link, Output},
    server::Server,
};

/// What the engine asks for, in bytes of a UDP payload, if it does not say.
const DEFAULT_MTU: usize = 1150;
/// The longest plaintext of a record.
const LONGEST_DATA: usize = 1 << 14;

enum Role {
    /// A client that has not said anything.
    Idle,
    Client(Client),
    Server(Server),
    /// It came to nothing, or is over.
    Ended,
}

pub(super) struct Instance {
    own: Identity,
    link: Link,
    role: Role,
    active: bool,
    closed: bool,
}

impl Instance {
    pub(super) fn new(cert: &DtlsCert, now: Instant, mtu: Option<usize>) -> Result<Self, Fault> {
        let link = Link::new(now, mtu.unwrap_or(DEFAULT_MTU));
        Ok(Self {
            own: Identity::new(cert)?,
            link,
            role: Role::Server(Server::Hello),
            active: false,
            closed: false,
        })
    }

    fn step(&mut self, message: Message) -> Result<(), Fault> {
        // What is sealed and what is not is settled (RFC 5246 §7.4.9): nothing unsealed can pass for a Finished.
        if !self.link.connected && (message.kind == FINISHED) != (message.epoch == 1) {
            return Err(Fault::Unexpected);
        }
        self.role = match std::mem::replace(&mut self.role, Role::Ended) {
            Role::Client(client) => Role::Client(client.handle(message, &mut self.link, &self.own)?),
            Role::Server(server) => Role::Server(server.handle(message, &mut self.link, &self.own)?),
            other => other,
        };
        Ok(())
    }

    /// Whatever fails ends it: a peer that may try again may guess.
    fn or_end(&mut self, done: Result<(), Fault>) -> Result<(), DtlsImplError> {
        if done.is_err() {
            self.role = Role::Ended;
            self.link.stop();
        }
        Ok(done?)
    }

    fn receive(&mut self, datagram: &[u8]) -> Result<(), Fault> {
        if self.closed || matches!(self.role, Role::Idle | Role::Ended) {
            return Ok(());
        }
        self.link.receive(datagram)?;
        while let Some(message) = self.link.next_message()? {
            self.step(message)?;
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        if matches!(self.role, Role::Idle) && !self.closed {
            self.role = Role::Client(Client::start(&mut self.link)?);
        }
        self.link.tick(now)
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.active = active;
        self.role = if active { Role::Idle } else { Role::Server(Server::Hello) };
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        let done = self.receive(packet);
        self.or_end(done)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let Some(output) = self.link.outputs.pop_front() else {
            return DtlsOutput::Timeout(self.link.next_tick());
        };
        let bytes = match &output {
            Output::Packet(bytes) | Output::PeerCert(bytes) | Output::Data(bytes) => bytes.as_slice(),
            _ => &[],
        };
        let needed = bytes.len();
        if needed > buf.len() {
            self.link.outputs.push_front(output);
            return DtlsOutput::BufferTooSmall { needed };
        }
        let copy = &mut buf[..needed];
        copy.copy_from_slice(bytes);
        match output {
            Output::Packet(_) => DtlsOutput::Packet(copy),
            Output::PeerCert(_) => DtlsOutput::PeerCert(copy),
            Output::Data(_) => DtlsOutput::ApplicationData(copy),
            Output::Keying(material, profile) => {
                DtlsOutput::KeyingMaterial(KeyingMaterial::new(&material), profile)
            }
            Output::Connected => DtlsOutput::Connected,
            Output::CloseNotify => DtlsOutput::CloseNotify,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        let done = self.tick(now);
        self.or_end(done)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        if self.closed {
            return Err(DtlsImplError::ConnectionClosed);
        }
        if data.is_empty() {
            return Ok(0);
        }
        if data.len() > LONGEST_DATA {
            return Err(DtlsImplError::TransmitQueueFull);
        }
        Ok(if self.link.write_data(data)? { data.len() } else { 0 })
    }

    fn is_active(&self) -> bool {
        self.active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.link.connected.then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closing(&self) -> bool {
        self.closed
    }

    fn is_closed(&self) -> bool {
        self.closed && self.link.outputs.is_empty()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        if !std::mem::replace(&mut self.closed, true) {
            self.link.close_notify()?;
        }
        Ok(())
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("active", &self.active)
            .field("connected", &self.link.connected)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
