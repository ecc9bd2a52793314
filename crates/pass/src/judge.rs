mod measure;
mod verdict;

use std::time::Duration;

use media::{Codec, Encoded, Kind, Layer, MediaTime, Output, Packet, Shape, Unit};

use crate::h264::{Description, Error, Picture, Stream};
use measure::{Bitrate, Rate};
pub use verdict::{Verdict, Why};

/// Baseline, Main, High. The others have more than 8 bits or more colour, or are Extended.
const PROFILES: [u8; 3] = [66, 77, 100];

/// The longest distance of key pictures: ten seconds, and what a source's clock or the seam of a looped file may add.
/// RTMP cannot be asked for one: who joins in between is served by an encoder.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(10_500);

/// Of the highest frame rate, in percent: a rate that is measured is a little off.
const RATE_PERCENT: u64 = 110;

/// Of the layer's target, in percent: what a source may have, and what it may have to get back in.
const BITRATE_PERCENT: u64 = 150;
const BITRATE_BACK_PERCENT: u64 = 135;

/// Clean groups of pictures in a row that are asked for after B-frames have come again and again: an encoder that uses them
/// now and then would else be switched to and fro for ever.
const MOST_CLEAN: u32 = 16;

/// What both parameter sets may take: they leave in one packet, which str0m 0.25 fills up to 1150 bytes less its headers
/// and else leaves out without a word.
const SETS_BYTES: usize = 1000;

/// Says of one source, picture by picture, whether it may stand in for a layer as it is.
///
/// High profile may: it is more than the Constrained Baseline that is negotiated, but what nearly every publisher sends, and
/// what decoders in browsers take from the stream itself (docs/adr/0012 says what of that was tried). Where the stream does
/// not promise that pictures are shown in the order in which they are decoded, one whole group of pictures is watched first.
#[derive(Debug)]
pub struct Judge {
    limit: Option<(Layer, u32)>,
    source: Source,
    shape: Shape,
    verdict: Verdict,
    group: Option<Group>,
    /// Whole groups of pictures without a fault, in a row, and how many there must be.
    clean: u32,
    needed: u32,
    newest: Option<MediaTime>,
    rate: Rate,
    bitrate: Bitrate,
}

#[derive(Debug)]
enum Source {
    Nothing,
    Other(Codec),
    Broken(Error),
    H264(Box<Stream>),
}

/// The pictures since the last key picture.
#[derive(Debug)]
struct Group {
    start: MediaTime,
    bytes: u64,
    clean: bool,
}

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}

impl Judge {
    /// Of a source that has sent nothing yet.
    pub fn new() -> Self {
        Self {
            limit: None,
            source: Source::Nothing,
            shape: Shape::default(),
            verdict: Verdict::Unfit(Why::Unknown),
            group: None,
            clean: 0,
            needed: 0,
            newest: None,
            rate: Rate::default(),
            bitrate: Bitrate::default(),
        }
    }

    /// The layer that the source would be, and the highest frame rate of any layer in frames per 1 000 s; `None` while
    /// there is no such layer. Holds from the next picture on.
    pub fn set_layer(&mut self, layer: Option<Layer>, max_fps_milli: u32) {
        self.limit = layer.map(|layer| (layer, max_fps_milli));
    }

    /// What was said last; [`Why::Unknown`] at the start.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What the source's parameter sets say.
    pub fn description(&self) -> Option<&Description> {
        match &self.source {
            Source::H264(stream) => stream.description(),
            _ => None,
        }
    }

    /// Looks at what the source sends next, on the session's clock. `Some` only when the verdict is another: it holds for
    /// this picture already. Sound is not looked at.
    pub fn take(&mut self, unit: &Unit) -> Option<Verdict> {
        let verdict = match unit {
            Unit::Format(_, format) if format.codec.kind() == Kind::Video => {
                self.source = match format.codec {
                    Codec::H264 => match Stream::read(&format.config) {
                        Ok(stream) => Source::H264(stream.into()),
                        Err(error) => Source::Broken(error),
                    },
                    other => Source::Other(other),
                };
                self.shape = format.shape;
                (self.group, self.clean, self.newest) = (None, 0, None);
                // What was found wrong before must not come back with the first key picture.
                let was_out = matches!(self.verdict, Verdict::Unfit(why) if why != Why::Unknown);
                self.needed = u32::from(was_out);
                (self.rate, self.bitrate) = Default::default();
                // Said with the first picture of the new format: it may well fit like the one before.
                return None;
            }
            Unit::Packet(packet) if packet.kind == Kind::Video => self.picture(packet)?,
            _ => return None,
        };
        let news = match (verdict, self.verdict) {
            (Verdict::Unfit(new), Verdict::Unfit(old)) => !new.is_like(&old),
            (new, old) => new != old,
        };
        self.verdict = verdict;
        news.then_some(verdict)
    }

    /// The picture that [`Judge::take`] saw last, ready for the room; `None` when there is no picture in it, or none that
    /// can be read. `keyframe` where every receiver can start.
    pub fn frame(&self, packet: &Packet, output: Output) -> Option<Encoded> {
        let Source::H264(stream) = &self.source else { return None };
        let access = stream.annex_b(&packet.data)?;
        Some(Encoded { output, pts: packet.pts, keyframe: access.idr, data: access.data })
    }

    fn picture(&mut self, packet: &Packet) -> Option<Verdict> {
        let looked = match &mut self.source {
            Source::Nothing => return None,
            Source::Other(codec) => Err(Why::Codec(*codec)),
            Source::Broken(error) => Err(Why::Broken(*error)),
            Source::H264(stream) => stream.look(&packet.data).map_err(Why::Broken),
        };
        let fault = match looked {
            Ok(picture) if picture.slices == 0 => return None,
            Ok(picture) => {
                let late = self.count(packet.dts, picture);
                let passing = self.passing(packet, picture);
                let unknown = (self.limit.is_none() || self.group.is_none()).then_some(Why::Unknown);
                match self.standing().or(passing).or(unknown) {
                    None => return Some(self.without_fault(picture.idr, late)),
                    Some(fault) => fault,
                }
            }
            Err(fault) => fault,
        };
        Some(self.with_fault(fault))
    }

    /// Ends the group of pictures before a key picture, and counts this one. True when that group was too long.
    fn count(&mut self, dts: MediaTime, picture: Picture) -> bool {
        self.rate.note(dts);
        let mut late = false;
        if picture.idr
            && let Some(group) = self.group.replace(Group { start: dts, bytes: 0, clean: true })
        {
            let span = dts.duration_since(group.start);
            self.bitrate.note(group.bytes, span);
            late = span > KEYFRAME_INTERVAL;
            let clean = group.clean && !late;
            self.clean = if clean { self.clean + 1 } else { 0 };
            if !clean {
                self.needed = self.needed.max(1);
            }
        }
        if let Some(group) = &mut self.group {
            group.bytes += picture.bytes as u64;
        }
        late
    }

    /// What the stream's parameters alone rule out.
    fn standing(&self) -> Option<Why> {
        let Source::H264(stream) = &self.source else { return None };
        let description = stream.description()?;
        let &Description { width, height, profile_idc, .. } = description;
        let sets = stream.sets();
        if !PROFILES.contains(&profile_idc) || !description.yuv420_8bit || sets.slice_groups {
            return Some(Why::Profile { idc: profile_idc });
        }
        if !description.progressive {
            return Some(Why::Interlaced);
        }
        if !self.shape.turn.is_none() {
            return Some(Why::Turned);
        }
        if !description.square || self.shape.pixel.is_some() {
            return Some(Why::PixelShape);
        }
        if sets.sps > 1 || sets.pps > 1 || sets.bytes > SETS_BYTES {
            return Some(Why::ParameterSets);
        }
        let (layer, _) = self.limit.as_ref()?;
        let fits = (width, height) == (layer.width, layer.height);
        (!fits).then_some(Why::Size { width, height })
    }

    /// What is wrong with this picture, or with those before it.
    fn passing(&mut self, packet: &Packet, picture: Picture) -> Option<Why> {
        let in_order = self.newest.is_none_or(|newest| newest <= packet.pts);
        self.newest = self.newest.max(Some(packet.pts));
        let max_fps = self.limit.as_ref().map_or(u64::MAX, |(_, fps)| u64::from(*fps) * RATE_PERCENT / 100);
        let declared = self.description().and_then(|description| description.fps_milli);
        let fps_milli = self.rate.fps_milli().or(declared).filter(|fps| u64::from(*fps) > max_fps);
        let too_long = self
            .group
            .as_ref()
            .is_some_and(|group| packet.dts.duration_since(group.start) > KEYFRAME_INTERVAL);
        if picture.field {
            Some(Why::Interlaced)
        } else if picture.has_b || !in_order {
            Some(Why::BFrames)
        } else if picture.new_sets && !picture.idr {
            Some(Why::ParameterSets)
        } else if let Some(fps_milli) = fps_milli {
            Some(Why::FrameRate { fps_milli })
        } else {
            too_long.then_some(Why::KeyframeInterval)
        }
    }

    fn with_fault(&mut self, why: Why) -> Verdict {
        if let Some(group) = &mut self.group
            && why != Why::Unknown
        {
            group.clean = false;
        }
        if why == Why::BFrames && self.verdict == Verdict::Fits {
            self.needed = (self.needed.max(1) * 2).min(MOST_CLEAN);
        }
        Verdict::Unfit(why)
    }

    /// A source gets in with a key picture only; `late`: one that came too long after the last.
    fn without_fault(&mut self, idr: bool, late: bool) -> Verdict {
        if !idr {
            return self.verdict;
        }
        let ordered = self.description().is_some_and(|description| description.reorder == Some(0));
        if self.clean < self.needed.max(u32::from(!ordered)) {
            // Why it is out is still the reason.
            return match self.verdict {
                Verdict::Fits if late => Verdict::Unfit(Why::KeyframeInterval),
                // Another format, which does not promise its order.
                Verdict::Fits => Verdict::Unfit(Why::Unknown),
                unfit => unfit,
            };
        }
        let bps = self.bitrate.bps().filter(|bps| *bps > self.most_bps());
        bps.map_or(Verdict::Fits, |bps| Verdict::Unfit(Why::Bitrate { bps }))
    }

    fn most_bps(&self) -> u64 {
        let out = matches!(self.verdict, Verdict::Unfit(Why::Bitrate { .. }));
        let percent = if out { BITRATE_BACK_PERCENT } else { BITRATE_PERCENT };
        self.limit.as_ref().map_or(0, |(layer, _)| u64::from(layer.bitrate_bps) * percent / 100)
    }
}

#[cfg(test)]
mod tests;
