//! Titles between the data of an Icecast or SHOUTcast stream (`icy-metaint`): after so many bytes of media a byte that counts
//! 16-byte blocks of text, then these. There is no specification but what servers and players do.

use bytes::Bytes;

/// Takes the titles out of a stream.
pub(super) struct Icy {
    interval: usize,
    state: State,
    last: String,
}

enum State {
    /// So many bytes of media before the next title.
    Media(usize),
    /// A text that has not come as a whole; at most 4080 bytes.
    Text { length: usize, text: Vec<u8> },
}

impl Icy {
    /// With this many bytes of media between titles; at least 1.
    pub(super) fn new(interval: u32) -> Self {
        let interval = (interval as usize).max(1);
        Self { interval, state: State::Media(interval), last: String::new() }
    }

    /// The media of these bytes, and the newest title in them if it is another than the one before.
    pub(super) fn strip(&mut self, mut bytes: Bytes) -> (Bytes, Option<String>) {
        let (mut media, mut newest) = (Vec::new(), None);
        while !bytes.is_empty() {
            match &mut self.state {
                State::Media(0) => {
                    let length = usize::from(bytes.split_to(1)[0]) * 16;
                    self.state = State::Text { length, text: Vec::new() };
                }
                State::Media(left) => {
                    let part = bytes.split_to(bytes.len().min(*left));
                    *left -= part.len();
                    media.push(part);
                }
                State::Text { length, text } => {
                    text.extend_from_slice(&bytes.split_to(bytes.len().min(*length - text.len())));
                }
            }
            if let State::Text { length, text } = &self.state
                && text.len() == *length
            {
                newest = title(text).filter(|title| *title != self.last).or(newest);
                self.last = newest.clone().unwrap_or_else(|| std::mem::take(&mut self.last));
                self.state = State::Media(self.interval);
            }
        }
        (join(media), newest)
    }
}

fn join(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        0 | 1 => parts.pop().unwrap_or_default(),
        _ => parts.concat().into(),
    }
}

/// `StreamTitle='…';`, in UTF-8, or in Latin-1 as old encoders write it. Apostrophes in it are not escaped: it ends with the
/// last `';` before another key. An empty one says that nothing is known.
fn title(text: &[u8]) -> Option<String> {
    let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = match std::str::from_utf8(&text[..end]) {
        Ok(text) => text.to_owned(),
        Err(_) => text[..end].iter().map(|byte| char::from(*byte)).collect(),
    };
    let rest = text.split_once("StreamTitle='")?.1;
    let end = rest.find("';Stream").or_else(|| rest.rfind("';")).or_else(|| rest.rfind('\''));
    let title = rest[..end.unwrap_or(rest.len())].trim();
    let title: String = title.chars().filter(|char| !char.is_control()).collect();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Vec<u8> {
        let blocks = text.len().div_ceil(16);
        let mut block = vec![u8::try_from(blocks).unwrap()];
        block.extend_from_slice(text.as_bytes());
        block.resize(1 + blocks * 16, 0);
        block
    }

    #[test]
    fn media_and_titles_come_apart_however_the_stream_is_cut() {
        let mut stream = b"12345678".to_vec();
        stream.extend(block("StreamTitle='One';"));
        stream.extend(b"abcdefgh");
        stream.extend(block(""));
        stream.extend(b"ABCDEFGH");
        stream.extend(block("StreamTitle='One';StreamUrl='http://x/';"));
        stream.extend(b"........");
        stream.extend(block("StreamTitle='It's two';StreamUrl='';"));
        stream.extend(b"end");
        for size in 1..=stream.len() {
            let (mut icy, mut media, mut titles) = (Icy::new(8), Vec::new(), Vec::new());
            for piece in stream.chunks(size) {
                let (bytes, title) = icy.strip(Bytes::copy_from_slice(piece));
                media.extend_from_slice(&bytes);
                titles.extend(title);
            }
            assert_eq!(media, b"12345678abcdefghABCDEFGH........end", "in pieces of {size}");
            let newest = titles.last().map(String::as_str);
            assert_eq!(newest, Some("It's two"), "in pieces of {size}");
            assert!(titles.len() == 2 || size > 20, "in pieces of {size}: {titles:?}");
        }
    }

    #[test]
    fn titles_in_either_encoding_and_broken_ones() {
        for (text, expected) in [
            (&b"StreamTitle='Bj\xc3\xb6rk - J\xc3\xb3ga';"[..], Some("Björk - Jóga")),
            (b"StreamTitle='Bj\xf6rk';StreamUrl='';\0\0\0", Some("Björk")),
            (b"StreamUrl='x';StreamTitle='later';", Some("later")),
            (b"StreamTitle='cut", Some("cut")),
            (b"StreamTitle='a\x07\x00b';", Some("ab")),
            (b"StreamTitle='';", None),
            (b"StreamTitle='';StreamUrl='';", None),
            (b"StreamTitle", None),
            (b"\0\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(title(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_longest_text_and_an_interval_of_one() {
        let long = format!("StreamTitle='{}';", "x".repeat(4000));
        let mut stream = b"a".to_vec();
        stream.extend(block(&long));
        stream.extend(b"b");
        let (media, title) = Icy::new(0).strip(stream.into());
        assert_eq!((&media[..], title.unwrap().len()), (&b"ab"[..], 4000));
    }
}
