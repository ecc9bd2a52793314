use super::*;

fn ts(size: usize, from: usize) -> Vec<u8> {
    let mut bytes = vec![0; size * 4];
    (0..4).for_each(|packet| bytes[packet * size + from] = 0x47);
    bytes
}

#[test]
fn media_is_known_by_its_first_bytes() {
    let streamable = [
        &b"FLV\x01\x05\0\0\0\x09"[..],
        b"OggS\0\x02",
        b"fLaC\0\0\0\x22",
        b"ID3\x04\0\0",
        b"\xff\xfb\x90\x64",
        b"\xff\xf1\x50\x80",
        b"\x1a\x45\xdf\xa3\x9f",
        b"RIFF\x24\x10\0\0WAVEfmt ",
        b"RIFF\x24\x10\0\0AVI LIST",
        &ts(188, 0),
        &ts(192, 4),
    ];
    for first in streamable {
        assert_eq!(kind(first), Kind::Streamable, "{first:?}");
    }
    for first in [&b"\0\0\0\x20ftypisom"[..], b"\0\0\0\x08wide\0\0\0\0mdat", b"\0\0\x10\0moov"] {
        assert_eq!(kind(first), Kind::Boxes, "{first:?}");
    }
    for first in [&b""[..], b"\x47\0\0", b"RIFF\0\0\0\0WEBP", b"\x00\x01\x02\x03\x04", b"\xff\xff\xff\xff"] {
        assert_eq!(kind(first), Kind::Unknown, "{first:?}");
    }
}

#[test]
fn text_is_told_apart() {
    for (first, expected) in [
        ("#EXTM3U\n#EXT-X-VERSION:3\n", Kind::M3u),
        ("\u{feff}#EXTM3U\r\n", Kind::M3u),
        ("[playlist]\nFile1=http://x/", Kind::Pls),
        ("http://s.example/live", Kind::Text),
        ("Not found.", Kind::Text),
        ("<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash\">", Kind::Refused("DASH (an MPD manifest)")),
        ("<!DOCTYPE html><html>", Kind::NotMedia("a web page")),
        ("<html lang=en>", Kind::NotMedia("a web page")),
        ("{\"error\": 1}", Kind::NotMedia("a document in JSON")),
        ("<rss version=\"2.0\">", Kind::NotMedia("a document in XML")),
        ("<ASX version=\"3.0\">", Kind::Refused("an ASX playlist")),
        ("v=0\r\no=- 0 0 IN IP4 127.0.0.1", Kind::Refused("a session description (SDP)")),
    ] {
        assert_eq!(kind(first.as_bytes()), expected, "{first}");
    }
    // cut within a character
    let mut long = "#EXTM3U\n".to_owned();
    long.push_str(&"é".repeat(1000));
    assert_eq!(kind(&long.as_bytes()[..1023]), Kind::M3u);
}

#[test]
fn types_and_names() {
    assert_eq!(media_type(Some("Audio/MPEG; charset=x")).as_deref(), Some("audio/mpeg"));
    assert_eq!((media_type(Some("nonsense")), media_type(None)), (None, None));
    for it in ["application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/x-mpegurl", "audio/x-scpls"] {
        assert!(is_list(Some(it), "/"), "{it}");
    }
    assert!(is_list(Some("text/plain"), "/a/B.M3U") && !is_list(Some("text/plain"), "/a.txt"));
    assert!(
        is_sound(Some("audio/mpeg")) && is_sound(Some("application/ogg")) && !is_sound(Some("video/mp4"))
    );
}

#[test]
fn where_the_index_of_an_mp4_is() {
    assert_eq!(index(b"\0\0\0\x20ftyp", 0), Some(Index::At(32)));
    assert_eq!(index(b"\0\0\0\x01free\0\0\0\0\0\x10\0\0", 8), Some(Index::At(8 + (1 << 20))));
    assert_eq!(index(b"\0\0\x20\0moov", 32), Some(Index::First));
    assert_eq!(index(b"\0\0\0\0mdat", 32), Some(Index::Last));
    for broken in [&b"\0\0\0\x07free"[..], b"\0\0\0\0free", b"\0\0\0\x01free", b"\0\0"] {
        assert_eq!(index(broken, 0), None, "{broken:?}");
    }
    assert_eq!(index(b"\0\0\0\x01free\xff\xff\xff\xff\xff\xff\xff\xff", 1), None);
}
