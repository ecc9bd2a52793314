//! The real ffmpeg and GStreamer push a second of media to a listener. The project's setup installs both.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use media::{Codec, Unit};
use rtmp::{AUDIO, VIDEO};
use sluicegate_intake::rtmp::{Event, Limits, Listener, Why};
use tokio::{task::spawn_blocking, time::timeout};

/// Starting ffmpeg or GStreamer on a machine that compiles at the same time takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an encoder sent.
#[derive(Debug, Default)]
struct Received {
    codecs: Vec<Codec>,
    pictures: Vec<(i64, i64, bool)>,
    sounds: usize,
    end: Option<Why>,
}

/// Runs an encoder against a listener of its own.
async fn push(program: &'static str, arguments: impl Fn(&str) -> Vec<String>) -> Received {
    let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
    let url = format!("rtmp://{}/live/key12345", listener.local_addr());
    let arguments = arguments(&url);
    let encoder = spawn_blocking(move || {
        Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("the setup installs it")
    });
    let received = timeout(PATIENCE, receive(&mut listener)).await;
    listener.shutdown().await;
    let Output { status, stderr, .. } = encoder.await.unwrap();
    assert!(status.success(), "{program}: {status}: {}", String::from_utf8_lossy(&stderr));
    received.expect("the encoder connects and ends")
}

async fn receive(listener: &mut Listener) -> Received {
    let request = listener.accept().await.unwrap();
    assert_eq!(request.key.reveal(), "key12345");
    let mut publisher = request.accept().await.unwrap();
    let mut received = Received::default();
    while let Some(event) = publisher.recv().await {
        match event {
            Event::Unit(Unit::Format(_, format)) => received.codecs.push(format.codec),
            Event::Unit(Unit::Packet(p)) if p.track == VIDEO => {
                received.pictures.push((p.dts.millis(), p.pts.millis(), p.keyframe));
            }
            Event::Unit(Unit::Packet(p)) if p.track == AUDIO => received.sounds += 1,
            Event::Ended(why) => received.end = Some(why),
            _ => {}
        }
    }
    received
}

fn words(line: &str, url: &str) -> Vec<String> {
    line.split_whitespace().map(|word| word.replace("URL", url)).collect()
}

#[tokio::test]
async fn ffmpeg_with_b_frames() {
    let line = "-hide_banner -loglevel error -f lavfi -i testsrc=size=160x90:rate=10:duration=1 \
                -f lavfi -i sine=frequency=440:sample_rate=44100:duration=1 -pix_fmt yuv420p -c:v libx264 \
                -preset veryfast -g 5 -bf 2 -c:a aac -f flv -flvflags no_duration_filesize URL";
    let received = push("ffmpeg", |url| words(line, url)).await;
    assert_eq!(received.codecs, [Codec::H264, Codec::Aac]);
    assert_eq!(received.pictures.len(), 10);
    let keyframes: Vec<_> = received.pictures.iter().filter(|p| p.2).map(|p| p.0).collect();
    assert_eq!(keyframes, [0, 500]);
    assert!(received.pictures.iter().any(|(dts, pts, _)| pts > dts), "B frames: {:?}", received.pictures);
    assert!(received.pictures.iter().all(|(dts, pts, _)| pts >= dts));
    assert!((40..=46).contains(&received.sounds), "{} sounds", received.sounds);
    assert_eq!(received.end, Some(Why::Unpublished));
}

#[tokio::test]
async fn gstreamers_rtmp2sink() {
    let line = "-q -e videotestsrc num-buffers=10 ! video/x-raw,format=I420,width=160,height=90,framerate=10/1 \
                ! x264enc key-int-max=5 bframes=0 tune=zerolatency ! h264parse ! flvmux name=m streamable=true \
                ! rtmp2sink location=URL \
                audiotestsrc num-buffers=43 ! audio/x-raw,rate=44100,channels=1 ! audioconvert ! avenc_aac \
                ! aacparse ! m.";
    let received = push("gst-launch-1.0", |url| words(line, url)).await;
    let mut codecs = received.codecs.clone();
    codecs.sort_by_key(|codec| codec.mime_type());
    assert_eq!(codecs, [Codec::Aac, Codec::H264]);
    let expected: Vec<_> = (0..10).map(|n| (n * 100, n * 100, n % 5 == 0)).collect();
    assert_eq!(received.pictures, expected);
    assert!((43..=45).contains(&received.sounds), "{} sounds", received.sounds);
    assert_eq!(received.end, Some(Why::Unpublished));
}
