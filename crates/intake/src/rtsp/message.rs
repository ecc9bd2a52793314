//! Messages and interleaved packets (RFC 2326 sections 4 to 7 and 10.12), sans-IO.

use bytes::{Buf, Bytes, BytesMut};

/// The longest head. Cameras' answers have some hundred bytes.
const HEAD: usize = 16 << 10;

/// The longest body: descriptions have a few KiB.
const BODY: usize = 64 << 10;

/// What comes on the connection.
#[derive(Debug, PartialEq)]
pub(super) enum Item {
    Response(Response),
    /// Some servers ask, too.
    Request {
        method: String,
        cseq: String,
    },
    /// An RTP or RTCP packet.
    Data {
        channel: u8,
        packet: Bytes,
    },
}

#[derive(Debug, PartialEq, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Response {
    /// The first header of that name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.headers.iter().filter(move |(of, _)| of.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    pub(super) fn cseq(&self) -> Option<u32> {
        self.header("CSeq")?.parse().ok()
    }
}

/// Why bytes are no RTSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not RTSP: {0}")]
pub(super) struct Invalid(pub(super) &'static str);

/// Bytes in, items out.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: BytesMut,
    /// Bytes at its front that hold no end of a head.
    searched: usize,
}

impl Reader {
    /// Where received bytes go. Take all items before the next ones.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next item; `None` until more bytes come.
    pub(super) fn next(&mut self) -> Result<Option<Item>, Invalid> {
        loop {
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'$') => return Ok(self.packet()),
                // Between messages (RFC 2326 section 4.1 asks for this leniency).
                Some(b'\r' | b'\n') if self.searched == 0 => self.buffer.advance(1),
                Some(_) => return self.message(),
            }
        }
    }

    fn packet(&mut self) -> Option<Item> {
        let &[_, channel, high, low] = self.buffer.first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if self.buffer.len() < 4 + length {
            return None;
        }
        self.buffer.advance(4);
        Some(Item::Data { channel, packet: self.buffer.split_to(length).freeze() })
    }

    fn message(&mut self) -> Result<Option<Item>, Invalid> {
        let from = self.searched.saturating_sub(3);
        let Some(end) = self.buffer[from..].windows(4).position(|four| four == b"\r\n\r\n") else {
            self.searched = self.buffer.len();
            return if self.searched > HEAD { Err(Invalid("a head over 16 KiB")) } else { Ok(None) };
        };
        let end = from + end;
        if end > HEAD {
            return Err(Invalid("a head over 16 KiB"));
        }
        self.searched = end;
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        let (first, lines) = head.split_once("\r\n").unwrap_or((&head, ""));
        let headers = headers(lines);
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
        let length = match length {
            Some((_, length)) => length.parse().map_err(|_| Invalid("a Content-Length that is none"))?,
            None => 0,
        };
        if length > BODY {
            return Err(Invalid("a body over 64 KiB"));
        }
        if self.buffer.len() < end + 4 + length {
            return Ok(None);
        }
        self.buffer.advance(end + 4);
        self.searched = 0;
        let body = self.buffer.split_to(length).freeze();
        item(first, headers, body).map(Some)
    }
}

fn headers(lines: &str) -> Vec<(String, String)> {
    let read = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    lines.split("\r\n").filter_map(read).collect()
}

fn item(first: &str, headers: Vec<(String, String)>, body: Bytes) -> Result<Item, Invalid> {
    let mut words = first.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some(version), Some(status), _) if version.starts_with("RTSP/1.") => {
            let status = status.parse().map_err(|_| Invalid("a status that is none"))?;
            Ok(Item::Response(Response { status, headers, body }))
        }
        (Some(method), Some(_), Some(version)) if version.starts_with("RTSP/1.") => {
            let cseq = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("CSeq"));
            let cseq = cseq.map_or("0", |(_, cseq)| cseq).to_owned();
            Ok(Item::Request { method: method.to_owned(), cseq })
        }
        (Some(version), ..) if version.starts_with("HTTP/") => Err(Invalid("the server speaks HTTP")),
        _ => Err(Invalid("neither an answer nor a request")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(reader: &mut Reader) -> Result<Vec<Item>, Invalid> {
        std::iter::from_fn(|| reader.next().transpose()).collect()
    }

    const ANSWER: &[u8] =
        b"\r\nRTSP/1.0 200 OK\r\nCSeq: 3\r\ncontent-length: 4\r\nPublic : A, B\r\n\r\n\r\n\r\n";

    #[test]
    fn answers_packets_and_questions_are_told_apart() {
        let mut bytes = b"$\x01\0\x02ab".to_vec();
        bytes.extend(ANSWER);
        bytes.extend(b"$\0\0\0OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n");
        let mut reader = Reader::default();
        reader.buffer().extend_from_slice(&bytes);
        let items = all(&mut reader).unwrap();
        let [
            Item::Data { channel: 1, packet },
            Item::Response(answer),
            Item::Data { .. },
            Item::Request { .. },
        ] = &items[..]
        else {
            panic!("{items:?}");
        };
        assert_eq!((&packet[..], &answer.body[..]), (&b"ab"[..], &b"\r\n\r\n"[..]));
        assert_eq!((answer.status, answer.cseq(), answer.header("public")), (200, Some(3), Some("A, B")));
        assert_eq!(items[3], Item::Request { method: "OPTIONS".into(), cseq: "9".into() });
    }

    #[test]
    fn other_protocols_and_endless_heads_are_refused() {
        for bytes in [&b"HTTP/1.1 400 Bad\r\n\r\n"[..], b"220 ftp ready\r\n\r\n", b"RTSP/1.0 ok\r\n\r\n"] {
            let mut reader = Reader::default();
            reader.buffer().extend_from_slice(bytes);
            assert!(reader.next().is_err());
        }
        for bytes in
            [vec![b'a'; HEAD + 1], format!("RTSP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", 1 << 30).into()]
        {
            let mut reader = Reader::default();
            reader.buffer().extend_from_slice(&bytes);
            assert!(reader.next().is_err());
        }
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(cuts in prop::collection::vec(1_usize..9, 1..200)) {
            let bytes = [b"$\x01\0\x02ab", ANSWER, ANSWER, b"$\0\0\0"].concat();
            let (mut whole, mut reader) = (Reader::default(), Reader::default());
            whole.buffer().extend_from_slice(&bytes);
            let (mut rest, mut cuts, mut items) = (&bytes[..], cuts.into_iter().cycle(), Vec::new());
            while !rest.is_empty() {
                let (piece, left) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                reader.buffer().extend_from_slice(piece);
                items.extend(all(&mut reader).unwrap());
                rest = left;
            }
            prop_assert_eq!(items, all(&mut whole).unwrap());
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..ANSWER.len(), keep: bool) {
            if keep {
                let mut answer = ANSWER.to_vec();
                answer.splice(at..at, bytes.drain(..bytes.len().min(3)));
                bytes = answer;
            }
            let mut reader = Reader::default();
            reader.buffer().extend_from_slice(&bytes);
            let _ = all(&mut reader);
        }
    }
}
