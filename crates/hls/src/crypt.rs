//! AES-128 of whole segments (RFC 8216 4.3.2.4): CBC with PKCS7 padding.

use std::fmt;

use aes::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use bytes::{Bytes, BytesMut};

use crate::Failure;

/// A key; `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyBytes([u8; 16]);

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyBytes(..)")
    }
}

impl KeyBytes {
    /// A key file's content.
    pub(crate) fn read(body: &Bytes) -> Result<Self, Failure> {
        body.as_ref().try_into().map(Self).map_err(|_| Failure::KeyLength { got: body.len() })
    }

    /// In place where nobody else holds the bytes.
    pub(crate) fn decrypt(self, iv: [u8; 16], body: Bytes) -> Result<Bytes, Failure> {
        let bytes = body.len();
        let mut body = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        let cbc = cbc::Decryptor::<aes::Aes128>::new(&self.0.into(), &iv.into());
        let clear = cbc.decrypt_padded::<Pkcs7>(&mut body).map_err(|_| Failure::Decrypt { bytes })?.len();
        body.truncate(clear);
        Ok(body.freeze())
    }
}

/// The IV of a segment without one (RFC 8216 5.2).
pub(crate) fn iv_of(sequence: u64) -> [u8; 16] {
    u128::from(sequence).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    // NIST SP 800-38A F.2.2, with a block of padding encrypted by the same key.
    const KEY: [u8; 16] = 0x2b7e151628aed2a6abf7158809cf4f3c_u128.to_be_bytes();
    const IV: [u8; 16] = 0x000102030405060708090a0b0c0d0e0f_u128.to_be_bytes();
    const CIPHER: [u8; 16] = 0x7649abac8119b246cee98e9b12e9197d_u128.to_be_bytes();
    const CLEAR: [u8; 16] = 0x6bc1bee22e409f96e93d7e117393172a_u128.to_be_bytes();

    fn encrypted() -> Bytes {
        use aes::cipher::BlockModeEncrypt;
        let cbc = cbc::Encryptor::<aes::Aes128>::new(&KEY.into(), &IV.into());
        cbc.encrypt_padded_vec::<Pkcs7>(&CLEAR).into()
    }

    #[test]
    fn the_vector_of_nist_is_decrypted_and_its_padding_removed() {
        let encrypted = encrypted();
        assert_eq!(encrypted[..16], CIPHER);
        let key = KeyBytes::read(&Bytes::copy_from_slice(&KEY)).unwrap();
        assert_eq!(key.decrypt(IV, encrypted).unwrap(), CLEAR.as_slice());
    }

    #[test]
    fn a_cut_segment_an_empty_one_and_a_wrong_key_are_failures() {
        let key = KeyBytes::read(&Bytes::copy_from_slice(&KEY)).unwrap();
        for (body, bytes) in [(encrypted().slice(..20), 20), (encrypted().slice(..16), 16), (Bytes::new(), 0)]
        {
            assert_eq!(key.decrypt(IV, body), Err(Failure::Decrypt { bytes }));
        }
        assert_eq!(KeyBytes([0; 16]).decrypt(IV, encrypted()), Err(Failure::Decrypt { bytes: 32 }));
        assert_eq!(KeyBytes::read(&Bytes::from_static(b"<html>")), Err(Failure::KeyLength { got: 6 }));
    }

    #[test]
    fn a_segments_number_is_its_iv() {
        assert_eq!(iv_of(0x0102), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }
}
