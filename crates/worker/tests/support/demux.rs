//! A demuxer at work on bytes in memory, and clips made by ffmpeg.

use std::{
    os::unix::net::UnixStream,
    process::{Command as Process, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use media::{Codec, Format, Kind, MediaTime, Packet, Unit};
use pipeline::{
    Exit,
    demux::{self, Command, Demux, Event, Incoming, InputInfo, Mark, Start},
};

/// Nothing takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is read of one input: stretches of bytes, each the section of this time.
#[derive(Debug, Clone)]
pub struct Source {
    pub sections: Vec<(i64, Bytes)>,
    pub seekable: bool,
    pub media_type: Option<String>,
}

impl Source {
    pub fn file(bytes: Bytes) -> Self {
        Self { sections: vec![(0, bytes)], seekable: true, media_type: None }
    }

    pub fn stream(bytes: Bytes) -> Self {
        Self { seekable: false, ..Self::file(bytes) }
    }

    fn info(&self) -> InputInfo {
        let size = self.seekable.then(|| self.sections[0].1.len() as u64);
        InputInfo { size, seekable: self.seekable, media_type: self.media_type.clone() }
    }
}

/// All that a demuxer has said.
#[derive(Debug, Default)]
pub struct Heard {
    pub formats: Vec<Format>,
    pub packets: Vec<Packet>,
    pub tracks: Vec<(bool, bool, Option<Duration>)>,
    pub marks: Vec<Mark>,
    pub warnings: Vec<String>,
    pub failed: Option<(demux::Kind, String)>,
    pub ended: bool,
    pub exit: Option<Exit>,
    pub reads: usize,
}

impl Heard {
    pub fn of(&self, kind: Kind) -> Vec<&Packet> {
        self.packets.iter().filter(|packet| packet.kind == kind).collect()
    }

    pub fn codec(&self, kind: Kind) -> Option<Codec> {
        self.formats.iter().map(|format| format.codec).find(|codec| codec.kind() == kind)
    }

    /// From the first to the last presentation time, ms.
    pub fn span_ms(&self, kind: Kind) -> i64 {
        let times: Vec<i64> = self.of(kind).iter().map(|packet| packet.pts.millis()).collect();
        times.iter().max().unwrap_or(&0) - times.iter().min().unwrap_or(&0)
    }

    /// When the first picture or sound is shown, ms.
    pub fn first_ms(&self, kind: Kind) -> i64 {
        self.of(kind).iter().map(|packet| packet.pts.millis()).min().unwrap()
    }
}

pub fn both() -> Start {
    Start { inputs: Vec::new(), live: false, video: true, audio: true, start_at: None }
}

/// Runs a demuxer of this process over the sources until it ends.
pub async fn run(sources: &[Source], start: Start) -> Heard {
    super::init();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let thread = std::thread::spawn(move || sluicegate_worker::demux::run(theirs));
    let start = Start { inputs: sources.iter().map(Source::info).collect(), ..start };
    let (sender, receiver) = Demux::over(ours, start).unwrap();
    let heard = tokio::time::timeout(PATIENCE, drive(sender, receiver, sources)).await.expect("it ends");
    let _ = thread.join().unwrap();
    heard
}

/// Serves a demuxer's reads until it is gone.
pub async fn drive(mut sender: demux::Sender, mut receiver: demux::Receiver, sources: &[Source]) -> Heard {
    let mut heard = Heard::default();
    let mut at: Vec<(usize, usize)> = vec![(0, 0); sources.len()];
    let _ = sender.flush().await;
    loop {
        match receiver.recv().await {
            Incoming::Exit(exit) => {
                heard.exit = Some(exit);
                return heard;
            }
            Incoming::Event(Event::Read { input, offset, length }) => {
                heard.reads += 1;
                let source = &sources[usize::from(input)];
                let (section, next) = &mut at[usize::from(input)];
                let command = answer(source, section, next, (input, offset, length));
                // A demuxer that has failed is gone already.
                let _ = sender.send(command).await;
            }
            Incoming::Event(event) => heard.note(event),
        }
    }
}

fn answer(
    source: &Source,
    section: &mut usize,
    next: &mut usize,
    (input, offset, length): (u8, u64, u32),
) -> Command {
    let offset = usize::try_from(offset).unwrap();
    if !source.seekable {
        assert_eq!(offset, *next, "one after the other");
    }
    let bytes = &source.sections[*section].1;
    let start = offset.min(bytes.len());
    let data = bytes.slice(start..(start + length as usize).min(bytes.len()));
    *next = start + data.len();
    if data.is_empty() && *section + 1 < source.sections.len() {
        (*section, *next) = (*section + 1, 0);
        return Command::Section { input, at: MediaTime::from_millis(source.sections[*section].0) };
    }
    Command::Data { input, data }
}

impl Heard {
    fn note(&mut self, event: Event) {
        assert!(!self.ended && self.failed.is_none(), "nothing after the end: {event:?}");
        match event {
            Event::Unit(Unit::Format(_, format)) => self.formats.push(format),
            Event::Unit(Unit::Packet(packet)) => {
                let kind = packet.kind;
                let known = self.formats.iter().any(|format| format.codec.kind() == kind);
                assert!(known, "a format comes before the packets");
                self.packets.push(packet);
            }
            Event::Tracks { video, audio, duration } => self.tracks.push((video, audio, duration)),
            Event::Mark(mark) => self.marks.push(mark),
            Event::Warning(text) => self.warnings.push(text),
            Event::Failed { kind, text } => self.failed = Some((kind, text)),
            Event::Ended => self.ended = true,
            Event::Read { .. } => unreachable!(),
        }
    }
}

/// A file with this ending that ffmpeg makes with these arguments.
pub fn clip(ending: &str, arguments: &str) -> Bytes {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("clip-{}-{number}.{ending}", std::process::id()));
    let output = Process::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is installed: tools/setup.sh");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(&path).unwrap();
    let _ = std::fs::remove_file(&path);
    bytes.into()
}

/// Two seconds of 50 pictures and a tone, as ffmpeg's inputs.
pub const BOTH: &str =
    "-f lavfi -i testsrc=size=160x96:rate=25:duration=2 -f lavfi -i sine=440:duration=2:sample_rate=48000";
/// The pictures alone.
pub const PICTURES: &str = "-f lavfi -i testsrc=size=160x96:rate=25:duration=2";
/// The tone alone.
pub const SOUND: &str = "-f lavfi -i sine=440:duration=2:sample_rate=48000";
/// H.264 with B pictures and two groups, quickly made.
pub const X264: &str = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 25 -bf 2";

/// A launch of the real process, its registry built once.
pub async fn launch(worker: &str) -> pipeline::Launch {
    static REGISTRY: OnceLock<std::path::PathBuf> = OnceLock::new();
    let worker = worker.to_owned();
    let registry = REGISTRY.get_or_init(|| {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("registry-demux-{}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let launch = pipeline::Launch::new(&worker, &path);
        std::thread::spawn(move || runtime.block_on(launch.build_registry())).join().unwrap().unwrap();
        path
    });
    pipeline::Launch { fatal_criticals: true, ..pipeline::Launch::new(&worker, registry) }
}

/// The same fragmented MP4 with each fragment so many seconds later, at each track's `rate`.
pub fn later(mp4: &Bytes, seconds: f64, rates: &[u32]) -> Bytes {
    let mut mp4 = mp4.to_vec();
    let boxes: Vec<usize> = (0..mp4.len() - 16).filter(|at| &mp4[*at..*at + 4] == b"tfdt").collect();
    for at in boxes {
        assert_eq!(mp4[at + 4], 1, "64 bits");
        let id = (0..at).rev().find(|before| &mp4[*before..*before + 4] == b"tfhd").unwrap();
        let track = mp4[id + 11];
        let time = u64::from_be_bytes(mp4[at + 8..at + 16].try_into().unwrap());
        let time = time + (seconds * f64::from(rates[usize::from(track) - 1])) as u64;
        mp4[at + 8..at + 16].copy_from_slice(&time.to_be_bytes());
    }
    mp4.into()
}

/// The same MP4 with its first track to be turned by a quarter, clockwise.
pub fn turned(mp4: &Bytes) -> Bytes {
    let mut mp4 = mp4.to_vec();
    let header = mp4.windows(4).position(|bytes| bytes == b"tkhd").unwrap();
    let matrix = [0, 0x1_0000, 0, -0x1_0000, 0, 0, 0, 0, 0x4000_0000_i32];
    for (at, value) in matrix.into_iter().enumerate() {
        let at = header + 44 + 4 * at;
        mp4[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    mp4.into()
}
