//! The passive side of the handshake (RFC 5246 §7.3, RFC 6347 §4.2.4). No HelloVerifyRequest: ICE has proved the peer's address.

use str0m::crypto::dtls::SrtpProfile;

use super::{
    Fault,
    certificate::{Identity, OUR_SCHEME, PeerCertificate, SCHEMES},
    hello::{self, *},
    inbox::Message,
    link::{Link, Output},
    record::VERSION,
    schedule::{self, GROUPS, Randoms, Secrets, Share},
    wire::{self, Reader},
};

/// What has to come next, with what is known by then.
pub(super) enum Server {
    Hello,
    Certificate(Chosen, Randoms, Share),
    KeyExchange(Chosen, Randoms, Share, PeerCertificate),
    Verify(Chosen, Secrets, PeerCertificate),
    Finished(Chosen, Secrets),
    Done,
}

/// What the hellos settled.
#[derive(Clone, Copy)]
pub(super) struct Chosen {
    number: u16,
    profile: SrtpProfile,
}

impl Server {
    pub(super) fn handle(self, message: Message, link: &mut Link, own: &Identity) -> Result<Self, Fault> {
        let body = message.body();
        let before = link.transcript.len();
        if !matches!(self, Self::Done) {
            link.transcript.extend_from_slice(&message.bytes);
        }
        match (self, message.kind) {
            (Self::Hello, CLIENT_HELLO) => hello(body, link, own),
            (Self::Certificate(chosen, randoms, share), CERTIFICATE) => {
                let mut body = body;
                let der = hello::leaf(&mut body)?.ok_or(Fault::NoCertificate)?;
                Ok(Self::KeyExchange(chosen, randoms, share, PeerCertificate::read(der)?))
            }
            (Self::KeyExchange(chosen, randoms, share, peer), CLIENT_KEY_EXCHANGE) => {
                let mut body = body;
                let point = body.vector(1)?;
                body.end()?;
                let secrets = share.agree(point, randoms, &link.transcript)?;
                link.install(secrets.keys(false)?);
                Ok(Self::Verify(chosen, secrets, peer))
            }
            (Self::Verify(chosen, secrets, peer), CERTIFICATE_VERIFY) => {
                let mut body = body;
                let (scheme, signature) = (body.u16()?, body.vector(2)?);
                body.end()?;
                peer.verify(scheme, &link.transcript[..before], signature)?;
                link.outputs.push_back(Output::PeerCert(peer.der));
                Ok(Self::Finished(chosen, secrets))
            }
            (Self::Finished(chosen, secrets), FINISHED) => {
                hello::check_finished(body, &secrets, true, &link.transcript[..before])?;
                link.new_flight();
                link.change_cipher_spec();
                let finished = secrets.finished(false, &link.transcript)?;
                link.say(FINISHED, &finished);
                link.send()?;
                link.done(&secrets, chosen.profile)?;
                Ok(Self::Done)
            }
            // A renegotiation, say: nobody needs one.
            (Self::Done, _) => Ok(Self::Done),
            _ => Err(Fault::Unexpected),
        }
    }
}

fn hello(mut body: Reader<'_>, link: &mut Link, own: &Identity) -> Result<Server, Fault> {
    hello::check_version(body.u16()?)?;
    let client = hello::random(body.take(32)?)?;
    body.vector(1)?; // session
    body.vector(1)?; // cookie
    let suites = body.numbers()?;
    let compressions = body.vector(1)?;
    let extensions = wire::extensions(&mut body)?;
    let find = |kind| wire::find(&extensions, kind);
    let list = |kind| find(kind).map_or(Ok(Vec::new()), |body| Reader::new(body).numbers());

    if find(EXTENDED_MASTER_SECRET).is_none() {
        return Err(Fault::NoExtendedMasterSecret);
    }
    let theirs = list(SUPPORTED_GROUPS)?;
    let group = GROUPS.into_iter().find(|group| theirs.contains(group)).ok_or(Fault::NothingInCommon)?;
    let can = suites.contains(&ECDSA_SUITE)
        && list(SIGNATURE_ALGORITHMS)?.contains(&OUR_SCHEME)
        && compressions.contains(&0);
    if !can {
        return Err(Fault::NothingInCommon);
    }
    let (number, profile) = hello::choose_profile(find(USE_SRTP))?;
    let chosen = Chosen { number, profile };
    let randoms = Randoms { client, server: schedule::random()? };
    let share = Share::new(group)?;

    link.new_flight();
    let secure = find(RENEGOTIATION_INFO).is_some() || suites.contains(&RENEGOTIATION_SCSV);
    link.say(SERVER_HELLO, &server_hello(chosen, &randoms, secure, find(POINT_FORMATS).is_some()));
    link.say(CERTIFICATE, &hello::certificate(&own.certificate));
    link.say(SERVER_KEY_EXCHANGE, &key_exchange(&share, &randoms, own)?);
    link.say(CERTIFICATE_REQUEST, &certificate_request());
    link.say(SERVER_HELLO_DONE, &[]);
    link.send()?;
    Ok(Server::Certificate(chosen, randoms, share))
}

fn server_hello(chosen: Chosen, randoms: &Randoms, secure: bool, points: bool) -> Vec<u8> {
    let mut body = VERSION.to_be_bytes().to_vec();
    body.extend_from_slice(&randoms.server);
    body.push(0); // no session
    body.extend_from_slice(&ECDSA_SUITE.to_be_bytes());
    body.push(0); // no compression
    let mut extensions = Vec::new();
    if secure {
        wire::extension(&mut extensions, RENEGOTIATION_INFO, &[0]);
    }
    if points {
        wire::extension(&mut extensions, POINT_FORMATS, &UNCOMPRESSED);
    }
    wire::extension(&mut extensions, EXTENDED_MASTER_SECRET, &[]);
    wire::extension(&mut extensions, USE_SRTP, &hello::use_srtp(&[chosen.number]));
    wire::vector(&mut body, 2, &extensions);
    body
}

fn key_exchange(share: &Share, randoms: &Randoms, own: &Identity) -> Result<Vec<u8>, Fault> {
    let mut body = vec![NAMED_CURVE];
    body.extend_from_slice(&share.group.to_be_bytes());
    wire::vector(&mut body, 1, &share.public);
    let signature = own.sign(&[&randoms.client[..], &randoms.server, &body].concat())?;
    body.extend_from_slice(&OUR_SCHEME.to_be_bytes());
    wire::vector(&mut body, 2, &signature);
    Ok(body)
}

/// The client's certificate may be RSA: all that WebRTC clients have.
fn certificate_request() -> Vec<u8> {
    let mut body = Vec::new();
    wire::vector(&mut body, 1, &[ECDSA_SIGN, RSA_SIGN]);
    wire::numbers(&mut body, &SCHEMES);
    wire::vector(&mut body, 2, &[]); // any issuer
    body
}
