//! The handshake (RTMP 5.2). The server side also has its digest form, that Flash Player 9 brought; a client that does not ask
//! for it gets the simple one from every server.

mod digest;

use bytes::{Buf, BytesMut};

use crate::Error;

/// C1, S1, C2 and S2 are all this long (RTMP 5.2.3).
const BLOCK: usize = 1536;

/// RTMP 5.2.2.
const VERSION: u8 = 3;

/// Where the handshake is. The peer's third block is read but not compared with what it should repeat: encoders
/// exist that send anything there, and it proves nothing.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// Waiting for C0 and C1.
    Hello,
    /// C0 and C1 are sent; waiting for S0 and S1.
    Hail,
    /// All of ours is sent; waiting for C2 or S2.
    Echo,
    /// Chunks follow.
    Done,
}

impl Handshake {
    /// The side that connects: it says C0 and C1.
    pub(crate) fn hail(output: &mut Vec<u8>) -> Handshake {
        output.push(VERSION);
        output.extend(filler());
        Handshake::Hail
    }

    /// Takes what it can from the front of `input` and adds what must be sent to `output`.
    pub(crate) fn advance(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> Result<(), Error> {
        if matches!(self, Handshake::Hello | Handshake::Hail) {
            if let Some(&first) = input.first()
                && first != VERSION
            {
                return Err(Error::NotRtmp { first });
            }
            let Some(hello) = input.get(1..1 + BLOCK).and_then(|block| <&[u8; BLOCK]>::try_from(block).ok())
            else {
                return Ok(());
            };
            match self {
                // C2 repeats S1.
                Handshake::Hail => output.extend(hello),
                _ => answer(hello, output),
            }
            input.advance(1 + BLOCK);
            *self = Handshake::Echo;
        }
        if matches!(self, Handshake::Echo) && input.len() >= BLOCK {
            input.advance(BLOCK);
            *self = Handshake::Done;
        }
        Ok(())
    }
}

/// S0, S1 and S2 for a C1.
fn answer(c1: &[u8; BLOCK], output: &mut Vec<u8>) {
    output.push(VERSION);
    match digest::find(c1) {
        Some((scheme, digest)) => {
            output.extend(digest::s1(scheme, &filler()));
            output.extend(digest::s2(&digest, &filler()));
        }
        None => {
            output.extend(filler());
            output.extend(c1);
        }
    }
}

/// The block that RTMP calls random. It protects nothing and only has to differ from what the peer sends, so it comes
/// from a fixed xorshift sequence: a session's bytes then depend on its input alone.
fn filler() -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut state = 0x9e37_79b9_u32;
    // The first 8 bytes are the time, zero, and the version, which is zero for the simple form.
    for byte in &mut block[8..] {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *byte = state as u8;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8]) -> (Handshake, Vec<u8>, BytesMut) {
        let (mut handshake, mut output) = (Handshake::Hello, Vec::new());
        let mut input = BytesMut::from(input);
        handshake.advance(&mut input, &mut output).unwrap();
        (handshake, output, input)
    }

    #[test]
    fn a_simple_hello_is_echoed_and_chunks_are_left_alone() {
        let mut c1 = [7; BLOCK];
        c1[4..8].fill(0);
        let input = [&[VERSION][..], &c1, &[9; BLOCK], b"chunk"].concat();
        let (handshake, output, rest) = run(&input);
        assert!(matches!(handshake, Handshake::Done));
        assert_eq!(output.len(), 1 + 2 * BLOCK);
        assert_eq!((output[0], &output[1 + BLOCK..]), (VERSION, &c1[..]));
        assert_eq!(&rest[..], b"chunk");
    }

    #[test]
    fn a_hail_and_its_answer_are_one_handshake() {
        let (mut hail, mut there) = (BytesMut::new(), Vec::new());
        let mut client = Handshake::hail(&mut there);
        hail.extend_from_slice(&there);
        let (mut server, mut back) = (Handshake::Hello, Vec::new());
        server.advance(&mut hail, &mut back).unwrap();
        let mut back = BytesMut::from(&[&back[..], b"chunk"].concat()[..]);
        there.clear();
        client.advance(&mut back, &mut there).unwrap();
        assert!(matches!(client, Handshake::Done));
        assert_eq!(&back[..], b"chunk");
        server.advance(&mut BytesMut::from(&there[..]), &mut Vec::new()).unwrap();
        assert!(matches!(server, Handshake::Done));
    }

    #[test]
    fn an_incomplete_hello_is_not_answered() {
        let (handshake, output, _) = run(&[VERSION; BLOCK]);
        assert!(matches!(handshake, Handshake::Hello) && output.is_empty());
    }

    #[test]
    fn http_and_tls_are_named_at_the_first_byte() {
        for (first, word) in [(b'G', "HTTP"), (0x16, "TLS"), (6, "RTMPE")] {
            let error =
                Handshake::Hello.advance(&mut BytesMut::from(&[first][..]), &mut Vec::new()).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert!(error.is_probe());
        }
    }
}
