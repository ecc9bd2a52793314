//! Containers of every kind, made by ffmpeg, taken apart: nothing is lost, moved, or waited for.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use media::{Codec, Kind};

mod support;
use support::demux::{BOTH, Heard, PICTURES, SOUND, Source, X264, both, clip, run};

/// A container with what ffmpeg is told, and the codecs in it.
struct Case {
    ending: &'static str,
    arguments: String,
    video: Option<Codec>,
    audio: Option<Codec>,
}

fn case(
    ending: &'static str,
    arguments: impl Into<String>,
    video: Option<Codec>,
    audio: Option<Codec>,
) -> Case {
    Case { ending, arguments: arguments.into(), video, audio }
}

fn with_pictures() -> Vec<Case> {
    use Codec::{
        Aac, Ac3, Eac3, Flac, H264, H265, Mjpeg, Mp2, Mp3, Mpeg2, Mpeg4, Opus, Pcm, Vorbis, Vp8, Vp9,
    };
    let x264 = |rest: &str| format!("{BOTH} {X264} {rest}");
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=25 -pix_fmt yuv420p";
    vec![
        case("mp4", x264("-c:a aac"), Some(H264), Some(Aac)),
        case("mp4", x264("-c:a aac -movflags +faststart"), Some(H264), Some(Aac)),
        case(
            "mp4",
            x264("-bf 0 -c:a aac -movflags +frag_keyframe+empty_moov+default_base_moof"),
            Some(H264),
            Some(Aac),
        ),
        case("mp4", x264("-c:a libmp3lame"), Some(H264), Some(Mp3)),
        case("mp4", format!("{BOTH} {hevc} -tag:v hvc1 -c:a libopus"), Some(H265), Some(Opus)),
        case("mov", x264("-c:a pcm_s16le"), Some(H264), Some(Pcm)),
        case("mov", format!("{BOTH} -c:v mjpeg -pix_fmt yuvj420p -c:a aac"), Some(Mjpeg), Some(Aac)),
        case("mkv", x264("-c:a flac"), Some(H264), Some(Flac)),
        case("mkv", x264("-c:a libvorbis"), Some(H264), Some(Vorbis)),
        case("mkv", format!("{BOTH} {hevc} -c:a eac3"), Some(H265), Some(Eac3)),
        case(
            "webm",
            format!("{BOTH} -c:v libvpx -deadline realtime -g 25 -c:a libvorbis"),
            Some(Vp8),
            Some(Vorbis),
        ),
        case(
            "webm",
            format!("{BOTH} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -c:a libopus"),
            Some(Vp9),
            Some(Opus),
        ),
        case("avi", format!("{BOTH} -c:v mpeg4 -g 25 -c:a libmp3lame"), Some(Mpeg4), Some(Mp3)),
        case("avi", format!("{BOTH} -c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le"), Some(Mjpeg), Some(Pcm)),
        case("avi", x264("-bf 0 -c:a ac3"), Some(H264), Some(Ac3)),
        case("flv", x264("-c:a aac"), Some(H264), Some(Aac)),
        case("ts", x264("-c:a aac"), Some(H264), Some(Aac)),
        case("ts", format!("{BOTH} -c:v mpeg2video -g 25 -bf 2 -c:a mp2"), Some(Mpeg2), Some(Mp2)),
        case("ts", format!("{BOTH} {hevc} -c:a ac3"), Some(H265), Some(Ac3)),
        case("ts", x264("-c:a libopus"), Some(H264), Some(Opus)),
        case("ogv", format!("{BOTH} -c:v libtheora -g 25 -c:a libvorbis"), Some(Codec::Theora), Some(Vorbis)),
    ]
}

fn with_sound_only() -> Vec<Case> {
    use Codec::{Aac, Flac, Mp3, Opus, Pcm, Pcma, Pcmu, Vorbis};
    let sound = |rest: &str| format!("{SOUND} {rest}");
    vec![
        case("mp3", sound("-c:a libmp3lame -write_xing 0"), None, Some(Mp3)),
        case("ogg", sound("-c:a libvorbis"), None, Some(Vorbis)),
        case("ogg", sound("-c:a libopus"), None, Some(Opus)),
        case("m4a", sound("-c:a aac"), None, Some(Aac)),
        case("m4a", sound("-c:a alac"), None, Some(Codec::Alac)),
        case("aac", sound("-c:a aac"), None, Some(Aac)),
        case("flac", sound("-c:a flac"), None, Some(Flac)),
        case("wav", sound("-c:a pcm_s16le"), None, Some(Pcm)),
        case("wav", sound("-c:a pcm_s24le"), None, Some(Pcm)),
        case("wav", sound("-c:a pcm_alaw"), None, Some(Pcma)),
        case("wav", sound("-c:a pcm_mulaw"), None, Some(Pcmu)),
    ]
}

/// What is wrong with what came out, if anything.
fn faults(heard: &Heard, case: &Case) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |right: bool, what: String| {
        if !right {
            faults.push(what);
        }
    };
    check(heard.ended && heard.failed.is_none(), format!("{:?} {:?}", heard.failed, heard.exit));
    let codecs = (heard.codec(Kind::Video), heard.codec(Kind::Audio));
    check(codecs == (case.video, case.audio), format!("{codecs:?}"));
    let tracks = heard.tracks.last().map(|(video, audio, _)| (*video, *audio));
    check(tracks == Some((case.video.is_some(), case.audio.is_some())), format!("{tracks:?}"));
    let [pictures, sound] = [Kind::Video, Kind::Audio].map(|kind| heard.of(kind));
    for packets in [&pictures, &sound] {
        check(packets.windows(2).all(|pair| pair[0].dts <= pair[1].dts), "decoding times go back".into());
    }
    if case.video.is_some() {
        check(pictures.len() == 50, format!("{} pictures", pictures.len()));
        let keys: Vec<usize> = (0..pictures.len()).filter(|at| pictures[*at].keyframe).collect();
        check(keys.first() == Some(&0) && keys.len() >= 2, format!("keyframes {keys:?}"));
        let span = heard.span_ms(Kind::Video);
        check((span - 1960).abs() <= 40, format!("pictures of {span} ms"));
    }
    if case.audio.is_some() {
        // Without the last packet (of samples in MOV 100 ms), whose length is not told; with what encoders put in front.
        let span = heard.span_ms(Kind::Audio);
        check((1880..=2100).contains(&span), format!("sound of {span} ms"));
    }
    if case.video.is_some() && case.audio.is_some() && !heard.packets.is_empty() {
        let apart = heard.first_ms(Kind::Video) - heard.first_ms(Kind::Audio);
        check(apart.abs() <= 60, format!("{apart} ms apart"));
    }
    let first = heard.packets.iter().map(|packet| packet.pts.millis()).min();
    check(first.is_some_and(|first| first.abs() <= 60), format!("begins at {first:?} ms"));
    faults
}

async fn check(cases: Vec<Case>) {
    let mut faulty = Vec::new();
    for case in cases {
        let bytes = clip(case.ending, &case.arguments);
        for seekable in [true, false] {
            let source = Source { seekable, ..Source::file(bytes.clone()) };
            let faults = faults(&run(&[source], both()).await, &case);
            if !faults.is_empty() {
                faulty.push(format!("{} {}, seekable {seekable}: {faults:?}", case.ending, case.arguments));
            }
        }
    }
    assert!(faulty.is_empty(), "{faulty:#?}");
}

#[tokio::test]
async fn every_container_with_pictures_comes_apart_whole() {
    check(with_pictures()).await;
}

#[tokio::test]
async fn every_container_of_sound_comes_apart_whole() {
    check(with_sound_only()).await;
}

#[tokio::test]
async fn pictures_alone_are_enough() {
    let heard = run(&[Source::file(clip("mp4", &format!("{PICTURES} {X264}")))], both()).await;
    assert!(heard.ended);
    assert_eq!((heard.of(Kind::Video).len(), heard.of(Kind::Audio).len()), (50, 0));
}
