//! What a worker makes of a clip, one file a layer, to look at with other tools:
//!
//! `cargo run --release -p sluicegate-worker --example dump -- CLIP.flv FOLDER`
//!
//! The clip (H.264 and AAC) is sent in real time to a restricted worker process with the default preset; FOLDER gets
//! `low.h264`, `medium.h264` and `high.h264`, each an Annex B stream with all its frames. Build `sluicegate-worker` first.

use std::{error::Error, fs::File, io::Write, path::Path};

use media::{Output, Quality, Unit};
use pipeline::{Audio, Command, Event, Handle, Incoming, Launch, Plan, Start, ladder};
use tokio::time::{Instant, sleep_until};

mod clip;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    gstreamer::init()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, into] = arguments.as_slice() else { return Err("usage: dump CLIP.flv FOLDER".into()) };
    let units = clip::read(source)?;
    let into = Path::new(into);
    let create = |name: &str| File::create(into.join(name).with_extension("h264"));
    let mut files = [create("low")?, create("medium")?, create("high")?];

    let worker = std::env::current_exe()?.with_file_name("../sluicegate-worker");
    let folder = tempfile::tempdir()?;
    let launch = Launch::new(worker, folder.path().join("registry"));
    launch.build_registry().await?;
    let video = ladder::preset(ladder::DEFAULT_PRESET).ok_or("no default preset")?;
    let start = Start { plan: Plan { video, audio: Audio::STEREO_96K, encoders: vec![] }, output_from: None };
    let (mut sender, mut receiver) = Handle::spawn(&launch, start)?;

    let begin = Instant::now();
    let feed = async {
        for unit in units {
            if let Unit::Packet(packet) = &unit {
                sleep_until(begin + packet.dts.to_duration()).await;
            }
            sender.send(Command::Unit(unit)).await?;
        }
        sender.send(Command::EndOfStream).await
    };
    let hear = async {
        loop {
            match receiver.recv().await {
                Incoming::Event(Event::Encoded(frame)) => {
                    if let Output::Video(quality) = frame.output {
                        files[number(quality)].write_all(&frame.data)?;
                    }
                }
                Incoming::Event(Event::Ended) => return Outcome::Ok(()),
                Incoming::Event(Event::Warning(text)) => eprintln!("warning: {text}"),
                Incoming::Event(Event::Failed(text)) => return Err(text.into()),
                Incoming::Event(_) => {}
                Incoming::Exit(exit) => return Err(format!("the worker ended: {exit}").into()),
            }
        }
    };
    let (fed, heard) = tokio::join!(feed, hear);
    fed?;
    heard
}

fn number(quality: Quality) -> usize {
    match quality {
        Quality::Low => 0,
        Quality::Medium => 1,
        Quality::High => 2,
    }
}
