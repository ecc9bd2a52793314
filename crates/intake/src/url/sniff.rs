//! What a resource is, by its first bytes and by what the server says of it. Pure. The bytes come first: servers give playlists
//! as `text/plain` and films as `application/octet-stream`.

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Begins as HLS playlists and those of radios do (`#EXTM3U`).
    M3u,
    /// A list of a radio's servers (`[playlist]`).
    Pls,
    /// Text of another kind; a list of addresses, if anything says so.
    Text,
    /// A format that is refused, by name.
    Refused(&'static str),
    /// No media: what it is instead.
    NotMedia(&'static str),
    /// Media that is played from the front to the end.
    Streamable,
    /// Media whose index may be at the end: MP4 and its relatives.
    Boxes,
    /// Something else. What takes containers apart may know it.
    Unknown,
}

/// As many bytes as tell kinds apart.
pub(super) const ENOUGH: usize = 1024;

/// The kind of what begins with `first`: all there is, or [`ENOUGH`] bytes.
pub(super) fn kind(first: &[u8]) -> Kind {
    let first = &first[..first.len().min(ENOUGH)];
    if is_streamable(first) {
        return Kind::Streamable;
    }
    if first.get(4..8).is_some_and(|name| BOXES.iter().any(|known| name == *known)) {
        return Kind::Boxes;
    }
    match text(first) {
        Some(text) => text_kind(text.trim_start_matches('\u{feff}').trim_start()),
        None => Kind::Unknown,
    }
}

/// Boxes that ISO base media and QuickTime files begin with.
const BOXES: [&[u8; 4]; 9] =
    [b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"pnot"];

fn is_streamable(first: &[u8]) -> bool {
    let starts = [&b"FLV\x01"[..], b"OggS", b"fLaC", b"ID3", b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba"];
    let riff = first.starts_with(b"RIFF") && matches!(first.get(8..12), Some(b"WAVE" | b"AVI "));
    // three packets in a row, of 188 bytes or with time stamps before them
    let ts = [(188, 0), (192, 4)].iter().any(|(size, from)| {
        (0..3).all(|packet| first.get(from + packet * size) == Some(&0x47)) && first.len() > 2 * size
    });
    // MPEG audio and ADTS
    let frame = matches!(first, [0xff, second, ..] if second & 0xe0 == 0xe0 && *second != 0xff);
    riff || ts || frame || starts.iter().any(|start| first.starts_with(start))
}

/// The bytes as text, if they can be nothing else. The last character may be cut.
fn text(first: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let control = |char: char| char.is_control() && !matches!(char, '\t' | '\n' | '\r' | '\x0c');
    (!text.is_empty() && !text.contains(control)).then_some(text)
}

fn text_kind(text: &str) -> Kind {
    let lower = text.to_ascii_lowercase();
    let markup = [
        ("<mpd", Kind::Refused("DASH (an MPD manifest)")),
        ("<smoothstreamingmedia", Kind::Refused("Smooth Streaming")),
        ("<asx", Kind::Refused("an ASX playlist")),
        ("<playlist", Kind::Refused("an XSPF playlist")),
        ("<smil", Kind::Refused("a SMIL playlist")),
        ("<html", Kind::NotMedia("a web page")),
        ("<!doctype html", Kind::NotMedia("a web page")),
        ("<error", Kind::NotMedia("an error message in XML")),
    ];
    match lower.as_bytes().first() {
        Some(b'<') => {
            let found = markup.iter().find(|(tag, _)| lower.contains(tag));
            found.map_or(Kind::NotMedia("a document in XML"), |(_, kind)| *kind)
        }
        Some(b'{') => Kind::NotMedia("a document in JSON"),
        _ if text.starts_with("#EXTM3U") => Kind::M3u,
        _ if lower.starts_with("[playlist]") => Kind::Pls,
        _ if lower.starts_with("v=0") => Kind::Refused("a session description (SDP)"),
        _ => Kind::Text,
    }
}

/// What the server says: type and subtype in lower case.
pub(super) fn media_type(content_type: Option<&str>) -> Option<String> {
    let essence = content_type?.split(';').next()?.trim().to_ascii_lowercase();
    essence.contains('/').then_some(essence)
}

/// Whether a type, or a name where there is no type that says anything, is that of a list of addresses.
pub(super) fn is_list(media_type: Option<&str>, path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    media_type.is_some_and(|it| it.contains("mpegurl") || it.contains("scpls"))
        || [".m3u", ".m3u8", ".pls"].iter().any(|end| path.ends_with(end))
}

/// Whether a type is that of sound.
pub(super) fn is_sound(media_type: Option<&str>) -> bool {
    media_type.is_some_and(|it| it.starts_with("audio/") || it == "application/ogg")
}

/// What comes first in an MP4 file, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    /// `moov` comes first: it can be played as it comes.
    First,
    /// `mdat` comes first.
    Last,
    /// The next box begins at this offset.
    At(u64),
}

/// What the box that begins with `header` at `offset` says: 16 bytes of it, or 8 where there are no more.
pub(super) fn index(header: &[u8], offset: u64) -> Option<Index> {
    let size = u64::from(u32::from_be_bytes(header.get(..4)?.try_into().ok()?));
    match header.get(4..8)? {
        b"moov" | b"moof" => return Some(Index::First),
        b"mdat" => return Some(Index::Last),
        _ => {}
    }
    let size = match size {
        1 => u64::from_be_bytes(header.get(8..16)?.try_into().ok()?),
        size => size,
    };
    (size >= 8).then_some(())?;
    offset.checked_add(size).map(Index::At)
}

#[cfg(test)]
#[path = "sniff_tests.rs"]
mod tests;
