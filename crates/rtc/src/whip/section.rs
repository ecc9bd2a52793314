use super::OfferError;

/// Attributes of an m-line that are read; a browser's longest has about 150.
pub(super) const MAX_ATTRIBUTES: usize = 1024;

/// The session's own lines, or an m-line and those below it (RFC 8866 section 5).
#[derive(Debug, Default)]
pub(super) struct Section<'a> {
    /// `video`, `audio`, …; empty for the session.
    pub(super) kind: &'a str,
    port: &'a str,
    pub(super) protocol: &'a str,
    /// The first format, whatever it is.
    pub(super) format: &'a str,
    /// Payload types in the sender's order of preference.
    formats: Vec<u8>,
    /// Name, and what stands behind the colon.
    attributes: Vec<(&'a str, &'a str)>,
}

/// Cuts an SDP into its sections.
pub(super) fn split(text: &str, most: usize) -> Result<(Section<'_>, Vec<Section<'_>>), OfferError> {
    if !text.starts_with("v=0") {
        return Err(OfferError::Syntax);
    }
    let mut sections = vec![Section::default()];
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (kind, value) =
            line.split_once('=').filter(|(kind, _)| kind.len() == 1).ok_or(OfferError::Syntax)?;
        match kind {
            "m" if sections.len() > most => return Err(OfferError::TooManyMedia),
            "m" => sections.push(Section::media(value).ok_or(OfferError::Syntax)?),
            "a" => {
                let attribute = value.split_once(':').unwrap_or((value, ""));
                let attributes = &mut sections.last_mut().ok_or(OfferError::Syntax)?.attributes;
                if attributes.len() >= MAX_ATTRIBUTES {
                    return Err(OfferError::TooManyAttributes);
                }
                attributes.push(attribute);
            }
            _ => {}
        }
    }
    let session = sections.remove(0);
    Ok((session, sections))
}

/// RFC 8866 section 9, and short: it goes into our answer.
pub(super) fn is_token(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !br#""(),/:;<=>?@[\]"#.contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(is_part)
}

impl<'a> Section<'a> {
    /// `video 9 UDP/TLS/RTP/SAVPF 96 97`.
    fn media(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (kind, port, protocol) = (words.next()?, words.next()?, words.next()?);
        let format = words.clone().next()?;
        let mut formats: Vec<u8> = Vec::new();
        for format in words.filter_map(|word| word.parse().ok()) {
            if format < 128 && !formats.contains(&format) {
                formats.push(format);
            }
        }
        let sound =
            is_token(kind) && protocol.split('/').all(is_token) && protocol.len() <= 64 && is_token(format);
        sound.then_some(Self { kind, port, protocol, format, formats, attributes: Vec::new() })
    }

    pub(super) fn values(&self, name: &'a str) -> impl Iterator<Item = &'a str> + '_ {
        self.attributes.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.trim())
    }

    pub(super) fn value(&self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }

    pub(super) fn has(&self, name: &'a str) -> bool {
        self.value(name).is_some()
    }

    pub(super) fn mid(&self) -> Option<&'a str> {
        self.value("mid")
    }

    /// The publisher sends it. Port 0 refuses a track, unless it is bundled with another (RFC 9143 section 6).
    pub(super) fn is_sent(&self) -> bool {
        !self.has("recvonly") && !self.has("inactive") && (self.port != "0" || self.has("bundle-only"))
    }

    /// Payload type, name and clock rate of what it may be sent in, best first.
    pub(super) fn codecs(&self) -> impl Iterator<Item = (u8, &'a str, u32)> + '_ {
        self.formats.iter().filter_map(|format| {
            let text = self.numbered("rtpmap", *format).next()?;
            let mut parts = text.split('/');
            Some((*format, parts.next()?, parts.next()?.trim().parse().ok()?))
        })
    }

    /// Names of codecs for an error, bounded.
    pub(super) fn codec_names(&self) -> String {
        let names: Vec<&str> = self.codecs().map(|(_, name, _)| name).take(8).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ").chars().take(80).collect() }
    }

    /// All of a format's `a=fmtp`.
    pub(super) fn format_line(&self, format: u8) -> &'a str {
        self.numbered("fmtp", format).next().unwrap_or_default()
    }

    /// A parameter in `a=fmtp`.
    pub(super) fn parameter(&self, format: u8, name: &str) -> Option<&'a str> {
        let pairs = self.format_line(format).split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// `a=<name>:<format> <text>`, and where all formats are meant, `*`.
    pub(super) fn numbered(&self, name: &'a str, format: u8) -> impl Iterator<Item = &'a str> + '_ {
        let numbered = self.values(name).filter_map(|value| value.split_once(' '));
        numbered
            .filter(move |(number, _)| *number == "*" || number.parse() == Ok(format))
            .map(|(_, text)| text.trim())
    }
}
