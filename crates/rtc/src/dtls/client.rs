//! The active side of the handshake (RFC 5246 §7.3, RFC 6347 §4.2).

use str0m::crypto::dtls::SrtpProfile;

use super::{
    Fault,
    certificate::{Identity, OUR_SCHEME, PeerCertificate, SCHEMES},
    hello::{self, *},
    inbox::Message,
    link::{Link, Output},
    record::VERSION,
    schedule::{self, GROUPS, Random, Randoms, Secrets, Share},
    wire::{self, Reader},
};

/// What has to come next, with what is known by then.
pub(super) enum Client {
    Hello {
        random: Random,
        cookie: bool,
    },
    Certificate(Chosen),
    KeyExchange(Chosen, PeerCertificate),
    /// The server may ask for our certificate first.
    Request(Chosen, PeerShare),
    HelloDone(Chosen, PeerShare),
    Finished(Chosen, Secrets),
    Done,
}

/// What the hellos settled.
#[derive(Clone, Copy)]
pub(super) struct Chosen {
    randoms: Randoms,
    rsa: bool,
    profile: SrtpProfile,
}

/// The server's half of the key agreement.
pub(super) struct PeerShare {
    group: u16,
    public: Vec<u8>,
}

impl Client {
    /// Sends the first hello.
    pub(super) fn start(link: &mut Link) -> Result<Self, Fault> {
        let random = schedule::random()?;
        say_hello(link, &random, &[])?;
        Ok(Self::Hello { random, cookie: false })
    }

    pub(super) fn handle(self, message: Message, link: &mut Link, own: &Identity) -> Result<Self, Fault> {
        let mut body = message.body();
        let before = link.transcript.len();
        if !matches!(self, Self::Done) {
            link.transcript.extend_from_slice(&message.bytes);
        }
        match (self, message.kind) {
            (Self::Hello { random, cookie: false }, HELLO_VERIFY_REQUEST) => {
                body.u16()?;
                let cookie = body.vector(1)?;
                body.end()?;
                // Neither it nor the hello before it count (RFC 6347 §4.2.1).
                link.transcript.clear();
                say_hello(link, &random, cookie)?;
                Ok(Self::Hello { random, cookie: true })
            }
            (Self::Hello { random, .. }, SERVER_HELLO) => Ok(Self::Certificate(server_hello(body, random)?)),
            (Self::Certificate(chosen), CERTIFICATE) => {
                let der = hello::leaf(&mut body)?.ok_or(Fault::NoCertificate)?;
                let peer = PeerCertificate::read(der)?;
                if peer.is_rsa() != chosen.rsa {
                    return Err(Fault::Certificate);
                }
                Ok(Self::KeyExchange(chosen, peer))
            }
            (Self::KeyExchange(chosen, peer), SERVER_KEY_EXCHANGE) => {
                let share = key_exchange(body, &chosen.randoms, &peer)?;
                link.outputs.push_back(Output::PeerCert(peer.der));
                Ok(Self::Request(chosen, share))
            }
            (Self::Request(chosen, share), CERTIFICATE_REQUEST) => {
                check_request(body)?;
                Ok(Self::HelloDone(chosen, share))
            }
            // Who it sends to is the server's affair: ffmpeg does not ask.
            (Self::Request(chosen, share), SERVER_HELLO_DONE) => {
                body.end()?;
                Ok(Self::Finished(chosen, answer(&chosen, &share, link, None)?))
            }
            (Self::HelloDone(chosen, share), SERVER_HELLO_DONE) => {
                body.end()?;
                Ok(Self::Finished(chosen, answer(&chosen, &share, link, Some(own))?))
            }
            (Self::Finished(chosen, secrets), FINISHED) => {
                hello::check_finished(body, &secrets, false, &link.transcript[..before])?;
                link.new_flight();
                link.done(&secrets, chosen.profile)?;
                Ok(Self::Done)
            }
            (Self::Done, _) => Ok(Self::Done),
            _ => Err(Fault::Unexpected),
        }
    }
}

fn say_hello(link: &mut Link, random: &Random, cookie: &[u8]) -> Result<(), Fault> {
    let mut body = VERSION.to_be_bytes().to_vec();
    body.extend_from_slice(random);
    body.push(0); // no session
    wire::vector(&mut body, 1, cookie);
    wire::numbers(&mut body, &[ECDSA_SUITE, RSA_SUITE]);
    wire::vector(&mut body, 1, &[0]); // no compression
    let list = |values: &[u16]| {
        let mut body = Vec::new();
        wire::numbers(&mut body, values);
        body
    };
    let mut extensions = Vec::new();
    wire::extension(&mut extensions, RENEGOTIATION_INFO, &[0]);
    wire::extension(&mut extensions, SUPPORTED_GROUPS, &list(&GROUPS));
    wire::extension(&mut extensions, POINT_FORMATS, &UNCOMPRESSED);
    wire::extension(&mut extensions, SIGNATURE_ALGORITHMS, &list(&SCHEMES));
    wire::extension(&mut extensions, EXTENDED_MASTER_SECRET, &[]);
    wire::extension(&mut extensions, USE_SRTP, &hello::use_srtp(&hello::all_profiles()));
    wire::vector(&mut body, 2, &extensions);
    link.new_flight();
    link.say(CLIENT_HELLO, &body);
    link.send()
}

fn server_hello(mut body: Reader<'_>, client: Random) -> Result<Chosen, Fault> {
    let version = body.u16()?;
    if version != VERSION {
        return Err(Fault::Version(version));
    }
    let server = hello::random(body.take(32)?)?;
    body.vector(1)?; // session
    let rsa = match body.u16()? {
        ECDSA_SUITE => false,
        RSA_SUITE => true,
        _ => return Err(Fault::NothingInCommon),
    };
    if body.u8()? != 0 {
        return Err(Fault::NothingInCommon);
    }
    let extensions = wire::extensions(&mut body)?;
    if wire::find(&extensions, EXTENDED_MASTER_SECRET).is_none() {
        return Err(Fault::NoExtendedMasterSecret);
    }
    if wire::find(&extensions, RENEGOTIATION_INFO).is_some_and(|info| info != [0]) {
        return Err(Fault::Malformed);
    }
    let (_, profile) = hello::choose_profile(wire::find(&extensions, USE_SRTP))?;
    Ok(Chosen { randoms: Randoms { client, server }, rsa, profile })
}

fn key_exchange(body: Reader<'_>, randoms: &Randoms, peer: &PeerCertificate) -> Result<PeerShare, Fault> {
    let mut reader = body;
    if reader.u8()? != NAMED_CURVE {
        return Err(Fault::NothingInCommon);
    }
    let share = PeerShare { group: reader.u16()?, public: reader.vector(1)?.to_vec() };
    let signed = &body.rest()[..4 + share.public.len()];
    let (scheme, signature) = (reader.u16()?, reader.vector(2)?);
    reader.end()?;
    peer.verify(scheme, &[&randoms.client[..], &randoms.server, signed].concat(), signature)?;
    Ok(share)
}

fn check_request(mut body: Reader<'_>) -> Result<(), Fault> {
    let kinds = body.vector(1)?;
    let schemes = body.numbers()?;
    body.vector(2)?; // issuers
    body.end()?;
    let ours = kinds.contains(&ECDSA_SIGN) && schemes.contains(&OUR_SCHEME);
    if ours { Ok(()) } else { Err(Fault::NothingInCommon) }
}

/// The last flight, with our certificate if it was asked for.
fn answer(
    chosen: &Chosen,
    theirs: &PeerShare,
    link: &mut Link,
    own: Option<&Identity>,
) -> Result<Secrets, Fault> {
    let share = Share::new(theirs.group)?;
    link.new_flight();
    if let Some(own) = own {
        link.say(CERTIFICATE, &hello::certificate(&own.certificate));
    }
    let mut body = Vec::new();
    wire::vector(&mut body, 1, &share.public);
    link.say(CLIENT_KEY_EXCHANGE, &body);
    let secrets = share.agree(&theirs.public, chosen.randoms, &link.transcript)?;
    if let Some(own) = own {
        let mut body = OUR_SCHEME.to_be_bytes().to_vec();
        wire::vector(&mut body, 2, &own.sign(&link.transcript)?);
        link.say(CERTIFICATE_VERIFY, &body);
    }
    link.install(secrets.keys(true)?);
    link.change_cipher_spec();
    let finished = secrets.finished(true, &link.transcript)?;
    link.say(FINISHED, &finished);
    link.send()?;
    Ok(secrets)
}
