use std::{collections::BTreeSet, fmt};

use media::{Codec, Kind};
use str0m::media::Mid;

use super::{
    plain::{Line, Media, Plain},
    section::{MAX_ATTRIBUTES, Section, is_token, split},
    tracks::{audio, audio_media, read_extensions, video, video_media},
};

/// Longest offer: a browser's with every codec and simulcast has under 10 KiB.
const MAX_BYTES: usize = 256 * 1024;

/// Lines `m=` that are read: one of each kind is used.
const MAX_MEDIA: usize = 16;

/// Candidates of the publisher's that are tried, in the offer and by PATCHes; a host with several addresses has a dozen.
pub(super) const MAX_CANDIDATES: usize = 64;

/// What a WHIP publisher offers to send, as far as it concerns us: the first picture and the first sound track.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// The publisher's generation of ICE credentials.
    pub ufrag: String,
    /// The picture track.
    pub video: Option<Video>,
    /// The sound track.
    pub audio: Option<Audio>,
    pub(super) plain: Plain,
}

/// A picture track: of the codecs that it may be in, the one that the publisher likes best and that we take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// `a=mid`.
    pub mid: String,
    /// The codec.
    pub codec: Codec,
    /// Its RTP payload type.
    pub payload_type: u8,
    /// The payload type of its resent packets (RFC 4588).
    pub resend: Option<u8>,
    /// Of H.264: `profile-level-id`, and whether `packetization-mode` is 1 (RFC 6184 section 8.1).
    pub h264: Option<(u32, bool)>,
    /// The simulcast layers' rids (RFC 8853) in the publisher's order; empty where there are none, even if there are layers by
    /// SSRC: [`Offer::layers`] counts both.
    pub rids: Vec<String>,
}

/// A sound track in Opus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// `a=mid`.
    pub mid: String,
    /// Its RTP payload type.
    pub payload_type: u8,
    /// What it sends: 2 with `sprop-stereo=1` (RFC 7587 section 6.1) or, where browsers say only what they take, `stereo=1`.
    pub channels: u8,
}

/// Why an offer cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Past 256 KiB.
    #[error("offer of {0} bytes, at most {MAX_BYTES} are read")]
    TooLarge(usize),
    /// It is something else.
    #[error("no SDP: expected `v=0` first, and `<letter>=<value>` in each line (RFC 8866)")]
    Syntax,
    /// More tracks than anybody has.
    #[error("more than {MAX_MEDIA} m-lines")]
    TooManyMedia,
    /// More than anybody has to say about a track.
    #[error("more than {MAX_ATTRIBUTES} attributes of one m-line")]
    TooManyAttributes,
    /// Two m-lines of one name.
    #[error("two m-lines with a=mid:{0}")]
    SameMid(String),
    /// Packets could not be told apart.
    #[error("payload type {0} is offered for audio and for video")]
    SamePayloadType(u8),
    /// Without it there is no media path.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// What is there cannot be used.
    #[error("{name}: expected {expected}")]
    Malformed {
        /// The attribute.
        name: &'static str,
        /// And where that is said.
        expected: &'static str,
    },
    /// Layers could not be told apart.
    #[error("a=simulcast: expected rids of letters and digits that differ within their first 8 characters")]
    Rids,
    /// No usable `a=fingerprint`.
    #[error("a=fingerprint: expected sha-256 and 32 bytes in hexadecimal (RFC 8122 section 5)")]
    Fingerprint,
    /// There is nothing that would be sent.
    #[error("nothing to receive: expected an m-line for audio or video with a=sendonly or a=sendrecv")]
    NothingToReceive,
    /// A track in codecs that are not taken.
    #[error("no codec in common for {kind}: offered {offered}, taken are {taken}")]
    Codec {
        /// `audio` or `video`.
        kind: &'static str,
        /// By name, as offered.
        offered: String,
        /// By name.
        taken: &'static str,
    },
}

impl Offer {
    /// Reads an offer.
    ///
    /// # Errors
    /// What cannot be answered, and why.
    pub fn read(text: &str) -> Result<Self, OfferError> {
        if text.len() > MAX_BYTES {
            return Err(OfferError::TooLarge(text.len()));
        }
        let (session, media) = split(text, MAX_MEDIA)?;
        let mut mids = BTreeSet::new();
        // str0m reads 16 characters of them, and signs as one.
        let same = |mid: &&str| !mids.insert(Mid::from(*mid).to_string());
        if let Some(twice) = media.iter().filter_map(Section::mid).find(same) {
            return Err(OfferError::SameMid(twice.chars().take(32).collect()));
        }
        let (ufrag, mut plain) = transport(&session, &media)?;
        let sent = |kind| media.iter().position(|section| section.kind == kind && section.is_sent());
        let (video_at, audio_at) = (sent("video"), sent("audio"));
        let mut video = video_at.map(|at| video(&media[at])).transpose()?;
        let audio = audio_at.map(|at| audio(&media[at])).transpose()?;
        if video.is_none() && audio.is_none() {
            return Err(OfferError::NothingToReceive);
        }
        if let (Some(video), Some(audio)) = (&mut video, &audio) {
            if video.payload_type == audio.payload_type {
                return Err(OfferError::SamePayloadType(audio.payload_type));
            }
            video.resend = video.resend.filter(|resend| *resend != audio.payload_type);
        }
        let mut extensions = Vec::new();
        for (at, section) in media.iter().enumerate() {
            let taken = match (&video, &audio) {
                (Some(video), _) if video_at == Some(at) => video_media(section, video),
                (_, Some(audio)) if audio_at == Some(at) => audio_media(section, audio),
                _ => continue,
            };
            let extensions = read_extensions(section, &mut extensions);
            plain.lines[at].media = Some(Media { extensions, ..taken });
        }
        Ok(Self { ufrag, video, audio, plain })
    }

    /// How many picture layers there are: 0 without pictures, else up to 4.
    pub fn layers(&self) -> usize {
        let layers = |(_, media): (_, &Media)| {
            media.codec.kind().eq(&Kind::Video).then(|| media.engine_rids().len().max(1))
        };
        self.plain.media().find_map(layers).unwrap_or(0)
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ufrag, video, audio, plain: _ } = self;
        f.debug_struct("Offer")
            .field("ufrag", ufrag)
            .field("video", video)
            .field("audio", audio)
            .finish_non_exhaustive()
    }
}

/// The publisher's ICE and DTLS: its ufrag, and the rest, with all m-lines refused so far. Each attribute may stand with the session or
/// with a track; all are bundled.
fn transport(session: &Section<'_>, media: &[Section<'_>]) -> Result<(String, Plain), OfferError> {
    let all = || std::iter::once(session).chain(media);
    let first =
        |name, missing| all().find_map(|section| section.value(name)).ok_or(OfferError::Missing(missing));
    let ufrag = first("ice-ufrag", "a=ice-ufrag")?.to_owned();
    let pwd = first("ice-pwd", "a=ice-pwd")?.to_owned();
    if !is_ice_secret(&ufrag) || !is_ice_secret(&pwd) {
        let expected = "4 to 256 letters, digits, + or / (RFC 8839 section 5.4)";
        return Err(OfferError::Malformed { name: "a=ice-ufrag, a=ice-pwd", expected });
    }
    let setup = setup(first("setup", "a=setup")?)?;
    first("fingerprint", "a=fingerprint")?;
    let fingerprint = all().flat_map(|section| section.values("fingerprint")).find_map(fingerprint);
    let fingerprint = fingerprint.ok_or(OfferError::Fingerprint)?;
    let mut candidates: Vec<String> = Vec::new();
    for text in all().flat_map(|section| section.values("candidate")) {
        let text = format!("candidate:{text}");
        if candidates.len() < MAX_CANDIDATES && !candidates.contains(&text) {
            candidates.push(text);
        }
    }
    let trickles = all()
        .flat_map(|section| section.values("ice-options"))
        .any(|options| options.split([' ', ',']).any(|option| option == "trickle"));
    let hides = candidates.is_empty() && !trickles;
    let (ice_lite, lines) = (session.has("ice-lite"), media.iter().map(line).collect());
    Ok((ufrag, Plain { pwd, setup, fingerprint, ice_lite, hides, candidates, lines }))
}

/// RFC 8839 section 5.4. Passwords that are shorter than the 22 characters there are the publisher's own risk.
pub(super) fn is_ice_secret(text: &str) -> bool {
    let is_ice_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    // Some clients' have - and _ too.
    (4..=256).contains(&text.len())
        && text.bytes().all(|byte| is_ice_char(byte) || byte == b'-' || byte == b'_')
}

fn setup(text: &str) -> Result<&'static str, OfferError> {
    let known = ["actpass", "active", "passive"].into_iter().find(|known| *known == text);
    known.ok_or(OfferError::Malformed {
        name: "a=setup",
        expected: "actpass, active or passive (RFC 4145 section 4)",
    })
}

/// `sha-256 0A:1B:…`, 32 bytes; other hashes may stand beside it.
fn fingerprint(text: &str) -> Option<String> {
    let (hash, bytes) = text.split_once(' ')?;
    let bytes = bytes.trim();
    let is_byte = |byte: &str| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
    let sound = hash.eq_ignore_ascii_case("sha-256")
        && bytes.split(':').count() == 32
        && bytes.split(':').all(is_byte);
    sound.then(|| format!("sha-256 {}", bytes.to_ascii_uppercase()))
}

/// An m-line that is refused so far.
fn line(section: &Section<'_>) -> Line {
    Line {
        kind: section.kind.to_owned(),
        protocol: section.protocol.to_owned(),
        format: section.format.to_owned(),
        mid: section.mid().filter(|mid| is_token(mid)).map(str::to_owned),
        media: None,
    }
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
