use std::process::{Command, Stdio};

use bytes::Bytes;
use media::{Codec, Encoded, Layer, MediaTime, Output, Quality};
use sluicegate_livekit::room::{AudioTrack, Event, Events, Participant, TrackSource, VideoTrack};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};

use super::cutter::Cutter;

/// 20 ms of stereo silence (RFC 6716: TOC byte of a CELT frame, and a frame that decodes to nothing).
const SILENCE: &[u8] = &[0xfc, 0xff, 0xfe];

/// Frames of a layer: one second at 30 fps, a keyframe first.
type Clip = Vec<Bytes>;

/// Plays clips into a participant in real time, and starts a layer's anew when a keyframe is asked for.
pub struct Player {
    /// Packets are forwarded, and no frames written.
    cutter: Option<Cutter>,
    /// Not handed over.
    paused: Option<Output>,
    clips: [Clip; 3],
    next: [usize; 3],
    start: Instant,
    frames: i64,
    sounds: i64,
}

pub fn layers() -> Vec<Layer> {
    let layer = |quality, width, height, bitrate_bps| Layer { quality, width, height, bitrate_bps };
    vec![
        layer(Quality::Low, 160, 90, 100_000),
        layer(Quality::Medium, 320, 180, 200_000),
        layer(Quality::High, 640, 360, 500_000),
    ]
}

pub fn video() -> VideoTrack {
    VideoTrack { name: "picture".into(), source: TrackSource::ScreenShare, layers: layers() }
}

pub fn audio() -> AudioTrack {
    let source = TrackSource::ScreenShareAudio;
    AudioTrack { name: "sound".into(), source, channels: 2, dtx: false }
}

impl Player {
    pub fn new(codec: Codec) -> Self {
        let clips = [0, 1, 2].map(|i| encode(codec, layers()[i]));
        Self { cutter: None, paused: None, clips, next: [0; 3], start: Instant::now(), frames: 0, sounds: 0 }
    }

    /// Plays packets; of codecs but H.264 and VP8 only the name is true.
    pub fn packets(codec: Codec) -> Self {
        Self { cutter: Some(Cutter::new(codec)), ..Self::new(codec) }
    }

    /// The next publisher takes over, from a keyframe on.
    pub fn take_over(&mut self) {
        self.cutter.as_mut().expect("packets").take_over();
        self.next = [0; 3];
    }

    /// The packets of an output are made, and not handed over.
    pub fn pause(&mut self, output: Output) {
        self.paused = Some(output);
    }

    /// They are again, from a keyframe on.
    pub fn resume(&mut self, room: &Participant) {
        if let Some(output) = self.paused.take() {
            room.pause(output);
            self.next = [0; 3];
        }
    }

    fn hand_over(&mut self, room: &Participant, frame: Encoded) {
        let Some(cutter) = &mut self.cutter else {
            room.write(frame);
            return;
        };
        for packet in cutter.cut(&frame) {
            if self.paused != Some(frame.output) {
                room.forward(frame.output, packet);
            }
        }
    }

    /// Plays until `stop` says so of an event; returns the events so far, with the last one.
    pub async fn play_until(
        &mut self,
        room: &Participant,
        events: &mut Events,
        what: &str,
        mut stop: impl FnMut(&Event) -> bool,
    ) -> Vec<Event> {
        let mut seen = vec![];
        let play = async {
            let mut ticks = interval(Duration::from_millis(10));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    _ = ticks.tick() => self.play(room),
                    event = events.recv() => {
                        let event = event.unwrap_or_else(|| panic!("{what}: events ended"));
                        if let Event::KeyframeNeeded(quality) = event {
                            self.next[usize::from(quality.number())] = 0;
                        }
                        seen.push(event);
                        if seen.last().is_some_and(&mut stop) {
                            return;
                        }
                    }
                }
            }
        };
        if tokio::time::timeout(super::PATIENCE, play).await.is_err() {
            panic!("{what}: not within {:?}, only {seen:?}", super::PATIENCE);
        }
        seen
    }

    /// Plays for as long as another future takes.
    pub async fn play_while<T>(
        &mut self,
        room: &Participant,
        events: &mut Events,
        other: impl Future<Output = T>,
    ) -> T {
        let forever = self.play_forever(room, events);
        tokio::select! {
            value = other => value,
            () = forever => unreachable!("plays for ever"),
        }
    }

    async fn play_forever(&mut self, room: &Participant, events: &mut Events) {
        loop {
            self.play_until(room, events, "playing", |event| !matches!(event, Event::Ended(_))).await;
        }
    }

    fn play(&mut self, room: &Participant) {
        let elapsed = self.start.elapsed().as_millis() as i64;
        while self.frames * 1000 <= elapsed * 30 {
            let pts = MediaTime::from_90khz(self.frames * 3000);
            self.frames += 1;
            for quality in Quality::ALL {
                let index = usize::from(quality.number());
                let (clip, next) = (&self.clips[index], &mut self.next[index]);
                let (keyframe, data) = (*next == 0, clip[*next].clone());
                *next = (*next + 1) % clip.len();
                self.hand_over(room, Encoded { output: Output::Video(quality), pts, keyframe, data });
            }
        }
        while self.sounds * 20 <= elapsed {
            let pts = MediaTime::from_millis(self.sounds * 20);
            self.sounds += 1;
            let data = Bytes::from_static(SILENCE);
            self.hand_over(room, Encoded { output: Output::Audio, pts, keyframe: true, data });
        }
    }
}

fn encode(codec: Codec, layer: Layer) -> Clip {
    let source = format!("testsrc=size={}x{}:rate=30:duration=1", layer.width, layer.height);
    let coding: &[&str] = match codec {
        Codec::Vp8 => &["-c:v", "libvpx", "-deadline", "realtime", "-auto-alt-ref", "0", "-f", "ivf"],
        _ => &[
            "-c:v",
            "libx264",
            "-profile:v",
            "baseline",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
            "-pix_fmt",
            "yuv420p",
            "-x264-params",
            "aud=1:slices=1",
            "-f",
            "h264",
        ],
    };
    let rate = layer.bitrate_bps.to_string();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", &source, "-b:v", &rate, "-g", "30", "-bf", "0"]);
    let output = command.args(coding).arg("-").stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "ffmpeg: {}", output.status);
    let frames = match codec {
        Codec::Vp8 => ivf_frames(&output.stdout),
        _ => access_units(&output.stdout),
    };
    assert_eq!(frames.len(), 30, "one second at 30 fps");
    frames
}

/// Splits an Annex B stream at its access unit delimiters.
fn access_units(stream: &[u8]) -> Clip {
    let delimiter = [0, 0, 0, 1, 9];
    let starts: Vec<usize> = (0..stream.len()).filter(|at| stream[*at..].starts_with(&delimiter)).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().zip(ends).map(|(start, end)| Bytes::copy_from_slice(&stream[*start..end])).collect()
}

/// An IVF file: 32 bytes of header, then frames of 12 bytes of header each, which begin with the size.
fn ivf_frames(file: &[u8]) -> Clip {
    let mut rest = &file[32..];
    let mut frames = vec![];
    while rest.len() > 12 {
        let size = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        frames.push(Bytes::copy_from_slice(&rest[12..12 + size]));
        rest = &rest[12 + size..];
    }
    frames
}
