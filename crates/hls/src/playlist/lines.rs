//! The lines of a playlist, as the crate `quick-m3u8` reads them: a tag that it cannot read is a tag that is not there.

use quick_m3u8::{
    HlsLine, Reader,
    config::{ParsingOptions, ParsingOptionsBuilder},
    tag::{KnownTag, hls::Tag},
};

/// What a line is, for those that matter here.
pub(super) enum Line<'a> {
    // A tag is a few hundred bytes, and there is one at a time.
    Tag(Box<Tag<'a>>),
    Uri(&'a str),
    /// A tag that decides which bytes are played, and cannot be read.
    Broken(&'static str),
}

/// Passing over one of these would play the wrong bytes.
const NEEDED: [&str; 3] = ["-X-KEY", "-X-MAP", "-X-BYTERANGE"];

/// Lines with their numbers, counted from 1.
pub(super) struct Lines<'a> {
    reader: Reader<&'a str, quick_m3u8::tag::NoCustomTag>,
    number: usize,
}

/// Only the tags that are used: the longest ones (`EXT-X-DATERANGE`) are not.
fn options() -> ParsingOptions {
    ParsingOptionsBuilder::new()
        .with_parsing_for_start()
        .with_parsing_for_targetduration()
        .with_parsing_for_media_sequence()
        .with_parsing_for_discontinuity_sequence()
        .with_parsing_for_endlist()
        .with_parsing_for_playlist_type()
        .with_parsing_for_inf()
        .with_parsing_for_byterange()
        .with_parsing_for_discontinuity()
        .with_parsing_for_key()
        .with_parsing_for_map()
        .with_parsing_for_program_date_time()
        .with_parsing_for_gap()
        .with_parsing_for_media()
        .with_parsing_for_stream_inf()
        .build()
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { reader: Reader::from_str(text, options()), number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, Line<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.number += 1;
            match self.reader.read_line() {
                Ok(None) => return None,
                Ok(Some(HlsLine::KnownTag(KnownTag::Hls(tag)))) => {
                    return Some((self.number, Line::Tag(Box::new(tag))));
                }
                Ok(Some(HlsLine::Uri(std::borrow::Cow::Borrowed(uri)))) if !uri.trim().is_empty() => {
                    return Some((self.number, Line::Uri(uri.trim())));
                }
                Ok(Some(HlsLine::UnknownTag(tag))) => {
                    if let Some(name) = NEEDED.iter().find(|name| **name == tag.name()) {
                        return Some((self.number, Line::Broken(name)));
                    }
                }
                // Comments, tags of others, blank lines, and lines with a control character or a broken tag.
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }
}
