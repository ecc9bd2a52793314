//! What both roles have in common: flights and when to repeat them, records in and out, the transcript.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use str0m::crypto::dtls::SrtpProfile;

use super::{
    Fault,
    inbox::{self, Inbox, Message},
    record::{self, ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Keys, Record, Window},
    schedule::Secrets,
};

/// Before a flight is repeated for the first time; doubles then. RFC 6347 §4.2.4.1 asks for 1 s unless one knows better: ICE has
/// just proved the way, which takes less.
pub(super) const FIRST_REPEAT: Duration = Duration::from_millis(400);
const LONGEST_REPEAT: Duration = Duration::from_millis(3200);
/// From the first flight to the last.
const HANDSHAKE_TIME: Duration = Duration::from_secs(30);
/// Repeats asked for by the peer, in all.
const MOST_REPEATS: u32 = 32;
/// Records of epoch 1 that overtook the ones that the keys come from.
const MOST_EARLY: usize = 8;
/// Outputs that wait to be fetched; application data is dropped beyond, as UDP would.
const MOST_OUTPUTS: usize = 256;

/// What is to be told.
pub(super) enum Output {
    Packet(Vec<u8>),
    PeerCert(Vec<u8>),
    Keying(Vec<u8>, SrtpProfile),
    Connected,
    Data(Vec<u8>),
    CloseNotify,
}

enum Part {
    Handshake { epoch: u64, bytes: Vec<u8> },
    ChangeCipherSpec,
}

enum Repeat {
    Never,
    /// A flight went out; the time when is not known before the next `tick`.
    Unset,
    At(Instant),
}

pub(super) struct Link {
    mtu: usize,
    now: Instant,
    repeat: Repeat,
    backoff: Duration,
    give_up: Option<Instant>,
    repeats: u32,
    flight: Vec<Part>,
    sequence: u16,
    /// The next record's number per epoch.
    numbers: [u64; 2],
    epoch: u64,
    keys: Option<Keys>,
    window: Window,
    early: Vec<Vec<u8>>,
    inbox: Inbox,
    /// All handshake messages so far.
    pub(super) transcript: Vec<u8>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) connected: bool,
}

impl Link {
    pub(super) fn new(now: Instant, mtu: usize) -> Self {
        Self {
            mtu,
            now,
            repeat: Repeat::Never,
            backoff: FIRST_REPEAT,
            give_up: None,
            repeats: 0,
            flight: Vec::new(),
            sequence: 0,
            numbers: [0, 1 << 48],
            epoch: 0,
            keys: None,
            window: Window::default(),
            early: Vec::new(),
            inbox: Inbox::default(),
            transcript: Vec::new(),
            outputs: VecDeque::new(),
            connected: false,
        }
    }

    /// A message of the flight that [`Self::send`] sends.
    pub(super) fn say(&mut self, kind: u8, body: &[u8]) {
        let bytes = inbox::write(kind, self.sequence, body);
        self.sequence += 1;
        self.transcript.extend_from_slice(&bytes);
        self.flight.push(Part::Handshake { epoch: self.epoch, bytes });
    }

    /// What follows in this flight is sealed.
    pub(super) fn change_cipher_spec(&mut self) {
        self.flight.push(Part::ChangeCipherSpec);
        self.epoch = 1;
    }

    pub(super) fn install(&mut self, keys: Keys) {
        self.keys = Some(keys);
    }

    /// The peer answered: the flight before is of no use any more.
    pub(super) fn new_flight(&mut self) {
        self.flight.clear();
        self.backoff = FIRST_REPEAT;
    }

    /// Sends the flight; it is repeated until [`Self::done`].
    pub(super) fn send(&mut self) -> Result<(), Fault> {
        self.repeat = Repeat::Unset;
        self.transmit()
    }

    /// Both Finished were right.
    pub(super) fn done(&mut self, secrets: &Secrets, profile: SrtpProfile) -> Result<(), Fault> {
        self.repeat = Repeat::Never;
        self.connected = true;
        self.transcript = Vec::new();
        self.outputs.push_back(Output::Keying(secrets.srtp(profile)?, profile));
        self.outputs.push_back(Output::Connected);
        Ok(())
    }

    fn transmit(&mut self) -> Result<(), Fault> {
        let flight = std::mem::take(&mut self.flight);
        let mut datagram = Vec::new();
        for part in &flight {
            match part {
                Part::ChangeCipherSpec => self.write(&mut datagram, 0, CHANGE_CIPHER_SPEC, &[1])?,
                Part::Handshake { epoch, bytes } => self.fragments(&mut datagram, *epoch, bytes)?,
            }
        }
        self.flush(&mut datagram);
        self.flight = flight;
        Ok(())
    }

    fn fragments(&mut self, datagram: &mut Vec<u8>, epoch: u64, message: &[u8]) -> Result<(), Fault> {
        let overhead = record::HEADER + record::SEALING + inbox::HEADER;
        let (header, body) = message.split_at(inbox::HEADER);
        let sequence = u16::from_be_bytes([header[4], header[5]]);
        let mut offset = 0;
        loop {
            let left = body.len() - offset;
            if self.mtu < datagram.len() + overhead + left.min(32) {
                self.flush(datagram);
            }
            let room = self.mtu.saturating_sub(datagram.len() + overhead).max(32);
            let part = &body[offset..offset + left.min(room)];
            let mut fragment = Vec::with_capacity(inbox::HEADER + part.len());
            inbox::write_header(&mut fragment, header[0], sequence, body.len(), offset, part.len());
            fragment.extend_from_slice(part);
            self.write(datagram, epoch, HANDSHAKE, &fragment)?;
            offset += part.len();
            if offset == body.len() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self, datagram: &mut Vec<u8>) {
        if !datagram.is_empty() {
            self.outputs.push_back(Output::Packet(std::mem::take(datagram)));
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, epoch: u64, kind: u8, body: &[u8]) -> Result<(), Fault> {
        let number = self.numbers[usize::from(epoch > 0)];
        self.numbers[usize::from(epoch > 0)] += 1;
        match &self.keys {
            Some(keys) if epoch > 0 => keys.seal(out, kind, number, body),
            None if epoch > 0 => Err(Fault::Crypto),
            _ => {
                record::write_plain(out, kind, number, body);
                Ok(())
            }
        }
    }

    /// A record of application data; `false` if it is too early, or too much waits already.
    pub(super) fn write_data(&mut self, data: &[u8]) -> Result<bool, Fault> {
        if !self.connected || self.outputs.len() >= MOST_OUTPUTS {
            return Ok(false);
        }
        let mut packet = Vec::new();
        self.write(&mut packet, 1, APPLICATION_DATA, data)?;
        self.flush(&mut packet);
        Ok(true)
    }

    /// Nothing is repeated any more.
    pub(super) fn stop(&mut self) {
        self.repeat = Repeat::Never;
        self.flight.clear();
    }

    pub(super) fn close_notify(&mut self) -> Result<(), Fault> {
        self.stop();
        if self.connected {
            let mut packet = Vec::new();
            self.write(&mut packet, 1, ALERT, &[1, 0])?;
            self.flush(&mut packet);
        }
        Ok(())
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        self.now = self.now.max(now);
        let due = match self.repeat {
            Repeat::Never => return Ok(()),
            Repeat::Unset => false,
            Repeat::At(due) if self.now < due => return Ok(()),
            Repeat::At(_) => true,
        };
        if self.now >= *self.give_up.get_or_insert(self.now + HANDSHAKE_TIME) {
            return Err(Fault::Timeout);
        }
        if due {
            self.backoff = (self.backoff * 2).min(LONGEST_REPEAT);
            self.transmit()?;
        }
        self.repeat = Repeat::At(self.now + self.backoff);
        Ok(())
    }

    /// When [`Self::tick`] is next needed; in the past if at once.
    pub(super) fn next_tick(&self) -> Instant {
        match self.repeat {
            Repeat::Never => self.now + Duration::from_secs(3600),
            Repeat::Unset => self.now,
            Repeat::At(due) => due,
        }
    }

    /// Takes a datagram apart.
    pub(super) fn receive(&mut self, datagram: &[u8]) -> Result<(), Fault> {
        record::records(datagram).into_iter().try_for_each(|record| self.record(&record))
    }

    /// The next handshake message. Once there are keys, what overtook them comes too.
    pub(super) fn next_message(&mut self) -> Result<Option<Message>, Fault> {
        if self.keys.is_some() {
            for datagram in std::mem::take(&mut self.early) {
                self.receive(&datagram)?;
            }
        }
        Ok(self.inbox.pop())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let opened;
        let body = match (record.epoch, &self.keys) {
            (0, _) => record.body,
            (1, None) => {
                if self.early.len() < MOST_EARLY {
                    let mut kept = Vec::new();
                    record::write_plain(&mut kept, record.kind, record.number, record.body);
                    self.early.push(kept);
                }
                return Ok(());
            }
            (1, Some(keys)) if self.window.is_new(record.number) => match keys.open(record) {
                Some(body) => {
                    self.window.note(record.number);
                    opened = body;
                    &opened
                }
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        match record.kind {
            HANDSHAKE => self.handshake(record.epoch, body),
            ALERT => self.alert(record.epoch, body),
            APPLICATION_DATA if record.epoch == 1 && self.connected => {
                if self.outputs.len() < MOST_OUTPUTS {
                    self.outputs.push_back(Output::Data(body.to_vec()));
                }
                Ok(())
            }
            // The epoch says the same as ChangeCipherSpec.
            _ => Ok(()),
        }
    }

    fn handshake(&mut self, epoch: u16, body: &[u8]) -> Result<(), Fault> {
        let asked = self.inbox.push(epoch, body);
        if asked && self.repeats < MOST_REPEATS {
            self.repeats += 1;
            self.transmit()?;
        }
        Ok(())
    }

    /// In the clear anybody may have written it: it counts only while the peer may have no keys.
    fn alert(&mut self, epoch: u16, body: &[u8]) -> Result<(), Fault> {
        let [level, description] = *body else { return Ok(()) };
        match (level, description) {
            _ if epoch == 0 && self.connected => Ok(()),
            (_, 0) | (2, _) if self.connected => {
                self.outputs.push_back(Output::CloseNotify);
                Ok(())
            }
            (2, _) | (_, 0) => Err(Fault::Alert(description)),
            _ => Ok(()),
        }
    }
}
