//! Against ourselves and the engine's own DTLS, in memory; against OpenSSL with RSA in `openssl_tests`.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use str0m::{
    config::{CryptoProvider, DtlsCert, DtlsVersion},
    crypto::{
        dtls::{DtlsImplError, DtlsInstance, DtlsOutput, SrtpProfile},
        from_feature_flags,
    },
};

/// One end and what it has told.
pub(super) struct End {
    pub(super) dtls: Box<dyn DtlsInstance>,
    pub(super) certificate: Vec<u8>,
    pub(super) sent: Vec<Vec<u8>>,
    pub(super) peer: Option<Vec<u8>>,
    pub(super) keying: Option<(Vec<u8>, SrtpProfile)>,
    pub(super) connected: bool,
    pub(super) closed: bool,
    pub(super) data: Vec<Vec<u8>>,
    pub(super) due: Instant,
}

impl End {
    pub(super) fn new(provider: &CryptoProvider, active: bool, now: Instant, mtu: usize) -> Self {
        let own = provider.dtls_provider.generate_certificate().unwrap();
        Self::with(provider, own, active, now, mtu)
    }

    fn with(provider: &CryptoProvider, own: DtlsCert, active: bool, now: Instant, mtu: usize) -> Self {
        let mut dtls = provider.dtls_provider.new_dtls(&own, now, DtlsVersion::Dtls12, Some(mtu)).unwrap();
        dtls.set_active(active);
        let mut end = Self {
            dtls,
            certificate: own.certificate,
            sent: Vec::new(),
            peer: None,
            keying: None,
            connected: false,
            closed: false,
            data: Vec::new(),
            due: now,
        };
        end.tick(now).unwrap();
        end.receive(&[]).unwrap();
        end
    }

    pub(super) fn tick(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.dtls.handle_timeout(now)?;
        self.poll();
        Ok(())
    }

    pub(super) fn receive(&mut self, datagram: &[u8]) -> Result<(), DtlsImplError> {
        let done = self.dtls.handle_packet(datagram);
        self.poll();
        done
    }

    fn poll(&mut self) {
        let mut buf = [0; 2000];
        loop {
            match self.dtls.poll_output(&mut buf) {
                DtlsOutput::Packet(packet) => self.sent.push(packet.to_vec()),
                DtlsOutput::PeerCert(der) => self.peer = Some(der.to_vec()),
                DtlsOutput::KeyingMaterial(material, profile) => {
                    self.keying = Some((material.to_vec(), profile));
                }
                DtlsOutput::Connected => self.connected = true,
                DtlsOutput::ApplicationData(data) => self.data.push(data.to_vec()),
                DtlsOutput::CloseNotify => self.closed = true,
                DtlsOutput::Timeout(due) => {
                    self.due = due;
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Lets both speak until they are connected, through a network that `spoil`s what is under way. Time goes on when nothing else does.
fn connect(client: &mut End, server: &mut End, now: &mut Instant, mut spoil: impl FnMut(&mut Vec<Vec<u8>>)) {
    for _ in 0..200 {
        carry(client, server, &mut spoil);
        carry(server, client, &mut spoil);
        if client.connected && server.connected {
            return;
        }
        if client.sent.is_empty() && server.sent.is_empty() {
            *now = client.due.min(server.due).max(*now);
        }
        client.tick(*now).unwrap();
        server.tick(*now).unwrap();
    }
    panic!("never connected");
}

fn carry(from: &mut End, to: &mut End, mut spoil: impl FnMut(&mut Vec<Vec<u8>>)) {
    let mut datagrams = std::mem::take(&mut from.sent);
    spoil(&mut datagrams);
    for datagram in datagrams {
        to.receive(&datagram).unwrap();
    }
}

/// `to` gets what `from` says, once.
fn talk(from: &mut End, to: &mut End) {
    assert_eq!(from.dtls.send_application_data(b"hello").unwrap(), 5);
    from.poll();
    for datagram in std::mem::take(&mut from.sent) {
        to.receive(&datagram).unwrap();
        // a replay
        to.receive(&datagram).unwrap();
    }
    assert_eq!(to.data, [b"hello"]);
}

fn check(client: &mut End, server: &mut End) {
    assert_eq!(client.peer.as_ref(), Some(&server.certificate));
    assert_eq!(server.peer.as_ref(), Some(&client.certificate));
    assert!(client.keying.is_some());
    assert_eq!(client.keying, server.keying);
    talk(client, server);
    talk(server, client);
}

fn pair(mtu: usize) -> (End, End, Instant) {
    let now = Instant::now();
    let provider = super::provider();
    (End::new(&provider, true, now, mtu), End::new(&provider, false, now, mtu), now)
}

#[test]
fn is_a_server_for_the_engines_own_client() {
    let mut now = Instant::now();
    let mut client = End::new(&from_feature_flags(), true, now, 1150);
    let mut server = End::new(&super::provider(), false, now, 1150);
    connect(&mut client, &mut server, &mut now, |_| ());
    check(&mut client, &mut server);
}

#[test]
fn is_a_client_for_the_engines_own_server() {
    let mut now = Instant::now();
    let mut client = End::new(&super::provider(), true, now, 1150);
    let mut server = End::new(&from_feature_flags(), false, now, 1150);
    connect(&mut client, &mut server, &mut now, |_| ());
    check(&mut client, &mut server);
}

#[test]
fn messages_are_cut_to_fit_small_datagrams() {
    let (mut client, mut server, mut now) = pair(200);
    connect(&mut client, &mut server, &mut now, |datagrams| {
        assert!(datagrams.iter().all(|datagram| datagram.len() <= 200));
        datagrams.reverse();
    });
    check(&mut client, &mut server);
}

#[test]
fn the_first_flight_lost_is_sent_again() {
    let (mut client, mut server, mut now) = pair(1150);
    let start = now;
    let mut first = true;
    connect(&mut client, &mut server, &mut now, |datagrams| {
        if std::mem::take(&mut first) {
            datagrams.clear();
        }
    });
    assert_eq!(now - start, Duration::from_millis(400));
    check(&mut client, &mut server);
}

#[test]
fn a_peer_that_never_answers_ends_it() {
    let (mut client, _, start) = pair(1150);
    let error = loop {
        if let Err(error) = client.tick(client.due) {
            break error;
        }
        assert!(client.due < start + Duration::from_secs(40));
    };
    assert!(matches!(error, DtlsImplError::Timeout(_)), "{error}");
    assert!(client.sent.len() < 20);
}

#[test]
fn closing_tells_the_peer() {
    let (mut client, mut server, mut now) = pair(1150);
    connect(&mut client, &mut server, &mut now, |_| ());
    client.dtls.close().unwrap();
    assert!(!client.dtls.is_closed());
    client.poll();
    assert!(client.dtls.is_closed());
    server.receive(&client.sent.remove(0)).unwrap();
    assert!(server.closed);
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let (mut client, mut server, _) = pair(1150);
    server.receive(&client.sent.remove(0)).unwrap();
    // message 1, Certificate, with an empty list
    let empty = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 15, 11, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0];
    let error = server.receive(&empty).unwrap_err();
    assert!(matches!(error, DtlsImplError::CertificateError(_)), "{error}");
    // and it stays so
    server.sent.clear();
    server.receive(&client.sent.pop().unwrap_or_default()).unwrap();
    assert!(server.sent.is_empty() && server.peer.is_none());
}

/// An end with the certificate of somebody else, whose key it does not have.
fn liar(active: bool, now: Instant) -> End {
    let provider = super::provider();
    let (own, other) =
        (provider.dtls_provider.generate_certificate(), provider.dtls_provider.generate_certificate());
    let (own, other) = (own.unwrap(), other.unwrap());
    let stolen = DtlsCert { certificate: other.certificate, private_key: own.private_key };
    End::with(&provider, stolen, active, now, 1150)
}

#[test]
fn a_client_has_to_have_the_key_of_its_certificate() {
    let now = Instant::now();
    let (mut client, mut server) = (liar(true, now), End::new(&super::provider(), false, now, 1150));
    carry(&mut client, &mut server, |_| ());
    carry(&mut server, &mut client, |_| ());
    let mut datagrams = client.sent.iter();
    assert!(datagrams.any(|datagram| matches!(server.receive(datagram), Err(DtlsImplError::CryptoError(_)))));
    assert!(server.peer.is_none() && server.keying.is_none() && !server.connected);
}

#[test]
fn a_server_has_to_have_the_key_of_its_certificate() {
    let now = Instant::now();
    let (mut client, mut server) = (End::new(&super::provider(), true, now, 1150), liar(false, now));
    carry(&mut client, &mut server, |_| ());
    let mut datagrams = server.sent.iter();
    assert!(datagrams.any(|datagram| matches!(client.receive(datagram), Err(DtlsImplError::CryptoError(_)))));
    assert!(client.sent.is_empty() && client.peer.is_none() && client.keying.is_none());
}

proptest! {
    #[test]
    fn loss_and_disorder_only_cost_time(seed in prop::collection::vec(0u8..6, 64)) {
        let (mut client, mut server, mut now) = pair(300);
        let mut dice = seed.into_iter().chain(std::iter::repeat(5));
        connect(&mut client, &mut server, &mut now, |datagrams| {
            let mut arrived = Vec::new();
            for datagram in datagrams.drain(..) {
                match dice.next().unwrap() {
                    0 => {}
                    1 => arrived.insert(0, datagram),
                    2 => arrived.extend([datagram.clone(), datagram]),
                    _ => arrived.push(datagram),
                }
            }
            *datagrams = arrived;
        });
        // A repeated Finished may still be under way.
        client.sent.clear();
        server.sent.clear();
        check(&mut client, &mut server);
    }

    #[test]
    fn no_bytes_are_a_reason_to_panic(
        at in 0usize..12, byte in 0usize..1200, value: u8, cut in 0usize..1200, noise: Vec<u8>,
    ) {
        let (mut client, mut server, _) = pair(300);
        let mut count = 0;
        for turn in 0..12 {
            let (from, to) = if turn % 2 == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
            for mut datagram in std::mem::take(&mut from.sent) {
                if count == at {
                    let _ = to.receive(&noise);
                    let (place, length) = (byte % datagram.len(), datagram.len());
                    datagram[place] = value;
                    let _ = to.receive(&datagram[..cut % length]);
                }
                count += 1;
                let _ = to.receive(&datagram);
            }
        }
    }
}
