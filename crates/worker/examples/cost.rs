//! What a worker costs, beside the same graph in bare GStreamer, in one run:
//!
//! `cargo run --release -p sluicegate-worker --example cost -- CLIP.flv [SECONDS [CASE...]]`
//!
//! The clip (H.264 and AAC) is sent in real time to a restricted worker process with all layers running (case `three`),
//! with HIGH paused (`medium`), with all but LOW paused (`low`), with all paused (`none`), with its sound alone (`sound`);
//! then `gst-launch-1.0` decodes and encodes it as the Go worker does (`bare`). Prints CPU seconds per second and PSS of
//! each, and the steal time of the machine; with `threads` among the cases also what each thread of a worker cost. Run the
//! release build of `sluicegate-worker` first.

use std::{error::Error, fs, path::PathBuf, process::Command as Process, time::Duration};

use media::{Kind, Quality, Unit};
use pipeline::{Audio, Command, Event, Handle, Incoming, Launch, Plan, Start, ladder};
use tokio::time::{Instant, sleep, sleep_until};

mod clip;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Time for start-up and rate control to settle before anything is counted.
const WARM_UP: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Outcome<()> {
    gstreamer::init()?;
    let mut arguments = std::env::args().skip(1);
    let clip = arguments.next().ok_or("usage: cost CLIP.flv [SECONDS]")?;
    let seconds = Duration::from_secs(arguments.next().map_or(Ok(8), |text| text.parse())?);
    let units = clip::read(&clip)?;
    let worker = std::env::current_exe()?.with_file_name("../sluicegate-worker");
    let folder = tempfile::tempdir()?;
    let launch = Launch::new(worker, folder.path().join("registry"));
    launch.build_registry().await?;
    let chosen: Vec<String> = arguments.collect();
    let wanted = |case: &str| {
        let all = chosen.iter().all(|chosen| chosen == THREADS);
        all || chosen.iter().any(|chosen| chosen == case)
    };
    println!("{:<28} {:>9} {:>8} {:>8} {:>7}", "", "CPU s/s", "PSS MiB", "frames/s", "steal");
    for case in CASES {
        if wanted(case.name) {
            let threads = chosen.iter().any(|chosen| chosen == THREADS);
            worker_case(&case, &launch, &units, seconds, threads).await?;
        }
    }
    if wanted("bare") { bare(&clip, seconds).await } else { Ok(()) }
}

/// The word that asks for a table of threads.
const THREADS: &str = "threads";

struct Case {
    name: &'static str,
    title: &'static str,
    paused: &'static [Quality],
    sound_alone: bool,
}

const CASES: [Case; 5] = [
    Case { name: "three", title: "worker, three layers", paused: &[], sound_alone: false },
    Case { name: "medium", title: "worker, HIGH paused", paused: &[Quality::High], sound_alone: false },
    Case {
        name: "low",
        title: "worker, LOW alone",
        paused: &[Quality::High, Quality::Medium],
        sound_alone: false,
    },
    Case { name: "none", title: "worker, all paused", paused: &Quality::ALL, sound_alone: false },
    Case { name: "sound", title: "worker, sound alone", paused: &[], sound_alone: true },
];

async fn worker_case(
    case: &Case,
    launch: &Launch,
    units: &[Unit],
    seconds: Duration,
    threads: bool,
) -> Outcome<()> {
    let video = ladder::preset(ladder::DEFAULT_PRESET).ok_or("no default preset")?;
    let start = Start { plan: Plan { video, audio: Audio::STEREO_96K, encoders: vec![] }, output_from: None };
    let (mut sender, mut receiver) = Handle::spawn(launch, start)?;
    let pid = receiver.pid().ok_or("the worker is gone")?;
    for quality in case.paused {
        sender.send(Command::Pause(*quality)).await?;
    }
    let begin = Instant::now();
    let feed = async {
        for unit in units.iter().filter(|unit| !case.sound_alone || is_sound(unit)) {
            if let Unit::Packet(packet) = unit {
                sleep_until(begin + packet.dts.to_duration()).await;
            }
            sender.send(Command::Unit(unit.clone())).await?;
        }
        std::future::pending::<std::io::Result<()>>().await
    };
    let mut frames = 0_u32;
    let hear = async {
        loop {
            match receiver.recv().await {
                Incoming::Event(Event::Encoded(frame)) if frame.output != media::Output::Audio => frames += 1,
                Incoming::Event(Event::Warning(text) | Event::Failed(text)) => println!("  {text}"),
                Incoming::Event(_) => {}
                Incoming::Exit(exit) => return exit,
            }
        }
    };
    let measure = async {
        let measured = measure(pid, seconds).await?;
        Outcome::Ok((measured, thread_seconds(pid)?))
    };
    let (measured, by_thread) = tokio::select! {
        exit = hear => return Err(format!("the worker ended: {exit}").into()),
        fed = feed => return Err(format!("the worker takes nothing more: {fed:?}").into()),
        measured = measure => measured?,
    };
    let took = begin.elapsed().as_secs_f64();
    measured.print(case.title, f64::from(frames) / took);
    if threads {
        by_thread.iter().for_each(|(name, cpu)| println!("  {name:<26} {:>9.3}", cpu / took));
    }
    Ok(())
}

fn is_sound(unit: &Unit) -> bool {
    match unit {
        Unit::Format(_, format) => format.codec.kind() == Kind::Audio,
        Unit::Packet(packet) => packet.kind == Kind::Audio,
    }
}

/// The Go worker's graph: every layer scaled from the source, all layers always encoded.
async fn bare(clip: &str, seconds: Duration) -> Outcome<()> {
    let mut graph = format!(
        "filesrc location={clip} ! flvdemux name=d d.audio ! queue ! decodebin ! audioconvert ! audioresample ! \
         opusenc bitrate=96000 dtx=true ! fakesink sync=true d.video ! queue ! h264parse ! avdec_h264 ! tee name=t"
    );
    for (width, height, kbps, threads) in [(1280, 720, 1900, 3), (640, 360, 672, 1), (320, 180, 238, 1)] {
        graph += &format!(
            " t. ! queue ! videoconvert ! videoscale ! video/x-raw,format=I420,width={width},height={height} ! \
             x264enc speed-preset=veryfast tune=zerolatency bitrate={kbps} vbv-buf-capacity=1000 \
             threads={threads} ! video/x-h264,profile=baseline ! fakesink sync=true"
        );
    }
    let mut child = Process::new("gst-launch-1.0").arg("-q").args(graph.split_whitespace()).spawn()?;
    let measured = measure(child.id(), seconds).await;
    child.kill()?;
    child.wait()?;
    measured?.print("bare gst-launch graph", f64::NAN);
    Ok(())
}

struct Measured {
    cpu: f64,
    pss_mib: f64,
    steal: f64,
}

impl Measured {
    fn print(&self, name: &str, frames: f64) {
        let Measured { cpu, pss_mib, steal } = self;
        println!("{name:<28} {cpu:>9.3} {pss_mib:>8.1} {frames:>8.1} {:>6.1}%", steal * 100.0);
    }
}

async fn measure(pid: u32, seconds: Duration) -> Outcome<Measured> {
    sleep(WARM_UP).await;
    let (cpu, steal, begin) = (cpu_seconds(pid)?, steal_seconds()?, Instant::now());
    sleep(seconds).await;
    let took = begin.elapsed().as_secs_f64();
    let cpu = (cpu_seconds(pid)? - cpu) / took;
    Ok(Measured { cpu, pss_mib: pss_mib(pid)?, steal: (steal_seconds()? - steal) / took })
}

/// Clock ticks a second of `/proc`, on every Linux that GStreamer runs on.
const TICKS: f64 = 100.0;

fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().ok_or("no stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}

/// What each thread has used since it began, its start-up included; most first.
fn thread_seconds(pid: u32) -> Outcome<Vec<(String, f64)>> {
    let mut threads = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let schedstat = fs::read_to_string(task.join("schedstat"))?;
        let nanos: f64 = schedstat.split_whitespace().next().ok_or("no schedstat")?.parse()?;
        threads.push((fs::read_to_string(task.join("comm"))?.trim().to_owned(), nanos / 1e9));
    }
    threads.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(threads)
}

fn steal_seconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    Ok(stat.split_whitespace().nth(8).ok_or("no steal time")?.parse::<f64>()? / TICKS)
}

fn pss_mib(pid: u32) -> Outcome<f64> {
    let rollup = fs::read_to_string(PathBuf::from(format!("/proc/{pid}/smaps_rollup")))?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).ok_or("no Pss")?;
    Ok(line.split_whitespace().nth(1).ok_or("no Pss")?.parse::<f64>()? / 1024.0)
}
