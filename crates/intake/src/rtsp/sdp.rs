//! Descriptions (RFC 8866), as far as RTSP (RFC 2326 appendix C) and the payload formats need them.

/// Media of one description: cameras have up to four.
const MEDIA: usize = 16;

/// A description.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Description {
    /// `a=control` of the whole.
    pub(super) control: Option<String>,
    pub(super) media: Vec<Medium>,
}

/// One `m=` section, with its first payload type.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Medium {
    /// `video`, `audio` or anything else.
    pub(super) kind: String,
    /// `RTP/AVP`.
    pub(super) protocol: String,
    pub(super) payload_type: u8,
    /// Of `a=rtpmap`, in capitals; else what the static payload type stands for; else empty.
    pub(super) encoding: String,
    /// Ticks in a second.
    pub(super) rate: u32,
    pub(super) channels: u8,
    /// `a=fmtp`, names in small letters.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) control: Option<String>,
}

impl Medium {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

impl Description {
    /// Reads what it can; lines that say nothing here are left out.
    pub(super) fn read(text: &str) -> Description {
        let mut description = Description::default();
        for line in text.lines() {
            let Some((kind, value)) = line.trim_end().split_once('=') else { continue };
            match kind {
                "m" if description.media.len() < MEDIA => description.media.extend(medium(value)),
                "m" => break,
                "a" => description.attribute(value),
                _ => {}
            }
        }
        description
    }

    fn attribute(&mut self, attribute: &str) {
        match self.media.last_mut() {
            Some(medium) => medium.attribute(attribute),
            None => {
                let control = attribute.strip_prefix("control:").map(|control| control.trim().to_owned());
                self.control = control.or(self.control.take());
            }
        }
    }
}

fn medium(line: &str) -> Option<Medium> {
    let mut words = line.split_whitespace();
    let (kind, _port, protocol) = (words.next()?.to_owned(), words.next()?, words.next()?.to_owned());
    let payload_type = words.next().and_then(|word| word.parse().ok()).filter(|number| *number < 128);
    let Some(payload_type) = payload_type else {
        // ONVIF's metadata and the like; it keeps its place.
        return Some(Medium { kind, protocol, ..Medium::default() });
    };
    // RFC 3551 section 6.
    let (encoding, rate) = match payload_type {
        0 => ("PCMU", 8000),
        8 => ("PCMA", 8000),
        _ => ("", 0),
    };
    let encoding = encoding.to_owned();
    Some(Medium { kind, protocol, payload_type, encoding, rate, channels: 1, ..Medium::default() })
}

impl Medium {
    fn attribute(&mut self, attribute: &str) {
        let Some((name, value)) = attribute.split_once(':') else { return };
        match name {
            "control" => self.control = Some(value.trim().to_owned()),
            "rtpmap" => {
                if let Some(value) = self.own(value) {
                    let mut parts = value.trim().split('/');
                    self.encoding = parts.next().unwrap_or("").trim().to_ascii_uppercase();
                    self.rate = parts.next().and_then(|rate| rate.trim().parse().ok()).unwrap_or(0);
                    self.channels = parts.next().and_then(|n| n.trim().parse().ok()).unwrap_or(1);
                }
            }
            "fmtp" => {
                if let Some(value) = self.own(value) {
                    let pair = |pair: &str| {
                        let (name, value) = pair.split_once('=')?;
                        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
                    };
                    self.parameters = value.split(';').filter_map(pair).collect();
                }
            }
            _ => {}
        }
    }

    /// What an attribute says of our payload type.
    fn own<'a>(&self, value: &'a str) -> Option<&'a str> {
        let (number, rest) = value.trim_start().split_once(' ')?;
        (number.parse() == Ok(self.payload_type)).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cameras_description_is_read() {
        let text = "v=0\r\ns=Session\r\na=control:*\r\nm=video 0 RTP/AVP 96 97\r\na=rtpmap:96 H264/90000\r\n\
                    a=rtpmap:97 H265/90000\r\na=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0I=,aM4=;x\r\n\
                    a=control:trackID=1\r\nm=audio 0 RTP/AVP 0\r\na=control:trackID=2\r\n\
                    m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n";
        let description = Description::read(text);
        assert_eq!(description.control.as_deref(), Some("*"));
        let [video, audio, metadata] = &description.media[..] else { panic!("{description:?}") };
        assert_eq!((video.encoding.as_str(), video.rate, video.payload_type), ("H264", 90_000, 96));
        assert_eq!(video.parameter("sprop-parameter-sets"), Some("Z0I=,aM4="));
        assert_eq!(video.control.as_deref(), Some("trackID=1"));
        assert_eq!((audio.encoding.as_str(), audio.rate, audio.channels), ("PCMU", 8000, 1));
        assert_eq!(metadata.kind, "application");
    }

    #[test]
    fn media_without_end_are_bounded() {
        let text = "m=video 0 RTP/AVP 96\r\n".repeat(1000);
        assert_eq!(Description::read(&text).media.len(), MEDIA);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "([mac]=)?(rtpmap:|fmtp:|video )?[a-z0-9:;=/ \n]{0,80}") {
            Description::read(&text);
        }
    }
}
