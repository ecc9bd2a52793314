use super::OfferError;

/// The session's own lines, or an m-line and those below it (RFC 8866 section 5).
#[derive(Debug, Default)]
pub(super) struct Section<'a> {
    /// `video`, `audio`, …; empty for the session.
    pub(super) kind: &'a str,
    port: &'a str,
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
            "m" => sections.push(Section::media(value)),
            "a" => {
                let attribute = value.split_once(':').unwrap_or((value, ""));
                sections.last_mut().ok_or(OfferError::Syntax)?.attributes.push(attribute);
            }
            _ => {}
        }
    }
    let session = sections.remove(0);
    Ok((session, sections))
}

impl<'a> Section<'a> {
    /// `video 9 UDP/TLS/RTP/SAVPF 96 97`.
    fn media(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let (kind, port) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let formats = words.skip(1).filter_map(|word| word.parse().ok()).collect();
        Self { kind, port, formats, attributes: Vec::new() }
    }

    pub(super) fn values(&self, name: &'a str) -> impl Iterator<Item = &'a str> + '_ {
        self.attributes.iter().filter(move |(known, _)| *known == name).map(|(_, value)| *value)
    }

    pub(super) fn value(&self, name: &'a str) -> Option<&'a str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    pub(super) fn mid(&self) -> Option<&'a str> {
        self.value("mid")
    }

    /// The publisher sends it. Port 0 refuses a track, unless it is bundled with another (RFC 9143 section 6).
    pub(super) fn is_sent(&self) -> bool {
        let silent = ["recvonly", "inactive"].iter().any(|name| self.value(name).is_some());
        !silent && (self.port != "0" || self.value("bundle-only").is_some())
    }

    /// Payload type, name and clock rate of what it may be sent in, best first.
    pub(super) fn codecs(&self) -> impl Iterator<Item = (u8, &'a str, u32)> + '_ {
        self.formats.iter().filter_map(|format| {
            let (_, text) = self.numbered("rtpmap", *format)?;
            let mut parts = text.split('/');
            Some((*format, parts.next()?, parts.next()?.parse().ok()?))
        })
    }

    /// Names of codecs for an error, bounded.
    pub(super) fn codec_names(&self) -> String {
        let names: Vec<&str> = self.codecs().map(|(_, name, _)| name).take(8).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ").chars().take(80).collect() }
    }

    /// A parameter in `a=fmtp`.
    pub(super) fn parameter(&self, format: u8, name: &str) -> Option<&'a str> {
        let (_, text) = self.numbered("fmtp", format)?;
        let pairs = text.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// `a=<name>:<format> <text>`.
    fn numbered(&self, name: &'a str, format: u8) -> Option<(u8, &'a str)> {
        self.values(name)
            .filter_map(|value| value.split_once(' '))
            .find_map(|(number, text)| (number.parse() == Ok(format)).then_some((format, text)))
    }
}
