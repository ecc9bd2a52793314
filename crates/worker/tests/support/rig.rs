use std::{os::unix::net::UnixStream, thread::JoinHandle, time::Duration};

use media::{Encoded, Format, Kind, MediaTime, Output, Packet, Quality, TrackId, Unit};
use pipeline::{
    Audio, Command, Event, Exit, Handle, Incoming, Launch, Load, Plan, Receiver, Sender, Source, Start,
    ladder,
};

/// Pictures in flight: more than decoders reorder, no more than may wait for one encoder.
const WINDOW: usize = 6;

/// Nothing takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker and all that it has said.
pub struct Rig {
    pub sender: Sender,
    pub receiver: Receiver,
    pub encoded: Vec<Encoded>,
    pub sources: Vec<Source>,
    pub layers: Vec<Vec<media::Layer>>,
    pub warnings: Vec<String>,
    pub loads: Vec<Load>,
    pub failed: Option<String>,
    pub ended: bool,
    pub exit: Option<Exit>,
    thread: Option<JoinHandle<Result<(), sluicegate_worker::Error>>>,
    /// Pictures sent by [`Rig::feed`].
    sent: usize,
}

pub fn plan(preset: &str) -> Plan {
    Plan { video: ladder::preset(preset).unwrap(), audio: Audio::STEREO_96K, encoders: vec![] }
}

pub fn start(plan: Plan) -> Start {
    super::init();
    Start { plan, output_from: None }
}

/// The layers of a 640x360 source.
pub const BOTH: &[Quality] = &[Quality::Medium, Quality::High];

impl Rig {
    /// A pipeline on a thread of this process.
    pub fn in_process(start: Start) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || sluicegate_worker::run(theirs));
        let (sender, receiver) = Handle::over(ours, start).unwrap();
        Self::new(sender, receiver, Some(thread))
    }

    /// A sandboxed process.
    pub fn process(launch: &Launch, start: Start) -> Self {
        let (sender, receiver) = Handle::spawn(launch, start).unwrap();
        Self::new(sender, receiver, None)
    }

    fn new(
        sender: Sender,
        receiver: Receiver,
        thread: Option<JoinHandle<Result<(), sluicegate_worker::Error>>>,
    ) -> Self {
        let (encoded, sources, layers, warnings) = (vec![], vec![], vec![], vec![]);
        let (failed, exit) = (None, None);
        Self {
            sender,
            receiver,
            encoded,
            sources,
            layers,
            warnings,
            loads: vec![],
            failed,
            ended: false,
            exit,
            thread,
            sent: 0,
        }
    }

    /// Sends a command.
    pub async fn send(&mut self, command: Command) {
        let sending = tokio::time::timeout(PATIENCE, self.sender.send(command));
        sending.await.expect("the worker takes commands").unwrap();
    }

    pub async fn format(&mut self, track: TrackId, format: Format) {
        self.send(Command::Unit(Unit::Format(track, format))).await;
    }

    /// Takes in the next thing that the worker says.
    pub async fn hear(&mut self) {
        let incoming = tokio::time::timeout(PATIENCE, self.receiver.recv()).await;
        match incoming.expect("the worker says something") {
            Incoming::Event(Event::Encoded(encoded)) => self.encoded.push(encoded),
            Incoming::Event(Event::Source(source)) => self.sources.push(source),
            Incoming::Event(Event::Layers(layers)) => self.layers.push(layers),
            Incoming::Event(Event::Warning(warning)) => self.warnings.push(warning),
            Incoming::Event(Event::Failed(why)) => self.failed = Some(why),
            Incoming::Event(Event::Ended) => self.ended = true,
            Incoming::Event(Event::Load(load)) => self.loads.push(load),
            Incoming::Event(Event::Ready | Event::Audio { .. }) => {}
            Incoming::Exit(exit) => self.exit = Some(exit),
        }
    }

    /// Sends packets; before each picture waits until the one [`WINDOW`] before it has come out of all `watched` layers, so that
    /// the test runs as fast as the machine can and no faster.
    pub async fn feed(&mut self, packets: &[Packet], watched: &[Quality]) {
        for packet in packets {
            if packet.kind == Kind::Video {
                while watched.iter().any(|quality| self.sent >= self.count(*quality) + WINDOW) {
                    self.hear().await;
                    assert_eq!((&self.failed, &self.exit), (&None, &None));
                }
                self.sent += 1;
            }
            self.send(Command::Unit(Unit::Packet(packet.clone()))).await;
        }
    }

    /// Sends pictures, each when one of 0.2 s before it, or a later one, has come out of all `watched` layers: for layers
    /// that do not show every picture.
    pub async fn pace(&mut self, packets: &[Packet], watched: &[Quality]) {
        for packet in packets {
            let due = |pts: &MediaTime| *pts + MediaTime::from_millis(200) >= packet.pts;
            let out = |rig: &Rig, quality: &Quality| rig.times(*quality).last().is_some_and(due);
            self.until(|rig| {
                packet.pts <= MediaTime::from_millis(200) || watched.iter().all(|quality| out(rig, quality))
            })
            .await;
            self.send(Command::Unit(Unit::Packet(packet.clone()))).await;
        }
    }

    /// Ends the stream and takes in everything to the exit.
    pub async fn finish(&mut self) {
        self.send(Command::EndOfStream).await;
        while self.exit.is_none() {
            self.hear().await;
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
        assert!(
            self.ended,
            "the end was announced; failed: {:?}, warnings: {:?}",
            self.failed, self.warnings
        );
    }

    pub fn count(&self, quality: Quality) -> usize {
        self.encoded.iter().filter(|frame| frame.output == Output::Video(quality)).count()
    }

    /// Waits until `enough` is true of what has been heard.
    pub async fn until(&mut self, enough: impl Fn(&Rig) -> bool) {
        while !enough(self) {
            self.hear().await;
            assert_eq!(self.exit, None, "the worker ended; failed: {:?}", self.failed);
        }
    }

    pub fn times(&self, quality: Quality) -> Vec<MediaTime> {
        super::look::layer(&self.encoded, quality).iter().map(|frame| frame.pts).collect()
    }
}

/// Packets of two tracks in the order of their decode times.
pub fn interleave(a: &[Packet], b: &[Packet]) -> Vec<Packet> {
    let mut packets = [a, b].concat();
    packets.sort_by_key(|packet| packet.dts);
    packets
}
