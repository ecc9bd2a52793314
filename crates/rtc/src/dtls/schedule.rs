//! From the agreed secret to keys (RFC 5246 §5, RFC 7627, RFC 5764 §4.2), all with SHA-256.

use aws_lc_rs::{
    agreement::{self, ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, X25519},
    digest, rand,
    tls_prf::{P_SHA256, Secret},
};
use str0m::crypto::dtls::SrtpProfile;

use super::{
    Fault,
    record::{KEY_BLOCK, Keys},
};

const SECP256R1: u16 = 23;
const CURVE25519: u16 = 29;

/// The groups that we agree in, the better first.
pub(super) const GROUPS: [u16; 2] = [CURVE25519, SECP256R1];

pub(super) type Random = [u8; 32];

/// 32 bytes that nobody can guess.
pub(super) fn random() -> Result<Random, Fault> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

/// Our half of the key agreement.
pub(super) struct Share {
    pub(super) group: u16,
    pub(super) public: Vec<u8>,
    private: EphemeralPrivateKey,
}

impl Share {
    pub(super) fn new(group: u16) -> Result<Self, Fault> {
        let algorithm = match group {
            CURVE25519 => &X25519,
            SECP256R1 => &ECDH_P256,
            _ => return Err(Fault::NothingInCommon),
        };
        let private = EphemeralPrivateKey::generate(algorithm, &rand::SystemRandom::new())?;
        let public = private.compute_public_key()?.as_ref().to_vec();
        Ok(Self { group, public, private })
    }

    /// The secrets of this connection. `transcript` is what was said up to and with the ClientKeyExchange.
    pub(super) fn agree(self, peer: &[u8], randoms: Randoms, transcript: &[u8]) -> Result<Secrets, Fault> {
        let algorithm = self.private.algorithm();
        let session = sha256(transcript);
        let peer = UnparsedPublicKey::new(algorithm, peer);
        agreement::agree_ephemeral(self.private, peer, Fault::Crypto, |shared| {
            let mut master = [0; 48];
            prf(shared, b"extended master secret", session.as_ref(), &mut master)?;
            Ok(Secrets { master, randoms })
        })
    }
}

fn prf(secret: &[u8], label: &[u8], seed: &[u8], out: &mut [u8]) -> Result<(), Fault> {
    let derived = Secret::new(&P_SHA256, secret)?.derive(label, seed, out.len())?;
    out.copy_from_slice(derived.as_ref());
    Ok(())
}

#[derive(Clone, Copy)]
pub(super) struct Randoms {
    pub(super) client: Random,
    pub(super) server: Random,
}

/// What both sides know and nobody else. Has no `Debug` on purpose.
pub(super) struct Secrets {
    master: [u8; 48],
    randoms: Randoms,
}

impl Secrets {
    pub(super) fn keys(&self, client: bool) -> Result<Keys, Fault> {
        let mut block = [0; KEY_BLOCK];
        let seed = [self.randoms.server, self.randoms.client].concat();
        prf(&self.master, b"key expansion", &seed, &mut block)?;
        Keys::new(&block, client)
    }

    /// What a Finished says of the `transcript` before it.
    pub(super) fn finished(&self, client: bool, transcript: &[u8]) -> Result<[u8; 12], Fault> {
        let label: &[u8] = if client { b"client finished" } else { b"server finished" };
        let mut data = [0; 12];
        prf(&self.master, label, sha256(transcript).as_ref(), &mut data)?;
        Ok(data)
    }

    pub(super) fn srtp(&self, profile: SrtpProfile) -> Result<Vec<u8>, Fault> {
        let mut material = vec![0; profile.keying_material_len()];
        let seed = [self.randoms.client, self.randoms.server].concat();
        prf(&self.master, b"EXTRACTOR-dtls_srtp", &seed, &mut material)?;
        Ok(material)
    }
}
