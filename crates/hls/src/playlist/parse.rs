//! Text → [`Playlist`].

use bytes::Bytes;
use quick_m3u8::tag::hls::{self, EnumeratedString, Tag};

use super::{
    Audio, Base, Error, Master, Playlist, Start, Variant,
    lines::{Line, Lines},
    segments::Segments,
};
use crate::limits;

/// Reads a playlist. Tags that are unknown or malformed are passed over, as RFC 8216 6.3.1 wants of a client,
/// but for those that decide which bytes are played.
pub(crate) fn parse(base: Base, body: &Bytes) -> Result<Playlist, Error> {
    if body.len() > limits::PLAYLIST {
        return Err(Error::TooLong { bytes: body.len(), limit: limits::PLAYLIST });
    }
    // Titles in Latin-1 are no reason to refuse a stream.
    let text = String::from_utf8_lossy(body);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_start();
    if !text.starts_with("#EXTM3U") {
        return Err(Error::NotAPlaylist { begins: text.chars().take(24).collect() });
    }
    let mut reading = Reading::default();
    for (line, content) in Lines::of(text) {
        match content {
            Line::Tag(tag) => reading.tag(line, &tag)?,
            Line::Uri(uri) => reading.uri(line, uri)?,
            Line::Broken("-X-KEY") => {
                return Err(Error::Unclear { line, what: "an EXT-X-KEY that cannot be read" });
            }
            Line::Broken("-X-MAP") => {
                return Err(Error::Unclear { line, what: "an EXT-X-MAP that cannot be read" });
            }
            Line::Broken(_) => {
                return Err(Error::Unclear { line, what: "an EXT-X-BYTERANGE that cannot be read" });
            }
        }
    }
    reading.finish(base)
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    segments: Segments,
    variants: Vec<Variant>,
    audio: Vec<Audio>,
    /// An `EXT-X-STREAM-INF` whose address is in the next line.
    variant: Option<Variant>,
    start: Option<Start>,
    /// A tag that only a master, or only a media playlist has.
    master: Option<&'static str>,
    media: Option<&'static str>,
}

impl Reading {
    fn tag(&mut self, line: usize, tag: &Tag<'_>) -> Result<(), Error> {
        match tag {
            Tag::StreamInf(inf) => {
                self.is_master(line, "#EXT-X-STREAM-INF")?;
                self.variant = Some(variant(inf));
            }
            Tag::Media(media) => {
                self.is_master(line, "#EXT-X-MEDIA")?;
                self.rendition(line, media)?;
            }
            Tag::Start(start) => {
                let offset = start.time_offset();
                self.start = offset.is_finite().then_some(Start { offset });
            }
            tag => {
                if let Some(name) = self.segments.tag(line, tag)? {
                    self.is_media(line, name)?;
                }
            }
        }
        Ok(())
    }

    fn uri(&mut self, line: usize, uri: &str) -> Result<(), Error> {
        if uri.len() > limits::URI {
            return Err(Error::TooMany { line, what: "bytes of an address", limit: limits::URI });
        }
        if let Some(mut variant) = self.variant.take() {
            if self.variants.len() == limits::VARIANTS {
                return Err(Error::TooMany { line, what: "variants", limit: limits::VARIANTS });
            }
            variant.uri = uri.to_owned();
            self.variants.push(variant);
            return Ok(());
        }
        // In a master playlist an address without its tag is nothing.
        if self.master.is_some() { Ok(()) } else { self.segments.uri(line, uri) }
    }

    fn rendition(&mut self, line: usize, media: &hls::Media<'_>) -> Result<(), Error> {
        if !matches!(media.media_type(), EnumeratedString::Known(hls::MediaType::Audio)) {
            return Ok(());
        }
        if self.audio.len() == limits::VARIANTS {
            return Err(Error::TooMany { line, what: "renditions", limit: limits::VARIANTS });
        }
        self.audio.push(Audio {
            group: media.group_id().to_owned(),
            name: media.name().to_owned(),
            uri: media.uri().map(ToOwned::to_owned),
            default: media.default(),
            autoselect: media.autoselect(),
        });
        Ok(())
    }

    fn is_master(&mut self, line: usize, tag: &'static str) -> Result<(), Error> {
        self.master.get_or_insert(tag);
        self.media.map_or(Ok(()), |other| Err(Error::BothKinds { line, tag, other }))
    }

    fn is_media(&mut self, line: usize, tag: &'static str) -> Result<(), Error> {
        self.media.get_or_insert(tag);
        self.master.map_or(Ok(()), |other| Err(Error::BothKinds { line, tag, other }))
    }

    fn finish(self, base: Base) -> Result<Playlist, Error> {
        if self.master.is_some() {
            let Self { variants, audio, start, .. } = self;
            return Ok(Playlist::Master(Master { base, variants, audio, start }));
        }
        self.segments.finish(base, self.start).map(Playlist::Media)
    }
}

fn variant(inf: &hls::StreamInf<'_>) -> Variant {
    let codecs = inf.codecs().unwrap_or_default();
    Variant {
        uri: String::new(),
        bandwidth_bps: inf.bandwidth(),
        size: inf.resolution().map(|size| (size.width, size.height)),
        codecs: codecs.split(',').map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect(),
        audio: inf.audio().map(ToOwned::to_owned),
    }
}
