//! Whatever an origin says: no panic, bounded outputs, no spinning, an end.
#![allow(clippy::unwrap_used)]

mod sim;

use std::time::Duration;

use bytes::Bytes;
use hls::{Failure, Fetch, Rendition, What, Wish};
use proptest::{collection::vec, prelude::*, sample::select};
use sim::{Answer, Pace};
use sluicegate_hls as hls;

/// Lines that mean something, and some that do not.
fn line() -> impl Strategy<Value = String> {
    let known = select(vec![
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-TARGETDURATION:0",
        "#EXT-X-TARGETDURATION:99999999999",
        "#EXT-X-MEDIA-SEQUENCE:5",
        "#EXT-X-MEDIA-SEQUENCE:18446744073709551615",
        "#EXT-X-ENDLIST",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-DISCONTINUITY-SEQUENCE:18446744073709551615",
        "#EXT-X-GAP",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        "#EXT-X-BYTERANGE:10@5",
        "#EXT-X-BYTERANGE:10",
        "#EXT-X-BYTERANGE:18446744073709551615@18446744073709551615",
        "#EXT-X-START:TIME-OFFSET=-1e300",
        "#EXT-X-START:TIME-OFFSET=3",
        "#EXT-X-MAP:URI=\"i.mp4\"",
        "#EXT-X-MAP:URI=\"j.mp4\",BYTERANGE=\"5@0\"",
        "#EXT-X-KEY:METHOD=NONE",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"l\",IV=0x1",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T00:00:00Z",
        "#EXT-X-PROGRAM-DATE-TIME:9999-99-99T99:99:99Z",
        "#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=99999999999x1",
        "#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"",
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"b.m3u8\"",
        "#EXTINF:2,",
        "#EXTINF:2,",
        "#EXTINF:2,",
        "#EXTINF:0,",
        "#EXTINF:1e300,",
        "#EXTINF:-1,",
        "a.ts",
        "b.ts",
        "c.ts",
        "file:///x",
        "http://[",
        "x.m3u8",
        "",
    ]);
    let typo = (known.clone(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(text, at, with)| {
        let mut chars: Vec<char> = text.chars().collect();
        if !chars.is_empty() {
            let at = at.index(chars.len());
            chars[at] = with;
        }
        chars.into_iter().collect()
    });
    prop_oneof![8 => known.prop_map(ToOwned::to_owned), 1 => typo, 1 => "\\PC{0,40}"]
}

/// A playlist that makes no sense, mostly.
fn wild() -> impl Strategy<Value = String> {
    let head = select(vec!["#EXTM3U\n#EXT-X-TARGETDURATION:2\n", "#EXTM3U\n", ""]);
    (head, vec(line(), 0..40)).prop_map(|(head, lines)| format!("{head}{}", lines.join("\n")))
}

/// A playlist that can be played, though not always beside the one before it.
fn tame() -> impl Strategy<Value = String> {
    let tag = select(vec![
        "",
        "",
        "",
        "#EXT-X-DISCONTINUITY\n",
        "#EXT-X-GAP\n",
        "#EXT-X-BYTERANGE:9@3\n",
        "#EXT-X-MAP:URI=\"i.mp4\"\n",
        "#EXT-X-MAP:URI=\"j.mp4\"\n",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n",
        "#EXT-X-KEY:METHOD=NONE\n",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T00:00:00Z\n",
    ]);
    let segment = (tag, 0..5u32, 0..4u32).prop_map(|(tag, s, n)| format!("{tag}#EXTINF:{s}.5,\n{n}.ts\n"));
    let end = prop_oneof![4 => Just(""), 1 => Just("#EXT-X-ENDLIST\n")];
    (0..20u64, vec(segment, 0..12), end).prop_map(|(first, segments, end)| {
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{}{end}", segments.concat())
    })
}

const MASTER: &str = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",URI=\"b.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\na.m3u8\n";

/// What a playlist's address says, one after the other.
fn playlists() -> impl Strategy<Value = Vec<String>> {
    let each = prop_oneof![12 => tame(), 1 => wild()];
    (any::<bool>(), vec(each, 1..12)).prop_map(|(master, mut lists)| {
        if master {
            lists.insert(0, MASTER.to_owned());
        }
        lists
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let failure = select(vec![
        Failure::Status(404),
        Failure::Status(500),
        Failure::Status(403),
        Failure::Network("reset".into()),
        Failure::TooLong { limit: 1 },
        Failure::Refused("blocked".into()),
    ]);
    let body = vec(any::<u8>(), 0..40).prop_map(|body| Ok(Bytes::from(body)));
    prop_oneof![6 => body, 2 => Just(Ok(Bytes::from_static(b"0123456789abcdef"))), 1 => failure.prop_map(Err)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_playlists_and_any_bytes_do_no_harm(
        lists in playlists(),
        answers in vec(answer(), 1..12),
        pace in select(vec![Pace::AtOnce, Pace::Plays(1.0), Pace::Plays(4.0)]),
    ) {
        let (mut list, mut other) = (0, 0);
        let mut origin = |_: Duration, fetch: &Fetch| {
            assert!(matches!(fetch.url.scheme(), "http" | "https"));
            if fetch.what == What::Playlist {
                list += 1;
                // Round and round, but for the master playlist.
                let (once, again) = if lists[0] == MASTER { lists.split_at(1) } else { lists.split_at(0) };
                let text = if list <= once.len() { &once[list - 1] } else { &again[list % again.len()] };
                return Ok(text.clone().into());
            }
            other += 1;
            let answer = answers[other % answers.len()].clone();
            match fetch.range {
                Some(range) if range.length < 100 => Ok(Bytes::from(vec![0; range.length as usize])),
                _ => answer,
            }
        };
        let until = Duration::from_secs(900);
        let url = "https://origin.example/index.m3u8";
        let seen = sim::run(url, Wish::default(), &mut origin, pace, Duration::from_millis(30), until);
        prop_assert!(seen.most_under_way <= 4);
        prop_assert!(seen.chosen.len() <= 1);
        // Two reloads a second of each of two playlists, and what they list.
        prop_assert!(seen.fetches.len() < 900 * 2 * 2 * 2 + 200, "{} fetches", seen.fetches.len());
        for rendition in [Rendition::Main, Rendition::Audio] {
            let first = seen.data.iter().find(|(_, d)| d.rendition == rendition);
            prop_assert!(first.is_none_or(|(_, d)| !d.discontinuity && !d.hole));
        }
    }

    #[test]
    fn any_single_playlist_does_no_harm(text in wild()) {
        let mut origin = |_: Duration, fetch: &Fetch| match fetch.what {
            What::Playlist => Ok(Bytes::from(text.clone())),
            _ => Ok(Bytes::from_static(b"0123456789abcdef")),
        };
        let until = Duration::from_secs(60);
        sim::run("https://origin.example/i", Wish::default(), &mut origin, Pace::AtOnce, Duration::ZERO, until);
    }

    #[test]
    fn any_text_at_all_does_no_harm(text in "\\PC*", tail in vec(any::<u8>(), 0..2000)) {
        let mut body = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_vec();
        body.extend_from_slice(text.as_bytes());
        body.extend(tail);
        let mut origin = |_: Duration, fetch: &Fetch| match fetch.what {
            What::Playlist => Ok(Bytes::from(body.clone())),
            _ => Err(Failure::Status(404)),
        };
        let until = Duration::from_secs(60);
        sim::run("https://origin.example/i", Wish::default(), &mut origin, Pace::AtOnce, Duration::ZERO, until);
    }
}
