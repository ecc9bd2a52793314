//! A demuxer's clock over sections and renditions, where it begins, what it says of what it cannot play, and marks.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::time::Duration;

use bytes::Bytes;
use media::{Kind, Turn};
use pipeline::demux::{self, Start, What};

mod support;
use support::demux::{BOTH, Heard, PICTURES, SOUND, Source, X264, both, clip, later, run, turned};

const FRAGMENTED: &str = "-movflags +frag_keyframe+empty_moov+default_base_moof";

fn monotone(heard: &Heard, kind: Kind) -> bool {
    heard.of(kind).windows(2).all(|pair| pair[0].dts <= pair[1].dts)
}

#[tokio::test]
async fn a_section_begins_when_the_server_says_and_nothing_goes_back() {
    // The last one is of another kind: a variant may be.
    let ts = |offset: u32| clip("ts", &format!("{BOTH} {X264} -c:a aac -output_ts_offset {offset}"));
    let mp4 = clip("mp4", &format!("{BOTH} {X264} -bf 0 -c:a aac {FRAGMENTED}"));
    let mp4 = later(&mp4, 300.0, &[12_800, 48_000]);
    // A section before the first byte says where that one is.
    let sections = vec![(0, Bytes::new()), (0, ts(50)), (2_000, ts(7)), (4_000, mp4)];
    let heard = run(&[Source { sections, ..Source::stream(Bytes::new()) }], both()).await;
    assert!(heard.ended, "{:?}", heard.failed);
    assert_eq!(heard.of(Kind::Video).len(), 150);
    for kind in [Kind::Video, Kind::Audio] {
        assert!(monotone(&heard, kind), "{kind}");
        let times: Vec<i64> = heard.of(kind).iter().map(|packet| packet.pts.millis()).collect();
        for start in [0, 2_000, 4_000] {
            let near = times.iter().any(|time| (time - start).abs() <= 60);
            assert!(near, "{kind}: nothing at {start}: {times:?}");
        }
        assert!(times.iter().all(|time| (-60..=6_060).contains(time)), "{kind}: {times:?}");
    }
}

#[tokio::test]
async fn an_alternate_sound_is_laid_beside_its_pictures() {
    for (ending, extra) in [("ts", ""), ("mp4", FRAGMENTED)] {
        let mut pictures = clip(ending, &format!("{PICTURES} {X264} -bf 0 {extra} -output_ts_offset 300"));
        let mut sound = clip(ending, &format!("{SOUND} -c:a aac {extra} -output_ts_offset 300.5"));
        if ending == "mp4" {
            (pictures, sound) = (later(&pictures, 300.0, &[12_800]), later(&sound, 300.5, &[48_000]));
        }
        let heard = run(&[Source::stream(pictures), Source::stream(sound)], both()).await;
        assert!(heard.ended, "{ending}: {:?}", heard.failed);
        assert_eq!(heard.of(Kind::Video).len(), 50, "{ending}");
        assert_eq!(heard.first_ms(Kind::Video), 0, "{ending}");
        let behind = heard.first_ms(Kind::Audio);
        // Encoders of AAC put one packet in front.
        assert!((behind - 500).abs() <= 40, "{ending}: {behind} ms behind");
        assert_eq!(heard.tracks.last().map(|said| (said.0, said.1)), Some((true, true)), "{ending}");
    }
}

#[tokio::test]
async fn packed_audio_lies_where_its_tag_says() {
    let pictures =
        clip("ts", &format!("{PICTURES} {X264} -bf 0 -muxdelay 0 -muxpreload 0 -output_ts_offset 20"));
    let mut sound =
        b"ID3\x04\0\0\0\0\0\x3fPRIV\0\0\0\x35\0\0com.apple.streaming.transportStreamTimestamp\0".to_vec();
    sound.extend_from_slice(&(90_000_u64 * 20 + 27_000).to_be_bytes());
    sound.extend_from_slice(&clip("aac", &format!("{SOUND} -c:a aac")));
    let heard = run(&[Source::stream(pictures), Source::stream(sound.into())], both()).await;
    assert!(heard.ended, "{:?}", heard.failed);
    let behind = heard.first_ms(Kind::Audio) - heard.first_ms(Kind::Video);
    assert!((behind - 300).abs() <= 40, "{behind} ms behind");
}

#[tokio::test]
async fn links_of_a_chain_follow_each_other() {
    for codec in ["libvorbis", "libopus", "flac"] {
        let link = |serial: u32| clip("ogg", &format!("{SOUND} -c:a {codec} -serial_offset {serial}"));
        let chain = [link(1), link(2), link(3)].concat();
        let heard = run(&[Source::stream(chain.into())], both()).await;
        assert!(heard.ended, "{codec}: {:?}", heard.failed);
        assert!(monotone(&heard, Kind::Audio), "{codec}");
        let times: Vec<i64> = heard.of(Kind::Audio).iter().map(|packet| packet.pts.millis()).collect();
        let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!((5_800..=6_200).contains(&heard.span_ms(Kind::Audio)) && gap < 150, "{codec}: {times:?}");
    }
}

#[tokio::test]
async fn it_begins_where_it_is_told_to() {
    let four = BOTH.replace("duration=2", "duration=4");
    let start = |ms| Start { start_at: Some(Duration::from_millis(ms)), ..both() };
    for (ending, arguments) in
        [("mp4", "-c:a aac"), ("mkv", "-c:a aac"), ("ts", "-c:a aac"), ("flv", "-c:a aac")]
    {
        let bytes = clip(ending, &format!("{four} {X264} {arguments}"));
        for seekable in [true, false] {
            let what = format!("{ending}, seekable {seekable}");
            let source = Source { seekable, ..Source::file(bytes.clone()) };
            let heard = run(&[source], start(2_500)).await;
            assert!(heard.ended, "{what}: {:?}", heard.failed);
            let pictures = heard.of(Kind::Video);
            // The key picture at 2 s, or the one at 3 s.
            let right = if seekable { [50, 25].contains(&pictures.len()) } else { pictures.len() == 25 };
            assert!(right && pictures[0].keyframe, "{what}: {} pictures", pictures.len());
            for kind in [Kind::Video, Kind::Audio] {
                let first = heard.first_ms(kind);
                assert!((-40..=60).contains(&first), "{what}: {kind} begins at {first}");
                assert!(monotone(&heard, kind), "{what}");
            }
        }
    }
    let sound = clip("mp3", &format!("{} -c:a libmp3lame", SOUND.replace("duration=2", "duration=4")));
    let heard = run(&[Source::stream(sound)], start(3_000)).await;
    assert!((900..=1_100).contains(&heard.span_ms(Kind::Audio)), "{}", heard.span_ms(Kind::Audio));
}

#[tokio::test]
async fn what_cannot_be_played_says_why() {
    let failed =
        |heard: Heard| heard.failed.unwrap_or_else(|| panic!("{:?} {:?}", heard.ended, heard.exit)).0;
    let text = Bytes::from("<html><body>no media</body></html>\n".repeat(200));
    assert_eq!(failed(run(&[Source::file(text.clone())], both()).await), demux::Kind::NotMedia);
    assert_eq!(failed(run(&[Source::stream(text)], both()).await), demux::Kind::NotMedia);
    assert_eq!(failed(run(&[Source::stream(Bytes::new())], both()).await), demux::Kind::NotMedia);
    let noise: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_eq!(failed(run(&[Source::stream(noise.into())], both()).await), demux::Kind::NotMedia);
    let prores = clip("mov", &format!("{PICTURES} -c:v prores_ks"));
    let kind = failed(run(&[Source::file(prores)], both()).await);
    assert_eq!(kind, demux::Kind::Unsupported("video/x-prores".into()));
    let large = clip("mp4", &format!("-f lavfi -i color=size=4608x2592:rate=5:duration=0.4 {X264}"));
    assert!(matches!(failed(run(&[Source::file(large)], both()).await), demux::Kind::Unsupported(_)));
    let headless = clip("mp4", &format!("{BOTH} {X264} -c:a aac"));
    let headless = headless.slice(..headless.len() / 2);
    assert_eq!(failed(run(&[Source::file(headless)], both()).await), demux::Kind::Broken);
}

#[tokio::test]
async fn one_kind_is_taken_where_only_one_is_wanted() {
    let bytes = clip("mp4", &format!("{BOTH} {X264} -c:a aac"));
    for (video, audio) in [(true, false), (false, true)] {
        let heard = run(&[Source::file(bytes.clone())], Start { video, audio, ..both() }).await;
        assert!(heard.ended);
        assert_eq!((heard.of(Kind::Video).is_empty(), heard.of(Kind::Audio).is_empty()), (!video, !audio));
        assert_eq!(heard.tracks.last().map(|said| (said.0, said.1)), Some((video, audio)));
    }
}

#[tokio::test]
async fn the_default_sound_is_chosen_and_subtitles_stall_nothing() {
    let two = format!(
        "{BOTH} -f lavfi -i sine=880:duration=2:sample_rate=44100 -map 0 -map 1 -map 2 {X264} \
         -c:a:0 libopus -c:a:1 aac -disposition:a:0 0 -disposition:a:1 default"
    );
    let heard = run(&[Source::file(clip("mkv", &two))], both()).await;
    assert_eq!(heard.codec(Kind::Audio), Some(media::Codec::Aac));
    assert!(heard.ended);
    let subtitles = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("demux.srt");
    std::fs::write(&subtitles, "1\n00:00:00,500 --> 00:00:01,000\nhello\n").unwrap();
    let subtitles = subtitles.display();
    for (ending, codec) in [("mkv", "srt"), ("mp4", "mov_text")] {
        let with = format!("{BOTH} -i {subtitles} -map 0 -map 1 -map 2 {X264} -c:a aac -c:s {codec}");
        let heard = run(&[Source::file(clip(ending, &with))], both()).await;
        assert!(heard.ended, "{ending}: {:?}", heard.failed);
        assert_eq!(heard.of(Kind::Video).len(), 50, "{ending}");
    }
}

#[tokio::test]
async fn a_cover_is_no_video_and_a_title_is_a_mark() {
    let cover = "-f lavfi -i color=size=64x64:duration=0.1:rate=10 -map 0 -map 1 -frames:v 1 -disposition:v attached_pic";
    let cases = [
        ("mp3", "-c:a libmp3lame -c:v mjpeg -pix_fmt yuvj420p -id3v2_version 3"),
        ("m4a", "-c:a aac -c:v mjpeg -pix_fmt yuvj420p"),
        ("flac", "-c:a flac -c:v png"),
    ];
    for (ending, arguments) in cases {
        let bytes = clip(ending, &format!("{SOUND} {cover} {arguments} -metadata title=Hymn"));
        let heard = run(&[Source::file(bytes)], both()).await;
        assert!(heard.ended, "{ending}: {:?}", heard.failed);
        assert_eq!((heard.codec(Kind::Video), heard.tracks.last().unwrap().0), (None, false), "{ending}");
        let titles: Vec<_> = heard.marks.iter().map(|mark| &mark.what).collect();
        assert_eq!(titles, [&What::Title("Hymn".into())], "{ending}");
    }
}

#[tokio::test]
async fn turned_and_stretched_pictures_say_so() {
    let heard = run(&[Source::file(turned(&clip("mp4", &format!("{PICTURES} {X264}"))))], both()).await;
    assert_eq!(heard.formats.last().unwrap().shape.turn, Turn::new(false, 1), "{:?}", heard.formats);
    let wide = clip("mkv", &format!("{PICTURES} -c:v libvpx -deadline realtime -aspect 10:3"));
    let heard = run(&[Source::file(wide)], both()).await;
    assert_eq!(heard.formats.last().unwrap().shape.pixel, Some((2, 1)));
}

#[tokio::test]
async fn a_live_stream_without_end_is_given_as_it_comes() {
    let bytes = clip("ts", &format!("{BOTH} {X264} -c:a aac"));
    let source = Source { media_type: Some("video/mp2t".into()), ..Source::stream(bytes) };
    let heard = run(&[source], Start { live: true, ..both() }).await;
    assert!(heard.ended, "{:?}", heard.failed);
    assert_eq!(heard.of(Kind::Video).len(), 50);
}

#[tokio::test]
async fn a_chained_stream_goes_on() {
    for (codec, other) in [("libvorbis", "libvorbis"), ("libopus", "libopus")] {
        let songs = [
            clip("ogg", &format!("{SOUND} -c:a {codec}")),
            clip("ogg", &format!("{SOUND} -c:a {other} -ac 2")),
        ];
        let heard = run(&[Source::stream(songs.concat().into())], both()).await;
        assert!(heard.ended, "{codec}: {:?} {:?}", heard.failed, heard.warnings);
        assert_eq!(heard.formats.len(), 2, "{codec}");
        assert!(monotone(&heard, Kind::Audio), "{codec}");
        let span = heard.span_ms(Kind::Audio);
        assert!((3_880..=4_100).contains(&span), "{codec}: {span} ms");
    }
}
