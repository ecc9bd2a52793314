use bytes::Bytes;

/// Message types (RTMP 5.4, 6.2, 7.1).
pub(crate) mod kind {
    pub(crate) const SET_CHUNK_SIZE: u8 = 1;
    pub(crate) const ABORT: u8 = 2;
    pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
    pub(crate) const USER_CONTROL: u8 = 4;
    pub(crate) const WINDOW_SIZE: u8 = 5;
    pub(crate) const PEER_BANDWIDTH: u8 = 6;
    pub(crate) const AUDIO: u8 = 8;
    pub(crate) const VIDEO: u8 = 9;
    pub(crate) const DATA_AMF3: u8 = 15;
    pub(crate) const COMMAND_AMF3: u8 = 17;
    pub(crate) const DATA_AMF0: u8 = 18;
    pub(crate) const COMMAND_AMF0: u8 = 20;
    pub(crate) const AGGREGATE: u8 = 22;
}

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The chunk stream that carried it.
    pub(crate) csid: u32,
    /// Offset of its first chunk in the connection's bytes.
    pub(crate) at: u64,
    /// See [`kind`].
    pub(crate) kind: u8,
    /// Message stream.
    pub(crate) stream: u32,
    /// Milliseconds, modulo 2^32.
    pub(crate) timestamp: u32,
    /// The body.
    pub(crate) payload: Bytes,
}

/// The header of a message inside an aggregate: an FLV tag header (RTMP 7.1.6, FLV E.4.1).
const TAG_HEADER: usize = 11;

/// The back pointer behind each of them.
const BACK_POINTER: usize = 4;

/// The messages inside an aggregate (RTMP 7.1.6), rebased on its timestamp. A last one that is cut off is left out.
pub(crate) fn split_aggregate(whole: &Message) -> Vec<Message> {
    let mut parts: Vec<Message> = Vec::new();
    let mut rest = whole.payload.clone();
    let mut first = None;
    while rest.len() >= TAG_HEADER {
        let header = rest.split_to(TAG_HEADER);
        let size = usize::from(header[1]) << 16 | usize::from(header[2]) << 8 | usize::from(header[3]);
        if size > rest.len() {
            break;
        }
        // FLV puts the highest byte of the timestamp last.
        let timestamp = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        let first = *first.get_or_insert(timestamp);
        parts.push(Message {
            kind: header[0],
            timestamp: whole.timestamp.wrapping_add(timestamp.wrapping_sub(first)),
            payload: rest.split_to(size),
            ..whole.clone()
        });
        let _ = rest.split_to(BACK_POINTER.min(rest.len()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregate(payload: &[u8]) -> Message {
        Message {
            csid: 4,
            at: 0,
            kind: kind::AGGREGATE,
            stream: 1,
            timestamp: 1000,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    #[test]
    fn parts_are_rebased_on_the_aggregates_timestamp() {
        let mut body = vec![8, 0, 0, 2, 0xff, 0xff, 0xf0, 1, 0, 0, 0, 0xaf, 1, 0, 0, 0, 13];
        body.extend([9, 0, 0, 1, 0x00, 0x00, 0x05, 2, 0, 0, 0, 0x17, 0, 0, 0, 12]);
        let parts = split_aggregate(&aggregate(&body));
        let seen: Vec<_> = parts.iter().map(|m| (m.kind, m.timestamp, m.payload.to_vec())).collect();
        assert_eq!(seen, [(8, 1000, vec![0xaf, 1]), (9, 1000 + 0x15, vec![0x17])]);
    }

    #[test]
    fn a_part_that_is_cut_off_is_left_out() {
        assert_eq!(split_aggregate(&aggregate(&[8, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1])), []);
    }
}
