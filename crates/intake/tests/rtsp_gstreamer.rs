//! GStreamer's RTSP server, which the project's setup installs, gives what `rtsp::pull` takes.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use media::{Codec, Kind, Packet, Unit};
use sluicegate_intake::{
    rtmp::{Event, Publisher, Why},
    rtsp::{Error, pull},
    url::{Fetcher, Options, address::Policy},
};
use tokio::time::timeout;

/// Starting GStreamer on a machine that compiles at the same time takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e/harness/rtsp_child.py");

const PICTURES: &str =
    "videotestsrc is-live=true num-buffers=45 ! video/x-raw,width=160,height=120,framerate=15/1";
const SOUND: &str =
    "audiotestsrc is-live=true num-buffers=150 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2";

fn h264() -> String {
    format!(
        "{PICTURES} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96"
    )
}

/// With parameter sets in the description only.
fn h264_and_aac() -> String {
    format!("{} config-interval=0 {SOUND} ! avenc_aac ! rtpmp4gpay name=pay1 pt=97", h264())
}

fn h264_and_pcma() -> String {
    format!(
        "{} config-interval=-1 {SOUND} ! audioconvert ! audioresample ! alawenc ! rtppcmapay name=pay1 pt=8",
        h264()
    )
}

fn h265_and_opus() -> String {
    format!(
        "{PICTURES} ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph265pay name=pay0 pt=96 \
         config-interval=-1 {SOUND} ! opusenc ! rtpopuspay name=pay1 pt=98"
    )
}

struct Server {
    child: Child,
    /// What it says further, for which it needs somebody who listens.
    _words: BufReader<ChildStdout>,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(flags: &[&str], launch: &str) -> Server {
        let mut python = Command::new("/usr/bin/python3");
        python.arg(SERVER).args(flags).args(["/cam", launch]).stdout(Stdio::piped());
        let mut child = python.spawn().expect("the setup installs it");
        let mut line = String::new();
        let mut words = BufReader::new(child.stdout.take().unwrap());
        words.read_line(&mut line).unwrap();
        let port = line.split("\"port\": ").nth(1).expect(&line).trim_end().trim_end_matches('}');
        Server { port: port.parse().unwrap(), child, _words: words }
    }

    fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/cam", self.port)
    }
}

fn fetcher() -> Fetcher {
    Fetcher::new(Options { policy: Policy::new(&["127.0.0.1"], &[]).unwrap(), ..Options::default() }).unwrap()
}

async fn play(url: &str) -> Played {
    timeout(PATIENCE, async { Played::read(pull(&fetcher(), url).await.unwrap()).await }).await.unwrap()
}

struct Played {
    codecs: Vec<Codec>,
    packets: Vec<Packet>,
    end: Option<Why>,
}

impl Played {
    async fn read(mut publisher: Publisher) -> Played {
        let mut played = Played { codecs: Vec::new(), packets: Vec::new(), end: None };
        while let Some(event) = publisher.recv().await {
            match event {
                Event::Unit(Unit::Format(_, format)) => played.codecs.push(format.codec),
                Event::Unit(Unit::Packet(packet)) => played.packets.push(packet),
                Event::Ended(why) => played.end = Some(why),
                _ => {}
            }
        }
        played
    }

    fn of(&self, kind: Kind) -> Vec<&Packet> {
        self.packets.iter().filter(|packet| packet.kind == kind).collect()
    }

    /// Three seconds of 15 pictures, whole but for a few before the stream was asked for, at the pace of their clock.
    fn assert_whole(&self, codecs: [Codec; 2]) {
        assert_eq!(self.codecs, codecs);
        let pictures = self.of(Kind::Video);
        assert!(pictures[0].keyframe && (25..=45).contains(&pictures.len()), "{} pictures", pictures.len());
        let set = if codecs[0] == Codec::H265 { 0x40 } else { 0x67 };
        let sets = pictures.iter().filter(|picture| picture.keyframe).all(|picture| {
            let start = picture.data.windows(5).take(64).any(|bytes| bytes == [0, 0, 0, 1, set]);
            picture.data.starts_with(&[0, 0, 0, 1]) && start
        });
        assert!(sets, "parameter sets before each key picture");
        for kind in [Kind::Video, Kind::Audio] {
            let packets = self.of(kind);
            let (first, last) = (packets[0], packets[packets.len() - 1]);
            let step = last.pts.since(first.pts).millis() / i64::try_from(packets.len() - 1).unwrap();
            let should = if kind == Kind::Video { 60..=73 } else { 18..=24 };
            assert!(should.contains(&step), "{kind}: {step} ms from one to the next");
            assert!(packets.is_sorted_by_key(|packet| packet.dts), "{kind} goes back");
        }
        let ends = [Kind::Video, Kind::Audio].map(|kind| self.of(kind).last().unwrap().pts.millis());
        assert!((ends[0] - ends[1]).abs() < 400, "sound and pictures end together: {ends:?}");
        assert_eq!(self.end, Some(Why::Unpublished), "GStreamer says goodbye at the end of a stream");
    }
}

#[tokio::test]
async fn h264_and_aac_by_tcp() {
    let server = Server::start(&[], &h264_and_aac());
    play(&server.url()).await.assert_whole([Codec::H264, Codec::Aac]);
}

#[tokio::test]
async fn h264_and_g711_by_udp_of_a_server_without_tcp() {
    let server = Server::start(&["--udp"], &h264_and_pcma());
    play(&server.url()).await.assert_whole([Codec::H264, Codec::Pcma]);
}

#[tokio::test]
async fn h265_and_opus_with_a_digest() {
    let server = Server::start(&["--login", "viewer:pa:ss"], &h265_and_opus());
    let url = server.url().replace("rtsp://", "rtsp://viewer:pa%3Ass@");
    play(&url).await.assert_whole([Codec::H265, Codec::Opus]);
    for login in ["", "viewer:wrong@"] {
        let error =
            pull(&fetcher(), &server.url().replace("rtsp://", &format!("rtsp://{login}"))).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_path_that_is_not_there_is_not_found() {
    let server = Server::start(&[], &h264_and_aac());
    let error = pull(&fetcher(), &server.url().replace("/cam", "/other")).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}
