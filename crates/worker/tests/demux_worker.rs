//! What a demuxer gives, in a worker: every codec is decoded, pictures are upright and in shape.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use media::{Codec, Kind};
use pipeline::{Command, Source as Seen};

mod support;
use support::{
    demux::{BOTH, Heard, PICTURES, SOUND, Source, X264, both, clip, run, turned},
    rig::{Rig, plan, start},
};

const DEFAULT: &str = pipeline::ladder::DEFAULT_PRESET;

/// Gives a worker all that a demuxer gave.
async fn play(heard: &Heard) -> Rig {
    let mut rig = Rig::in_process(start(plan(DEFAULT)));
    for format in &heard.formats {
        let track = if format.codec.kind() == Kind::Video {
            support::generate::VIDEO
        } else {
            support::generate::AUDIO
        };
        rig.format(track, format.clone()).await;
    }
    for packet in &heard.packets {
        rig.send(Command::Unit(media::Unit::Packet(packet.clone()))).await;
    }
    rig.finish().await;
    assert_eq!(rig.failed, None);
    rig
}

#[tokio::test]
async fn sound_of_every_codec_is_heard() {
    let cases = [
        ("ogg", "-c:a libvorbis", Codec::Vorbis),
        ("flac", "-c:a flac", Codec::Flac),
        ("mkv", "-c:a flac", Codec::Flac),
        ("m4a", "-c:a alac", Codec::Alac),
        ("wav", "-c:a pcm_s16le", Codec::Pcm),
        ("wav", "-c:a pcm_s24le", Codec::Pcm),
        ("wav", "-c:a pcm_alaw", Codec::Pcma),
        ("wav", "-c:a pcm_mulaw", Codec::Pcmu),
        ("mkv", "-c:a ac3", Codec::Ac3),
        ("mkv", "-c:a eac3", Codec::Eac3),
        ("ts", "-c:a mp2", Codec::Mp2),
        ("mkv", "-c:a libvorbis", Codec::Vorbis),
        ("ts", "-c:a aac", Codec::Aac),
        ("mp4", "-c:a libopus", Codec::Opus),
    ];
    let mut faulty = Vec::new();
    for (ending, arguments, codec) in cases {
        let heard = run(&[Source::file(clip(ending, &format!("{SOUND} {arguments}")))], both()).await;
        let rig = play(&heard).await;
        let times: Vec<i64> = rig.encoded.iter().map(|frame| frame.pts.millis()).collect();
        let sound =
            rig.sources.iter().any(|seen| matches!(seen, Seen::Audio { codec: of, .. } if *of == codec));
        // 2 s of packets of 20 ms.
        if !sound || !(95..=108).contains(&times.len()) || times.last().is_none_or(|last| *last < 1900) {
            faulty.push(format!(
                "{ending} {arguments}: {:?} {} packets, {:?} to {:?}",
                rig.sources,
                times.len(),
                times.first(),
                times.last()
            ));
        }
    }
    assert!(faulty.is_empty(), "{faulty:#?}");
}

#[tokio::test]
async fn pictures_of_every_codec_are_seen() {
    let cases = [
        ("avi", format!("{PICTURES} -c:v mpeg4 -g 25"), Codec::Mpeg4),
        ("avi", format!("{PICTURES} -c:v mjpeg -pix_fmt yuvj420p"), Codec::Mjpeg),
        ("ts", format!("{PICTURES} -c:v mpeg2video -g 25"), Codec::Mpeg2),
        ("ogv", format!("{PICTURES} -c:v libtheora -g 25"), Codec::Theora),
        ("mkv", format!("{PICTURES} {X264}"), Codec::H264),
        ("avi", format!("{PICTURES} {X264} -bf 0"), Codec::H264),
        (
            "mp4",
            format!(
                "{PICTURES} -c:v libx265 -preset ultrafast -x265-params log-level=error -pix_fmt yuv420p"
            ),
            Codec::H265,
        ),
        (
            "webm",
            format!("{PICTURES} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p"),
            Codec::Vp9,
        ),
        (
            "mkv",
            format!("{PICTURES} -c:v libaom-av1 -cpu-used 8 -usage realtime -frames:v 20 -pix_fmt yuv420p"),
            Codec::Av1,
        ),
    ];
    let mut faulty = Vec::new();
    for (ending, arguments, codec) in cases {
        let heard = run(&[Source::file(clip(ending, &arguments))], both()).await;
        let rig = play(&heard).await;
        let size = rig.sources.iter().find_map(|seen| match seen {
            Seen::Video { codec: of, width, height, .. } if *of == codec => Some((*width, *height)),
            _ => None,
        });
        if size != Some((160, 96)) || rig.encoded.is_empty() {
            faulty.push(format!("{ending} {arguments}: {:?} {}", rig.sources, rig.encoded.len()));
        }
    }
    assert!(faulty.is_empty(), "{faulty:#?}");
}

async fn size_in_worker(bytes: bytes::Bytes) -> (u32, u32) {
    let heard = run(&[Source::file(bytes)], both()).await;
    let rig = play(&heard).await;
    let layer = rig.layers.last().and_then(|layers| layers.last()).unwrap();
    (layer.width, layer.height)
}

#[tokio::test]
async fn pictures_are_turned_and_stretched_as_their_container_says() {
    let upright = clip("mp4", &format!("{PICTURES} {X264}"));
    assert_eq!(size_in_worker(turned(&upright)).await, (96, 160));
    let wide = clip("mkv", &format!("{BOTH} -c:v libvpx -deadline realtime -aspect 10:3 -c:a libopus"));
    assert_eq!(size_in_worker(wide).await, (320, 96));
}
