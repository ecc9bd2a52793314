use std::{collections::BTreeSet, fmt};

use media::Codec;

use super::section::{Section, split};

/// Longest offer: a browser's with every codec and simulcast has under 10 KiB.
const MAX_BYTES: usize = 256 * 1024;

/// Lines `m=` that are read: one of each kind is used.
const MAX_MEDIA: usize = 16;

/// Simulcast layers that are read; clients send three, OBS up to four.
const MAX_LAYERS: usize = 4;

/// What a WHIP publisher offers to send, as far as it concerns us: the first picture and the first sound track.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// The publisher's generation of ICE credentials.
    pub ufrag: String,
    /// The picture track.
    pub video: Option<Video>,
    /// The sound track.
    pub audio: Option<Audio>,
    /// As it came. It holds the publisher's ice-pwd.
    pub(super) text: String,
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
    /// The simulcast layers' rids (RFC 8853) in the publisher's order; empty where there are none.
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
    /// Two m-lines of one name.
    #[error("two m-lines with a=mid:{0}")]
    SameMid(String),
    /// Without it there is no media path.
    #[error("{0} is missing")]
    Missing(&'static str),
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
        if let Some(twice) = media.iter().filter_map(Section::mid).find(|mid| !mids.insert(*mid)) {
            return Err(OfferError::SameMid(twice.chars().take(32).collect()));
        }
        let all = || std::iter::once(&session).chain(&media);
        let first = |name| all().find_map(|section| section.value(name));
        let ufrag = first("ice-ufrag").ok_or(OfferError::Missing("a=ice-ufrag"))?.to_owned();
        first("ice-pwd").ok_or(OfferError::Missing("a=ice-pwd"))?;
        first("setup").ok_or(OfferError::Missing("a=setup"))?;
        first("fingerprint").ok_or(OfferError::Missing("a=fingerprint"))?;
        if !all().flat_map(|section| section.values("fingerprint")).any(is_fingerprint) {
            return Err(OfferError::Fingerprint);
        }
        let sent = |kind| media.iter().find(|section| section.kind == kind && section.is_sent());
        let video = sent("video").map(video).transpose()?;
        let audio = sent("audio").map(audio).transpose()?;
        if video.is_none() && audio.is_none() {
            return Err(OfferError::NothingToReceive);
        }
        Ok(Self { ufrag, video, audio, text: text.to_owned() })
    }

    /// How many picture layers there are: 0 without pictures, else up to 4.
    pub fn layers(&self) -> usize {
        self.video.as_ref().map_or(0, |video| video.rids.len().max(1))
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ufrag, video, audio, text: _ } = self;
        f.debug_struct("Offer")
            .field("ufrag", ufrag)
            .field("video", video)
            .field("audio", audio)
            .finish_non_exhaustive()
    }
}

/// `sha-256 0A:1B:…`, 32 bytes; other hashes may stand beside it.
fn is_fingerprint(text: &str) -> bool {
    let Some((hash, bytes)) = text.split_once(' ') else { return false };
    let is_byte = |byte: &str| byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
    hash.eq_ignore_ascii_case("sha-256")
        && bytes.trim().split(':').count() == 32
        && bytes.trim().split(':').all(is_byte)
}

fn video(section: &Section<'_>) -> Result<Video, OfferError> {
    let mid = section.mid().ok_or(OfferError::Missing("a=mid of the video"))?.to_owned();
    let found: Vec<(u8, Codec)> =
        section.codecs().filter_map(|(pt, name, _)| Some((pt, video_codec(name)?))).collect();
    let Some(&(first, codec)) = found.first() else {
        let taken = "H264, H265, VP8, VP9, AV1";
        return Err(OfferError::Codec { kind: "video", offered: section.codec_names(), taken });
    };
    let mode_1 = |pt: u8| section.parameter(pt, "packetization-mode") == Some("1");
    // Mode 1 may cut pictures to the size of packets; mode 0, which is the default, has whole NAL units only.
    let payload_type = match codec {
        Codec::H264 => {
            found.iter().find(|(pt, other)| *other == codec && mode_1(*pt)).map_or(first, |(pt, _)| *pt)
        }
        _ => first,
    };
    let level = section.parameter(payload_type, "profile-level-id");
    let level = level.and_then(|text| u32::from_str_radix(text, 16).ok()).unwrap_or(0x42_00_0a);
    let apt = payload_type.to_string();
    let resends = |(pt, name, _): &(u8, &str, u32)| {
        name.eq_ignore_ascii_case("rtx") && section.parameter(*pt, "apt") == Some(&apt)
    };
    Ok(Video {
        mid,
        codec,
        payload_type,
        resend: section.codecs().find(resends).map(|(pt, _, _)| pt),
        h264: (codec == Codec::H264).then(|| (level, mode_1(payload_type))),
        rids: rids(section),
    })
}

fn video_codec(name: &str) -> Option<Codec> {
    match name.to_ascii_uppercase().as_str() {
        "H264" => Some(Codec::H264),
        "H265" => Some(Codec::H265),
        "VP8" => Some(Codec::Vp8),
        "VP9" => Some(Codec::Vp9),
        "AV1" => Some(Codec::Av1),
        _ => None,
    }
}

/// The layers of `a=simulcast:send`, each by its first alternative (RFC 8853 section 5.1), those that begin paused too.
fn rids(section: &Section<'_>) -> Vec<String> {
    let Some(list) = section.value("simulcast") else { return Vec::new() };
    let mut words = list.split_whitespace();
    let Some(list) = std::iter::from_fn(|| Some((words.next()?, words.next()?)))
        .find_map(|(direction, list)| (direction == "send").then_some(list))
    else {
        return Vec::new();
    };
    let first = |layer: &str| layer.split(',').next().unwrap_or_default().trim_start_matches('~').to_owned();
    list.split(';').map(first).filter(|rid| !rid.is_empty()).take(MAX_LAYERS).collect()
}

fn audio(section: &Section<'_>) -> Result<Audio, OfferError> {
    let mid = section.mid().ok_or(OfferError::Missing("a=mid of the audio"))?.to_owned();
    let opus = section.codecs().find(|(_, name, rate)| name.eq_ignore_ascii_case("opus") && *rate == 48_000);
    let Some((payload_type, _, _)) = opus else {
        return Err(OfferError::Codec { kind: "audio", offered: section.codec_names(), taken: "opus" });
    };
    let stereo =
        ["sprop-stereo", "stereo"].iter().any(|name| section.parameter(payload_type, name) == Some("1"));
    Ok(Audio { mid, payload_type, channels: if stereo { 2 } else { 1 } })
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
