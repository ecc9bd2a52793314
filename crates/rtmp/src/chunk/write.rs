use super::{EXTENDED, INITIAL_CHUNK_SIZE};

/// Messages in, bytes out. A server says so little that every message gets a full header (type 0), and type 3 only goes
/// on with it: there is no state that a peer could disagree on.
#[derive(Debug)]
pub(crate) struct Writer {
    chunk_size: usize,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { chunk_size: INITIAL_CHUNK_SIZE }
    }

    /// From the next message on; the peer must be told just before.
    pub(crate) fn set_chunk_size(&mut self, bytes: usize) {
        self.chunk_size = bytes;
    }

    /// Adds a message with timestamp 0 to `out`. `csid` is 2 to 63, `stream` the message stream.
    pub(crate) fn write(&self, csid: u8, kind: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
        debug_assert!((2..64).contains(&csid), "the one-byte form of the basic header");
        let length = u32::try_from(payload.len()).unwrap_or(EXTENDED).to_be_bytes();
        out.push(csid);
        out.extend([0, 0, 0, length[1], length[2], length[3], kind]);
        out.extend(stream.to_le_bytes());
        for (index, part) in payload.chunks(self.chunk_size).enumerate() {
            if index > 0 {
                out.push(0xc0 | csid);
            }
            out.extend(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Reader, *};

    #[test]
    fn a_message_of_many_chunks_is_read_back() {
        let (mut out, mut writer) = (Vec::new(), Writer::new());
        let payload: Vec<u8> = (0..=255).cycle().take(1000).collect();
        writer.write(3, 20, 1, &payload, &mut out);
        writer.set_chunk_size(10);
        writer.write(5, 18, 2, &payload[..25], &mut out);

        let mut reader = Reader::new(0);
        reader.push(&out);
        let first = reader.next().unwrap().unwrap();
        assert_eq!((first.csid, first.kind, first.stream, &first.payload[..]), (3, 20, 1, &payload[..]));
        reader.set_chunk_size(&first, 10).unwrap();
        let second = reader.next().unwrap().unwrap();
        assert_eq!(
            (second.csid, second.kind, second.stream, &second.payload[..]),
            (5, 18, 2, &payload[..25])
        );
    }
}
