//! Which variant of a master playlist is played, and which sound with it.

use crate::playlist::{Audio, Master, Variant};

/// What the session has use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The short side of the largest picture that is of use, in lines.
    pub most_lines: u64,
    /// The highest bitrate that is of use, in bits per second.
    pub most_bps: u64,
    /// Whether pictures are of use at all. Without them a variant without any comes first.
    pub pictures: bool,
    /// The codecs that can be decoded: how their names begin (RFC 6381). A variant that does not tell its codecs is taken to have these.
    pub codecs: &'static [&'static str],
}

impl Default for Wish {
    /// The best there is.
    fn default() -> Self {
        Self { most_lines: u64::MAX, most_bps: u64::MAX, pictures: true, codecs: KNOWN_CODECS }
    }
}

/// What HLS streams are made of and GStreamer's usual plugins decode: H.264, HEVC, AV1, VP9; AAC and MP3, AC-3, E-AC-3, Opus, FLAC.
pub const KNOWN_CODECS: &[&str] = &[
    "avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "mp4a", "mp3", "ac-3", "ec-3", "opus", "Opus", "flac",
    "fLaC",
];

/// Names of codecs of pictures, those that cannot be decoded, too.
const PICTURES: [&str; 10] = ["avc", "hvc", "hev", "av01", "vp0", "vp8", "vp9", "dv", "mp4v", "vvc"];

fn has_pictures(variant: &Variant) -> Option<bool> {
    if variant.size.is_some() {
        return Some(true);
    }
    let is_picture = |codec: &String| PICTURES.iter().any(|start| codec.starts_with(start));
    (!variant.codecs.is_empty()).then(|| variant.codecs.iter().any(is_picture))
}

fn lines(variant: &Variant) -> u64 {
    variant.size.map_or(0, |(width, height)| width.min(height))
}

/// The variant that fits best: the largest within the wish, else the smallest over it. `None` if there is none that can be decoded.
pub(crate) fn variant<'a>(master: &'a Master, wish: &Wish) -> Option<&'a Variant> {
    let decodable = |codec: &String| wish.codecs.iter().any(|known| codec.starts_with(known));
    let playable = || master.variants.iter().filter(|v| v.codecs.iter().all(decodable));
    // One that does not tell is no sound-only variant if any beside it tells of pictures less.
    let any_sized = playable().any(|v| v.size.is_some());
    let shows = |v: &Variant| has_pictures(v).unwrap_or(!any_sized);
    let wanted: Vec<_> = playable().filter(|v| shows(v) == wish.pictures).collect();
    let among = if wanted.is_empty() { playable().collect() } else { wanted };
    let fits = |v: &&&Variant| lines(v) <= wish.most_lines && v.bandwidth_bps <= wish.most_bps;
    let best = |v: &&&Variant| (lines(v), v.bandwidth_bps);
    // Of equals the first in the playlist: max_by_key takes the last.
    among.iter().rev().filter(fits).max_by_key(best).or_else(|| closest(&among, wish)).copied()
}

/// Where nothing fits: over in bitrate only, but by as little as can be, else the smallest.
fn closest<'a, 'b>(among: &'b [&'a Variant], wish: &Wish) -> Option<&'b &'a Variant> {
    let in_lines = |v: &&&Variant| lines(v) <= wish.most_lines;
    let cheapest = among.iter().filter(in_lines).min_by_key(|v| v.bandwidth_bps);
    cheapest.or_else(|| among.iter().min_by_key(|v| (lines(v), v.bandwidth_bps)))
}

/// The sound of a variant that has a playlist of its own: the default one, else one that may be chosen without asking, else the first.
/// `None` where the sound is in the variant.
pub(crate) fn audio<'a>(master: &'a Master, variant: &Variant) -> Option<&'a Audio> {
    let group = variant.audio.as_ref()?;
    let of_group = || master.audio.iter().filter(|a| a.group == *group);
    let chosen = of_group()
        .find(|a| a.default)
        .or_else(|| of_group().find(|a| a.autoselect))
        .or_else(|| of_group().next())?;
    chosen.uri.as_ref().filter(|uri| **uri != variant.uri).map(|_| chosen)
}
