use std::{collections::BTreeSet, str::SplitWhitespace};

use media::Codec;
use str0m::{format::FormatParams, media::Rid};

use super::{
    Audio, OfferError, Video,
    plain::{EXTENSIONS, FEEDBACK, Media},
    section::{Section, is_token},
};

/// Simulcast layers that are read; clients send three, OBS up to four.
const MAX_LAYERS: usize = 4;

/// Its [`EXTENSIONS`]; numbers hold for all tracks of a bundle. str0m knows those up to 16.
pub(super) fn read_extensions(
    section: &Section<'_>,
    known: &mut Vec<(u8, &'static str)>,
) -> Vec<(u8, &'static str)> {
    let mut found = Vec::new();
    for text in section.values("extmap") {
        let mut words = text.split_whitespace();
        let number = words.next().and_then(|number| number.split('/').next()?.parse().ok());
        let uri = words.next().and_then(|uri| EXTENSIONS.into_iter().find(|ours| *ours == uri));
        let (Some(number @ 1..=16), Some(uri)) = (number, uri) else { continue };
        let agrees = |&(other, other_uri): &(u8, &str)| (other == number) == (other_uri == uri);
        if known.iter().all(agrees) {
            if !known.contains(&(number, uri)) {
                known.push((number, uri));
            }
            found.push((number, uri));
        }
    }
    found.dedup();
    found
}

fn feedback(section: &Section<'_>, payload_type: u8) -> Vec<&'static str> {
    let offered: Vec<&str> = section.numbered("rtcp-fb", payload_type).collect();
    FEEDBACK.into_iter().filter(|known| offered.contains(known)).collect()
}

pub(super) fn video_media(section: &Section<'_>, video: &Video) -> Media {
    Media {
        codec: video.codec,
        payload_type: video.payload_type,
        resend: video.resend,
        format: FormatParams::parse_line(section.format_line(video.payload_type)),
        feedback: feedback(section, video.payload_type),
        extensions: Vec::new(),
        rids: video.rids.clone(),
        ssrcs: ssrcs(section),
    }
}

/// The answer asks for stereo where it is offered: browsers send it then.
pub(super) fn audio_media(section: &Section<'_>, audio: &Audio) -> Media {
    let stereo = (audio.channels == 2).then_some(true);
    let format =
        FormatParams { min_p_time: Some(10), use_inband_fec: Some(true), stereo, ..FormatParams::default() };
    Media {
        codec: Codec::Opus,
        payload_type: audio.payload_type,
        resend: None,
        format,
        feedback: feedback(section, audio.payload_type),
        extensions: Vec::new(),
        rids: Vec::new(),
        ssrcs: ssrcs(section).into_iter().take(1).collect(),
    }
}

/// The SSRCs of `a=ssrc` (RFC 5576) with those of their resent packets (`FID`): of all layers if there is a group `SIM`, which
/// was how browsers did simulcast before rids, else the first.
fn ssrcs(section: &Section<'_>) -> Vec<(u32, Option<u32>)> {
    let group = |kind: &'static str| {
        section.values("ssrc-group").filter_map(move |text| {
            let mut words = text.split_whitespace();
            let numbers = |words: SplitWhitespace<'_>| {
                words.map_while(|word| word.parse().ok()).take(MAX_LAYERS).collect::<Vec<u32>>()
            };
            (words.next() == Some(kind)).then(|| numbers(words))
        })
    };
    let pairs: Vec<(u32, u32)> =
        group("FID").filter_map(|ssrcs| Some((*ssrcs.first()?, *ssrcs.get(1)?))).collect();
    let resent = |ssrc: u32| pairs.iter().find(|(of, _)| *of == ssrc).map(|(_, resent)| *resent);
    let mut named = section.values("ssrc").filter_map(|text| text.split_whitespace().next()?.parse().ok());
    let mut first = || named.find(|ssrc| *ssrc != 0 && pairs.iter().all(|(_, resent)| resent != ssrc));
    let layers =
        group("SIM").next().filter(|layers| layers.len() > 1).or_else(|| first().map(|ssrc| vec![ssrc]));
    let mut seen = BTreeSet::new();
    let layers = layers.unwrap_or_default().into_iter().filter(|ssrc| *ssrc != 0 && seen.insert(*ssrc));
    layers.map(|ssrc| (ssrc, resent(ssrc))).collect()
}

pub(super) fn video(section: &Section<'_>) -> Result<Video, OfferError> {
    let mid = section.mid().ok_or(OfferError::Missing("a=mid of the video"))?;
    let mid = mid_token(mid)?;
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
        name.eq_ignore_ascii_case("rtx") && *pt != payload_type && section.parameter(*pt, "apt") == Some(&apt)
    };
    Ok(Video {
        mid,
        codec,
        payload_type,
        resend: section.codecs().find(resends).map(|(pt, _, _)| pt),
        h264: (codec == Codec::H264).then(|| (level, mode_1(payload_type))),
        rids: rids(section)?,
    })
}

fn mid_token(mid: &str) -> Result<String, OfferError> {
    let expected = "at most 64 letters, digits or signs (RFC 5888 section 4)";
    is_token(mid).then(|| mid.to_owned()).ok_or(OfferError::Malformed { name: "a=mid", expected })
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
fn rids(section: &Section<'_>) -> Result<Vec<String>, OfferError> {
    let mut words = section.value("simulcast").unwrap_or_default().split_whitespace();
    let list = std::iter::from_fn(|| Some((words.next()?, words.next()?)))
        .find_map(|(direction, list)| (direction == "send").then_some(list));
    let first = |layer: &str| layer.split(',').next().unwrap_or_default().trim_start_matches('~').to_owned();
    let rids = list.unwrap_or_default().split(';').map(first).filter(|rid| !rid.is_empty());
    let rids: Vec<String> = rids.take(MAX_LAYERS).collect();
    // str0m reads so much of them.
    let different: BTreeSet<String> = rids.iter().map(|rid| Rid::from(rid.as_str()).to_string()).collect();
    let sound = rids.iter().all(|rid| is_token(rid)) && different.len() == rids.len();
    sound.then_some(rids).ok_or(OfferError::Rids)
}

pub(super) fn audio(section: &Section<'_>) -> Result<Audio, OfferError> {
    let mid = section.mid().ok_or(OfferError::Missing("a=mid of the audio"))?;
    let mid = mid_token(mid)?;
    let opus = section.codecs().find(|(_, name, rate)| name.eq_ignore_ascii_case("opus") && *rate == 48_000);
    let Some((payload_type, _, _)) = opus else {
        return Err(OfferError::Codec { kind: "audio", offered: section.codec_names(), taken: "opus" });
    };
    let stereo =
        ["sprop-stereo", "stereo"].iter().any(|name| section.parameter(payload_type, name) == Some("1"));
    Ok(Audio { mid, payload_type, channels: if stereo { 2 } else { 1 } })
}
