//! Whether an encoder works on this machine: it is given pictures, asked for a keyframe, and what it makes is looked at.
//!
//! A driver may crash, hang or spoil its process for what comes after it: each trial is a process of its own, restricted as a
//! session's worker, with a deadline.

use std::{
    io,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::UpstreamForceKeyUnitEvent;
use media::{Codec, Ladder, Layer, Quality};
use pipeline::{
    Audio, Picture, Plan,
    encoder::{self, Kind, Recipe},
    trial::{Outcome, PICTURES, Trial},
};

use crate::{
    build::{self, Chain, News},
    plugins::Place,
    track::copy,
};

/// An encoder that needs longer than this for [`PICTURES`] pictures of 640x360, its start included, is no good live, or hangs.
/// Software hangs in nothing but a machine that is busy just now: it gets more, so as not to be missed for good.
const fn deadline(kind: Kind) -> Duration {
    match kind {
        Kind::Hardware => Duration::from_millis(1800),
        Kind::Software => Duration::from_millis(7800),
    }
}

/// What its process gets in addition, to say so itself if it can.
const GRACE: Duration = Duration::from_millis(200);

/// A killed process that does not end within this hangs in its driver, and is left to itself.
const LAST_BREATH: Duration = Duration::from_millis(200);

/// Pictures that an encoder may keep while it waits for more.
const WINDOW: u32 = 2;

/// The picture that is asked to be a keyframe.
const KEY_AT: u32 = 15;

const LAYER: Layer = Layer { quality: Quality::Medium, width: 640, height: 360, bitrate_bps: 672_000 };
const FPS: u32 = 30;

/// Tries every encoder whose element there is. GStreamer must have been started, and nothing more: no driver is touched in
/// this process.
///
/// # Errors
/// The path of this executable is unknown.
pub fn all(place: Place<'_>) -> io::Result<Vec<Trial>> {
    let executable = std::env::current_exe()?;
    let outcome = |recipe: &Recipe| {
        if gst::ElementFactory::find(&recipe.factory).is_none() {
            return Outcome::Missing;
        }
        let mut command = Command::new(&executable);
        command.arg("try-encoder").arg(recipe.name).arg("--registry").arg(place.registry);
        for folder in place.libraries {
            command.arg("--libraries").arg(folder);
        }
        watch(&mut command, deadline(recipe.kind) + GRACE)
    };
    let of_kind = |kind| {
        let recipes = encoder::recipes().iter().filter(move |recipe| recipe.kind == kind);
        let tried = recipes.map(|recipe| Trial { encoder: recipe.name.to_owned(), outcome: outcome(recipe) });
        tried.collect::<Vec<_>>()
    };
    // One of each kind at a time: more would measure each other.
    Ok(std::thread::scope(|scope| {
        let hardware = scope.spawn(|| of_kind(Kind::Hardware));
        let software = of_kind(Kind::Software);
        let mut trials = hardware.join().unwrap_or_default();
        trials.extend(software);
        trials
    }))
}

/// Runs a trial's process, which prints its outcome, to its end or the deadline.
fn watch(command: &mut Command, deadline: Duration) -> Outcome {
    let failed = |why: String| Outcome::Failed { why };
    command.env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("its process: {error}")),
    };
    let answer = read_all(child.stdout.take());
    let said = read_all(child.stderr.take());
    let Ok(answer) = answer.recv_timeout(deadline) else {
        end(&mut child);
        return failed(format!("hangs: no answer after {} s", deadline.as_secs_f32()));
    };
    match serde_json::from_slice(&answer) {
        Ok(outcome) => {
            end(&mut child);
            outcome
        }
        Err(_) => {
            let status = end(&mut child).map_or("it does not end".to_owned(), |status| status.to_string());
            let said = said.recv_timeout(LAST_BREATH).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            failed(
                format!("its process died ({status}) {}", said.lines().next_back().unwrap_or(""))
                    .trim_end()
                    .to_owned(),
            )
        }
    }
}

/// All that a pipe gives, read on a thread that ends with it.
fn read_all(pipe: Option<impl io::Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is still of use.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody waits any more past the deadline.
        let _ = sender.send(bytes);
    });
    receiver
}

/// Reaps the process, which has closed its output or is late, and kills it if it is still there shortly after.
fn end(child: &mut Child) -> Option<std::process::ExitStatus> {
    for kill in [false, true] {
        if kill {
            // An error means that it is gone.
            let _ = child.kill();
        }
        let begin = Instant::now();
        while begin.elapsed() < LAST_BREATH {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    None
}

/// Tries one encoder in this process.
pub fn one(recipe: &Recipe) -> Outcome {
    match encode(recipe) {
        Ok(made) => made,
        Err(why) => Outcome::Failed { why },
    }
}

/// What an encoder made, in its order.
struct Made {
    keyframe: bool,
    data: bytes::Bytes,
}

fn encode(recipe: &Recipe) -> Result<Outcome, String> {
    let begin = Instant::now();
    let until = begin + deadline(recipe.kind);
    let (chain, out, made) = start(recipe)?;
    let mut come: Vec<Made> = Vec::new();
    let mut first = None;
    for number in 0..PICTURES {
        if number == KEY_AT {
            let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
            out.static_pad("src").ok_or("no output pad")?.send_event(event);
        }
        let mut buffer = gst::Buffer::from_mut_slice(picture(number));
        let time = gst::ClockTime::SECOND * u64::from(number) / u64::from(FPS);
        buffer.get_mut().ok_or("no buffer")?.set_pts(gst::ClockTime::from_seconds(3600) + time);
        chain.source.push_buffer(buffer).map_err(|error| failure(&chain, &error.to_string()))?;
        while number >= WINDOW + u32::try_from(come.len()).unwrap_or(u32::MAX) {
            come.push(next(&chain, &made, until, come.len())?);
        }
        if first.is_none() && !come.is_empty() {
            first = Some(begin.elapsed());
        }
    }
    chain.source.end_of_stream().map_err(|error| failure(&chain, &error.to_string()))?;
    while come.len() < PICTURES as usize {
        come.push(next(&chain, &made, until, come.len())?);
    }
    let (start, whole) = (first.unwrap_or_default().as_secs_f64(), begin.elapsed().as_secs_f64());
    look(recipe.codec, &come)?;
    let picture_ms = (whole - start) * 1e3 / f64::from(PICTURES - 1);
    Ok(Outcome::Works { start_ms: rounded(start * 1e3), picture_ms: rounded(picture_ms) })
}

/// A hundredth is more than the clock is good for.
fn rounded(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}

type Running = (Chain, gst::Element, mpsc::Receiver<Made>);

/// The chain that a session would have, its last element, and what comes out of it.
fn start(recipe: &Recipe) -> Result<Running, String> {
    let text = |error: build::Error| error.to_string();
    let video = Ladder { codec: recipe.codec, layers: vec![LAYER], max_fps_milli: FPS * 1000 };
    let plan = Plan { video, audio: Audio::STEREO_96K, encoders: vec![recipe.name.to_owned()] };
    let picture = Picture { width: LAYER.width, height: LAYER.height, par: (1, 1), fps_milli: FPS * 1000 };
    let elements = plan.encode(recipe.name, &LAYER, &picture, 1, 0).ok_or("it takes no 640x360")?;
    let chain = Chain::new(media::Kind::Video).map_err(text)?;
    let out = chain.append(chain.source.upcast_ref(), &elements).map_err(text)?;
    let (sender, made) = mpsc::channel();
    let take = move |sample: gst::Sample| {
        let keyframe = sample.buffer().is_some_and(|b| !b.flags().contains(gst::BufferFlags::DELTA_UNIT));
        if let Some(data) = copy(&sample) {
            // Past the trial's end nobody looks.
            let _ = sender.send(Made { keyframe, data });
        }
    };
    chain.sink(&out, take).map_err(text)?;
    let Layer { width, height, .. } = LAYER;
    let caps = format!(
        "video/x-raw, format=I420, width={width}, height={height}, framerate={FPS}/1, pixel-aspect-ratio=1/1, \
         interlace-mode=progressive"
    );
    chain.source.set_caps(Some(&build::caps(&caps).map_err(text)?));
    chain.play().map_err(|error| failure(&chain, &error.to_string()))?;
    Ok((chain, out, made))
}

/// What the chain's bus says went wrong, else `otherwise`.
fn failure(chain: &Chain, otherwise: &str) -> String {
    match chain.news() {
        Some(News::Failed(why)) => why,
        _ => otherwise.to_owned(),
    }
}

/// The next picture that comes out.
fn next(chain: &Chain, made: &mpsc::Receiver<Made>, until: Instant, so_far: usize) -> Result<Made, String> {
    /// How often the bus is looked at meanwhile.
    const LOOK: Duration = Duration::from_millis(20);
    loop {
        match made.recv_timeout(LOOK) {
            Ok(made) => return Ok(made),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(failure(chain, "its chain ended")),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        match chain.news() {
            Some(News::Failed(why)) => return Err(why),
            Some(News::EndOfStream) if made.try_recv().is_err() => {
                return Err(format!("made {so_far} pictures of {PICTURES}"));
            }
            _ => {}
        }
        if Instant::now() > until {
            return Err(format!(
                "too slow: made {so_far} pictures in time, and may keep {WINDOW} while it waits for more"
            ));
        }
    }
}

/// Whether receivers can use what was made.
fn look(codec: Codec, made: &[Made]) -> Result<(), String> {
    let keys: Vec<u32> = (0..).zip(made).filter(|(_, made)| made.keyframe).map(|(at, _)| at).collect();
    if keys.first() != Some(&0) {
        return Err("its first picture is no keyframe".to_owned());
    }
    if !keys.iter().any(|at| (KEY_AT - WINDOW..=KEY_AT + 1).contains(at)) {
        return Err(format!("gives no keyframe on request: asked at picture {KEY_AT}, came at {keys:?}"));
    }
    for key in made.iter().filter(|made| made.keyframe) {
        match codec {
            Codec::H264 => constrained_baseline(&key.data)?,
            Codec::Vp8 if key.data.get(3..6) != Some(&[0x9d, 0x01, 0x2a]) => {
                return Err("its keyframe has no VP8 start code (RFC 6386 §9.1)".to_owned());
            }
            _ => {}
        }
    }
    Ok(())
}

/// A keyframe in Annex B must carry a sequence parameter set of `profile_idc` 66 with `constraint_set1_flag`
/// (ITU-T H.264 §A.2.1.1).
fn constrained_baseline(access_unit: &[u8]) -> Result<(), String> {
    let is_sps = |bytes: &[u8]| bytes.starts_with(&[0, 0, 1]) && bytes[3] & 0x1f == 7;
    let Some(sps) = access_unit.windows(6).find(|bytes| is_sps(bytes)) else {
        return Err("its keyframe has no sequence parameter set in Annex B".to_owned());
    };
    let (profile, constraints) = (sps[4], sps[5]);
    if profile != 66 || constraints & 0x40 == 0 {
        return Err(format!("makes profile {profile} (flags {constraints:#04x}), not constrained baseline"));
    }
    Ok(())
}

/// A picture that moves, with edges and some noise: neither free nor impossible to encode. I420, rows not padded.
fn picture(number: u32) -> Vec<u8> {
    let Layer { width, height, .. } = LAYER;
    let mut noise = number.wrapping_mul(0x9e37_79b9) | 1;
    let luma = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let square = ((x + number * 4) / 32 + (y + number * 2) / 32) % 2;
        (48 + square * 96 + x / 16 + noise % 8) as u8
    });
    let mut bytes: Vec<u8> = luma.collect();
    bytes.resize((width * height * 3 / 2) as usize, 128);
    bytes
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
