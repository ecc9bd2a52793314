use std::time::{Duration, SystemTime};

use bytes::Bytes;
use url::Url;

use super::*;
use crate::{ByteRange, limits};

fn read(text: &str) -> Result<Playlist, Error> {
    let base = Url::parse("https://origin.example/live/index.m3u8").unwrap();
    parse(base.into(), &Bytes::copy_from_slice(text.as_bytes()))
}

fn media(text: &str) -> Media {
    match read(text) {
        Ok(Playlist::Media(media)) => media,
        other => panic!("{other:?}"),
    }
}

const HEAD: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n";

#[test]
fn segments_have_numbers_lengths_and_times() {
    let text = format!(
        "{HEAD}#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:00Z\n#EXTINF:4.000,a, b,c\na.ts\n\
         # a comment\n#EXT-X-SOMETHING-NEW:1\n#EXTINF:3.5,\n#EXT-X-GAP\nb.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:4\nc.ts"
    );
    let media = media(&text);
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
    assert_eq!((media.first, media.end(), media.complete), (7, 10, false));
    let seen: Vec<_> = media
        .segments
        .iter()
        .map(|s| (s.sequence, &*s.uri, s.duration.as_millis(), s.gap, s.discontinuities, s.at))
        .collect();
    let expected = [
        (7, "a.ts", 4000, false, 0, Some(noon)),
        (8, "b.ts", 3500, true, 0, Some(noon + Duration::from_secs(4))),
        (9, "c.ts", 4000, false, 1, None),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn byte_ranges_go_on_from_the_one_before_in_the_same_file() {
    let text = format!(
        "{HEAD}#EXT-X-MAP:URI=\"x.mp4\",BYTERANGE=\"700@0\"\n#EXTINF:4,\n#EXT-X-BYTERANGE:100@700\nx.mp4\n\
         #EXTINF:4,\n#EXT-X-BYTERANGE:50\nx.mp4\n#EXT-X-BYTERANGE:60\n#EXTINF:4,\nx.mp4\n"
    );
    let media = media(&text);
    let ranges: Vec<_> = media.segments.iter().map(|s| s.range.map(|r| (r.offset, r.length))).collect();
    assert_eq!(ranges, [Some((700, 100)), Some((800, 50)), Some((850, 60))]);
    let init = media.segments[2].init.as_ref().unwrap();
    assert_eq!((&*init.uri, init.range), ("x.mp4", Some(ByteRange { offset: 0, length: 700 })));
    for text in [
        "#EXTINF:4,\n#EXT-X-BYTERANGE:50\nx.mp4\n",
        "#EXTINF:4,\n#EXT-X-BYTERANGE:50@0\nx.mp4\n#EXTINF:4,\n#EXT-X-BYTERANGE:50\ny.mp4\n",
        "#EXTINF:4,\n#EXT-X-BYTERANGE:50@0\nx.mp4\n#EXTINF:4,\nx.mp4\n#EXTINF:4,\n#EXT-X-BYTERANGE:50\nx.mp4\n",
        "#EXTINF:4,\n#EXT-X-BYTERANGE:0@0\nx.mp4\n",
        "#EXTINF:4,\n#EXT-X-BYTERANGE:18446744073709551615@1\nx.mp4\n",
        "#EXTINF:4,\n#EXT-X-BYTERANGE:fifty\nx.mp4\n",
    ] {
        assert!(matches!(read(&format!("{HEAD}{text}")), Err(Error::Unclear { .. })), "{text}");
    }
}

#[test]
fn a_key_holds_until_another_of_its_format_and_none_ends_all() {
    let text = format!(
        "{HEAD}#EXTINF:4,\na.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k1\",IV=0x10\n#EXTINF:4,\nb.ts\n#EXTINF:4,\nc.ts\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"k2\"\n#EXTINF:4,\nd.ts\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:4,\ne.ts\n\
         #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\"\n\
         #EXTINF:4,\nf.ts\n#EXT-X-KEY:METHOD=NONE\n#EXT-X-KEY:METHOD=ROT-13,URI=\"k\"\n#EXTINF:4,\ng.ts\n"
    );
    let seen: Vec<_> = media(&text).segments.into_iter().map(|s| s.protection).collect();
    let aes = |uri: &str, iv: Option<u128>| {
        Protection::Aes128(Key { uri: uri.to_owned(), iv: iv.map(u128::to_be_bytes) }.into())
    };
    let expected = [
        Protection::None,
        aes("k1", Some(16)),
        aes("k1", Some(16)),
        aes("k2", None),
        Protection::None,
        Protection::Other("SAMPLE-AES (key format com.apple.streamingkeydelivery)".into()),
        Protection::Other("ROT-13 (key format identity)".into()),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_key_that_cannot_be_read_is_no_clear_segment() {
    for key in [
        "#EXT-X-KEY:URI=\"k\"",
        "#EXT-X-KEY:METHOD=AES-128",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=16",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x000000000000000000000000000000001",
        "#EXT-X-KEY",
        "#EXT-X-KEY:",
    ] {
        let got = read(&format!("{HEAD}{key}\n#EXTINF:4,\na.ts\n"));
        assert!(matches!(got, Err(Error::Unclear { line: 4, .. })), "{key}: {got:?}");
    }
}

#[test]
fn what_is_no_playlist_is_refused_with_a_reason() {
    for (text, expected) in [
        ("", "not a playlist: it begins with \"\", expected #EXTM3U"),
        (
            "<!DOCTYPE html><html>",
            "not a playlist: it begins with \"<!DOCTYPE html><html>\", expected #EXTM3U",
        ),
        ("#EXTM3U\n#EXTINF:-1,Radio\nhttp://radio.example/\n", "neither #EXT-X-TARGETDURATION nor"),
        ("#EXTM3U\n", "neither #EXT-X-TARGETDURATION nor"),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n",
            "line 3: #EXT-X-STREAM-INF in a playlist that has #EXT-X-TARGETDURATION",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXTINF:4,\na.ts\n",
            "line 4: #EXTINF in a playlist that has #EXT-X-STREAM-INF",
        ),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:4,\na.ts\n",
            "no room",
        ),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn every_bound_is_kept_and_named() {
    let segment = "#EXTINF:4,\na.ts\n";
    let full = format!("{HEAD}{}", segment.repeat(limits::SEGMENTS));
    assert_eq!(media(&full).segments.len(), limits::SEGMENTS);
    let variant = "#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n";
    let rendition = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\"\n";
    let key = |n: usize| format!("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\",KEYFORMAT=\"{n}\"\n");
    let keys: String = (0..=limits::KEY_FORMATS).map(key).collect();
    let long = "a".repeat(limits::URI + 1);
    for (text, expected) in [
        (format!("{full}{segment}"), "line 20005: over 10000 segments".to_owned()),
        (
            format!("#EXTM3U\n{}", variant.repeat(limits::VARIANTS + 1)),
            "line 203: over 100 variants".to_owned(),
        ),
        (
            format!("#EXTM3U\n{}", rendition.repeat(limits::VARIANTS + 1)),
            "line 102: over 100 renditions".to_owned(),
        ),
        (format!("{HEAD}{keys}"), "line 12: over 8 key formats".to_owned()),
        (format!("{HEAD}#EXTINF:4,\n{long}\n"), "line 5: over 8192 bytes of an address".to_owned()),
        (format!("{HEAD}#EXT-X-MAP:URI=\"{long}\"\n"), "line 4: over 8192 bytes of an address".to_owned()),
        (
            format!("{HEAD}{}", "#".repeat(limits::PLAYLIST)),
            format!("{} bytes, over 1048576", HEAD.len() + limits::PLAYLIST),
        ),
    ] {
        assert_eq!(read(&text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn odd_but_playable_playlists_are_read() {
    for text in [
        "\u{feff}#EXTM3U\r\n#EXT-X-TARGETDURATION:4\r\n#EXTINF:4.0,\r\na.ts\r\n".to_owned(),
        format!("{HEAD}#EXTINF:4.0\n  a.ts  \n\n\n"),
        "#EXTM3U\n#EXT-X-TARGETDURATION:4.0\n#EXTINF:4.0,\na.ts\n#EXT-X-ENDLIST\n".to_owned(),
        format!("{HEAD}#EXTINF:4.0,Caf\u{fffd}\na.ts\n"),
    ] {
        let media = media(&text);
        assert_eq!((media.segments.len(), &*media.segments[0].uri), (1, "a.ts"), "{text:?}");
        assert_eq!(
            (media.target, media.segments[0].duration),
            (Duration::from_secs(4), Duration::from_secs(4))
        );
    }
    // Latin-1.
    let base = Url::parse("https://origin.example/").unwrap();
    let body = Bytes::from_static(b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,caf\xe9\na.ts\n");
    assert!(matches!(parse(base.into(), &body), Ok(Playlist::Media(media)) if media.segments.len() == 1));
}

#[test]
fn numbers_that_are_none_do_no_harm() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:18446744073709551615\n#EXTINF:1e308,\na\n#EXTINF:nan,\nb\n#EXTINF:-1,\nc\n\
                #EXT-X-START:TIME-OFFSET=nan\n";
    let media = media(text);
    let lengths: Vec<_> = media.segments.iter().map(|s| s.duration).collect();
    assert_eq!(lengths, [Duration::ZERO; 3]);
    assert_eq!((media.target, media.start), (limits::DURATION, None));
}

#[test]
fn where_to_begin() {
    let segments = "#EXTINF:4,\na.ts\n".repeat(10);
    let vod = "#EXT-X-ENDLIST\n";
    let start = |offset: &str| format!("#EXT-X-START:TIME-OFFSET={offset}\n");
    for (head, tail, expected) in [
        (String::new(), "", 7),
        (String::new(), vod, 0),
        ("#EXT-X-PLAYLIST-TYPE:EVENT\n".to_owned(), "", 7),
        ("#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned(), "", 0),
        (start("9"), vod, 2),
        (start("8.0"), vod, 2),
        (start("-10"), vod, 7),
        (start("-1000"), vod, 0),
        (start("1000"), vod, 9),
        (start("-20"), "", 5),
        (start("0"), "", 0),
        // No closer to the edge than three target durations.
        (start("-4"), "", 7),
        (start("1000"), "", 7),
    ] {
        let media = media(&format!("{HEAD}{head}{segments}{tail}"));
        assert_eq!(media.start(None), Some(expected), "{head}{tail}");
    }
    let short = media(&format!("{HEAD}#EXTINF:4,\na.ts\n"));
    assert_eq!(short.start(None), Some(0));
    assert_eq!(media(HEAD).start(None), None);
    let preferred = Some(Start { offset: 8.0 });
    assert_eq!(media(&format!("{HEAD}{segments}{vod}")).start(preferred), Some(2));
    assert_eq!(media(&format!("{HEAD}{}{segments}{vod}", start("0"))).start(preferred), Some(0));
}
