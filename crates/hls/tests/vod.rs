//! Recorded streams, master playlists, and what is refused, in virtual time.
#![allow(clippy::unwrap_used)]

mod sim;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hls::{ByteRange, Client, Failure, Fetch, Fetched, Input, Output, Reason, Rendition, Skip, What, Wish};
use sim::{Answer, Origin, Pace, Seen};
use sluicegate_hls as hls;

const ROOT: &str = "https://origin.example/x/";

/// Files by path below [`ROOT`]. A name that says `later` is there at the third time.
#[derive(Default)]
struct Files(BTreeMap<String, Bytes>, BTreeMap<String, usize>);

impl Files {
    fn of(files: &[(&str, &str)]) -> Self {
        let files =
            files.iter().map(|(name, body)| ((*name).to_owned(), Bytes::copy_from_slice(body.as_bytes())));
        Self(files.collect(), BTreeMap::new())
    }
}

impl Origin for Files {
    fn get(&mut self, _: Duration, fetch: &Fetch) -> Answer {
        let name = fetch.url.as_str().strip_prefix(ROOT).unwrap_or_default().to_owned();
        let tries = self.1.entry(name.clone()).or_default();
        *tries += 1;
        if name.contains("later") && *tries < 3 {
            return Err(Failure::Status(404));
        }
        let body = self.0.get(&name).cloned().ok_or(Failure::Status(404))?;
        let Some(ByteRange { offset, length }) = fetch.range else { return Ok(body) };
        Ok(body.slice(offset as usize..(offset + length) as usize))
    }
}

fn play(origin: &mut Files, wish: Wish) -> Seen {
    let (latency, until) = (Duration::from_millis(50), Duration::from_secs(600));
    sim::run(&format!("{ROOT}index.m3u8"), wish, origin, Pace::AtOnce, latency, until)
}

fn vod(body: &str) -> String {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{body}#EXT-X-ENDLIST\n")
}

fn reason(seen: Seen) -> String {
    seen.failed.unwrap().1.to_string()
}

#[test]
fn a_recording_is_played_from_first_to_last_and_ends() {
    let list = vod("#EXTINF:4,\na.ts\n#EXTINF:4,\nlater.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\n/y/c.ts\n");
    let mut files = Files::of(&[("index.m3u8", &list), ("a.ts", "a"), ("later.ts", "b")]);
    let seen = play(&mut files, Wish::default());
    // The third is on another path: absent, tried for a while, passed over.
    assert_eq!(seen.data.iter().map(|(_, d)| &*d.bytes).collect::<Vec<_>>(), [b"a", b"b"]);
    let skips: Vec<_> = seen.skipped.iter().map(|(_, _, from, to, why)| (*from, *to, *why)).collect();
    assert_eq!((skips, seen.fetched("y/c.ts") >= 4), (vec![(2, 3, Skip::Missing)], true));
    assert_eq!((seen.lost, &seen.begun[..]), (Duration::from_secs(4), &[(false, false)][..]));
    assert!(seen.ended.is_some() && seen.failed.is_none());
    assert_eq!(seen.fetched("m3u8"), 1);
}

#[test]
fn a_recording_without_segments_ends() {
    let seen = play(&mut Files::of(&[("index.m3u8", &vod(""))]), Wish::default());
    assert_eq!((seen.ended.is_some(), seen.data.len()), (true, 0));
}

#[test]
fn byte_ranges_are_fetched_as_ranges_and_must_be_whole() {
    let list = vod("#EXT-X-MAP:URI=\"f.mp4\",BYTERANGE=\"4@0\"\n#EXTINF:4,\n#EXT-X-BYTERANGE:3@4\nf.mp4\n\
         #EXTINF:4,\n#EXT-X-BYTERANGE:2\nf.mp4\n");
    let mut files = Files::of(&[("index.m3u8", &list), ("f.mp4", "initabcde")]);
    let seen = play(&mut files, Wish::default());
    let got: Vec<_> = seen.data.iter().map(|(_, d)| (d.init.as_deref(), &*d.bytes)).collect();
    assert_eq!(got, [(Some(&b"init"[..]), &b"abc"[..]), (None, b"de")]);

    // A server that ignores ranges, through a fetcher that does not cut.
    let mut whole =
        |_: Duration, fetch: &Fetch| files.get(Duration::ZERO, &Fetch { range: None, ..fetch.clone() });
    let url = format!("{ROOT}index.m3u8");
    let seen =
        sim::run(&url, Wish::default(), &mut whole, Pace::AtOnce, Duration::ZERO, Duration::from_secs(600));
    assert_eq!(reason(seen), format!("init section {ROOT}f.mp4: 9 bytes of a range of 4"));
}

#[test]
fn what_is_refused_is_named() {
    let cases = [
        ("#EXTINF:4,\nfile:///etc/passwd\n", "has a segment of scheme \"file\", expected http or https"),
        ("#EXTINF:4,\ndata:video/mp2t;base64,AAAA\n", "has a segment of scheme \"data\""),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"file:///k\"\n#EXTINF:4,\na.ts\n", "has a key of scheme \"file\""),
        ("#EXT-X-MAP:URI=\"gio:///i\"\n#EXTINF:4,\na.ts\n", "has a init section of scheme \"gio\""),
        ("#EXTINF:4,\nhttp://[\n", "has a segment whose address cannot be read"),
        (
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF:4,\na.ts\n",
            "encrypted with SAMPLE-AES (key format identity)",
        ),
        (
            "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"data:x\",KEYFORMAT=\"urn:uuid:edef8ba9\"\n#EXTINF:4,\na.ts\n",
            "encrypted with SAMPLE-AES-CTR (key format urn:uuid:edef8ba9)",
        ),
        (
            "#EXT-X-KEY:METHOD=AES-128,URI=\"a.ts\"\n#EXTINF:4,\na.ts\n",
            "key https://origin.example/x/a.ts: 1 bytes, expected 16",
        ),
        (
            "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:4,\na.ts\n",
            "key https://origin.example/x/k: status 404",
        ),
    ];
    for (body, expected) in cases {
        let mut files = Files::of(&[("index.m3u8", &vod(body)), ("a.ts", "a")]);
        let got = reason(play(&mut files, Wish::default()));
        assert!(got.contains(expected), "{body}: {got}");
    }
    let mut client = Client::new("file:///etc/passwd".parse().unwrap(), Wish::default());
    let outputs = client.handle(Instant::now(), Input::Tick);
    assert!(matches!(&outputs[..], [Output::Failed(Reason::Scheme { .. })]), "{outputs:?}");
}

#[test]
fn a_wrong_key_is_no_stream_of_rubbish() {
    let list =
        vod("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:4,\na.ts\n#EXTINF:4,\na.ts\n#EXTINF:4,\na.ts\n");
    let mut files = Files::of(&[
        ("index.m3u8", &list),
        ("k", "0123456789abcdef"),
        ("a.ts", &"0123456789abcdef".repeat(8)),
    ]);
    let seen = play(&mut files, Wish::default());
    assert_eq!((seen.data.len(), seen.fetched("/k")), (0, 1));
    assert!(reason(seen).contains("segment https://origin.example/x/a.ts: not decrypted: 128 bytes"));
}

#[test]
fn addresses_are_relative_to_where_a_playlist_was_in_the_end() {
    let now = Instant::now();
    let mut client = Client::new(format!("{ROOT}index.m3u8?token=1").parse().unwrap(), Wish::default());
    let fetch = |outputs: Vec<Output>| {
        let mut outputs = outputs.into_iter().filter(|output| !matches!(output, Output::Begun { .. }));
        match outputs.next() {
            Some(Output::Fetch(fetch)) => fetch,
            other => panic!("{other:?}"),
        }
    };
    let first = fetch(client.handle(now, Input::Tick));
    assert!(!format!("{first:?}").contains("token"));
    let url = "http://cdn.example/deep/er/list.m3u8".parse().unwrap();
    let fetched = Fetched { url, body: vod("#EXTINF:4,\n../a.ts\n").into() };
    let second = fetch(client.handle(now, Input::Fetched { id: first.id, result: Ok(fetched.clone()) }));
    assert_eq!((second.url.as_str(), second.what), ("http://cdn.example/deep/a.ts", What::Segment));
    // An answer that nobody waits for changes nothing.
    let outputs = client.handle(now, Input::Fetched { id: first.id, result: Ok(fetched) });
    assert!(matches!(&outputs[..], [Output::WaitUntil(_)]), "{outputs:?}");
}

#[test]
fn a_fetch_without_answer_is_given_up() {
    let mut now = Instant::now();
    let mut client = Client::new(format!("{ROOT}index.m3u8").parse().unwrap(), Wish::default());
    for _ in 0..100 {
        match client.handle(now, Input::Tick).pop() {
            Some(Output::WaitUntil(due)) => now = due,
            Some(Output::Failed(reason)) => {
                assert_eq!(reason.to_string(), format!("playlist {ROOT}index.m3u8: no answer within 10 s"));
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("it waits for ever");
}

const MASTER: &str = "#EXTM3U\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\",NAME=\"deutsch\",URI=\"de.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\",NAME=\"english\",DEFAULT=YES,AUTOSELECT=YES,URI=\"en.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"lo\",NAME=\"english\",DEFAULT=YES\n\
    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"english\",URI=\"sub.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=6000000,RESOLUTION=1920x1080,CODECS=\"avc1.640028,mp4a.40.2\",AUDIO=\"hi\",SUBTITLES=\"s\"\n1080.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=1920x1080,CODECS=\"dvh1.05.01,mp4a.40.2\",AUDIO=\"hi\"\ndolby.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"hi\"\n720.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"hi\"\nbackup.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=360x640,CODECS=\"avc1.42c01e,mp4a.40.2\",AUDIO=\"lo\"\n360.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS=\"mp4a.40.2\"\nsound.m3u8\n\
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100,URI=\"i.m3u8\"\n";

#[test]
fn the_variant_that_fits_best_and_its_sound() {
    let wish = |most_lines, most_bps, pictures| Wish { most_lines, most_bps, pictures, ..Wish::default() };
    let most = u64::MAX;
    for (wish, main, audio) in [
        (Wish::default(), "1080.m3u8", Some("en.m3u8")),
        (wish(1080, 5_000_000, true), "720.m3u8", Some("en.m3u8")),
        (wish(720, most, true), "720.m3u8", Some("en.m3u8")),
        (wish(719, most, true), "360.m3u8", None),
        // Portrait is measured by its short side.
        (wish(360, most, true), "360.m3u8", None),
        (wish(180, most, true), "360.m3u8", None),
        (wish(720, 1000, true), "360.m3u8", None),
        (wish(most, most, false), "sound.m3u8", None),
    ] {
        let list = |name: &str| vod(&format!("#EXTINF:4,\n{name}.ts\n"));
        let names = ["1080", "dolby", "720", "backup", "360", "sound", "de", "en", "sub", "i"];
        let mut files = Files::of(&[("index.m3u8", MASTER)]);
        for name in names {
            files.0.insert(format!("{name}.m3u8"), list(name).into());
            files.0.insert(format!("{name}.ts"), name.into());
        }
        let seen = play(&mut files, wish);
        assert!(seen.ended.is_some(), "{:?}", seen.failed);
        let fetched: Vec<_> =
            seen.fetches.iter().map(|(_, f)| f.url.path().rsplit('/').next().unwrap()).collect();
        let lists: Vec<_> = fetched.iter().copied().filter(|f| f.ends_with("m3u8")).collect();
        let expected: Vec<_> = ["index.m3u8", main].into_iter().chain(audio).collect();
        assert_eq!(lists, expected, "{wish:?}");
        assert_eq!(seen.chosen.len(), 1);
        assert_eq!(seen.chosen[0].audio.as_deref(), audio.map(|_| "english"));
        assert_eq!(
            seen.data.iter().filter(|(_, d)| d.rendition == Rendition::Audio).count(),
            usize::from(audio.is_some())
        );
    }
}

#[test]
fn portrait_is_measured_by_its_short_side() {
    let variant = |size: &str| format!("#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION={size}\n{size}.m3u8\n");
    let master = format!("#EXTM3U\n{}{}{}", variant("360x640"), variant("720x1280"), variant("1080x1920"));
    let wish = Wish { most_lines: 720, ..Wish::default() };
    let seen = play(&mut Files::of(&[("index.m3u8", &master)]), wish);
    assert_eq!(seen.chosen[0].size, Some((720, 1280)));
}

#[test]
fn a_key_of_both_renditions_is_fetched_once() {
    use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
    let key = *b"0123456789abcdef";
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8\n";
    let list = vod("#EXT-X-KEY:METHOD=AES-128,URI=\"once.key\",IV=0x01\n#EXTINF:4,\nx.ts\n");
    let mut files = Files::of(&[("index.m3u8", master), ("a.m3u8", &list), ("v.m3u8", &list)]);
    files.0.insert("once.key".into(), Bytes::copy_from_slice(&key));
    let cbc = cbc::Encryptor::<aes::Aes128>::new(&key.into(), &1_u128.to_be_bytes().into());
    files.0.insert("x.ts".into(), cbc.encrypt_padded_vec::<Pkcs7>(b"clear").into());
    let seen = play(&mut files, Wish::default());
    assert_eq!(seen.failed, None);
    assert_eq!(seen.data.iter().map(|(_, d)| &*d.bytes).collect::<Vec<_>>(), [b"clear"; 2]);
    assert_eq!((seen.fetched("x.ts"), seen.fetched("once.key")), (2, 1));
}

#[test]
fn a_master_playlist_that_cannot_be_played_says_why() {
    let cases = [
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"dvh1.1\"\na.m3u8\n",
            "no variant that can be played among 1 (dvh1.1)",
        ),
        (
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\"\n",
            "no variant that can be played among 0 ()",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n",
            "a list of variants where segments were expected",
        ),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nfile:///a.m3u8\n", "has a playlist of scheme \"file\""),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ngone.m3u8\n",
            "playlist https://origin.example/x/gone.m3u8: status 404",
        ),
    ];
    for (text, expected) in cases {
        let got = reason(play(&mut Files::of(&[("index.m3u8", text)]), Wish::default()));
        assert!(got.contains(expected), "{text}: {got}");
    }
}
