//! The worker as the server runs it: a process of its own, restricted, alone.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::{path::PathBuf, process::Stdio, sync::OnceLock, time::Duration};

use media::Quality;
use pipeline::{Command, Exit, Incoming, Launch, trial::Outcome};

mod support;
use support::{
    generate::{self, AUDIO, Clip, VIDEO},
    look,
    rig::{BOTH, Rig, interleave, plan, start},
};

const DEFAULT: &str = pipeline::ladder::DEFAULT_PRESET;
const SMALL: Clip = Clip { width: 640, height: 360, frames: 45, ..Clip::HD };
const WORKER: &str = env!("CARGO_BIN_EXE_sluicegate-worker");

/// A launch with its registry, built once for all tests.
async fn launch() -> Launch {
    static REGISTRY: OnceLock<PathBuf> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("registry-{}", std::process::id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let launch = Launch::new(WORKER, &path);
        std::thread::spawn(move || runtime.block_on(launch.build_registry())).join().unwrap().unwrap();
        path
    });
    Launch { fatal_criticals: true, ..Launch::new(WORKER, registry) }
}

async fn exit_of(rig: Rig) -> Exit {
    let Rig { mut receiver, sender: _sender, .. } = rig;
    let exit = async {
        loop {
            if let Incoming::Exit(exit) = receiver.recv().await {
                return exit;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), exit).await.expect("the worker ends")
}

#[tokio::test]
async fn a_restricted_process_transcodes_and_exits_by_itself() {
    let (h264, pictures) = SMALL.encode();
    let (aac, sound) = generate::aac(70, 0, false);
    let mut rig = Rig::process(&launch().await, start(plan(DEFAULT)));
    rig.format(VIDEO, h264).await;
    rig.format(AUDIO, aac).await;
    rig.feed(&interleave(&pictures, &sound), BOTH).await;
    rig.finish().await;
    assert_eq!(rig.exit, Some(Exit::Code(0)));
    for quality in [Quality::Medium, Quality::High] {
        let seen = look::decode(&look::layer(&rig.encoded, quality), look::H264);
        assert!(seen.iter().enumerate().all(|(n, seen)| seen.counter == n));
        assert_eq!(seen.len(), SMALL.frames);
    }
    assert!(look::sound(&rig.encoded).len() >= 70);
}

#[tokio::test]
async fn garbage_in_every_packet_ends_no_worker() {
    let (format, mut packets) = Clip { b_frames: 0, ..SMALL }.encode();
    let (aac, mut sound) = generate::aac(70, 0, false);
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    for packet in packets.iter_mut().take(30).chain(sound.iter_mut().take(40)) {
        let mut data = packet.data.to_vec();
        for byte in data.iter_mut().skip(4) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            *byte = noise as u8;
        }
        packet.data = data.into();
    }
    let mut rig = Rig::process(&launch().await, start(plan(DEFAULT)));
    rig.format(VIDEO, format).await;
    rig.format(AUDIO, aac).await;
    for packet in interleave(&packets, &sound) {
        rig.send(Command::Unit(media::Unit::Packet(packet))).await;
    }
    // The second keyframe, at 30, is whole.
    rig.until(|rig| rig.times(Quality::Medium).last().is_some_and(|pts| *pts >= SMALL.pts(40))).await;
    rig.finish().await;
    assert_eq!((rig.failed, rig.exit), (None, Some(Exit::Code(0))));
}

#[tokio::test]
async fn a_killed_worker_is_reaped_and_says_how_it_died() {
    let (h264, pictures) = SMALL.encode();
    let mut rig = Rig::process(&launch().await, start(plan(DEFAULT)));
    rig.format(VIDEO, h264).await;
    rig.feed(&pictures, BOTH).await;
    let pid = rig.receiver.pid().expect("it runs");
    rig.receiver.kill();
    assert_eq!(exit_of(rig).await, Exit::Signal(9));
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "reaped");
}

#[tokio::test]
async fn a_worker_ends_when_its_socket_closes() {
    let rig = Rig::process(&launch().await, start(plan(DEFAULT)));
    let pid = rig.receiver.pid().expect("it runs");
    let Rig { sender, mut receiver, .. } = rig;
    drop(sender);
    let exit = async {
        loop {
            if let Incoming::Exit(exit) = receiver.recv().await {
                return exit;
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), exit).await.unwrap(), Exit::Code(1));
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn a_worker_that_is_not_there_is_an_error_with_its_path() {
    let launch = Launch::new("/nonexistent/worker", "/nonexistent/registry");
    let error = pipeline::Handle::spawn(&launch, start(plan(DEFAULT))).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/worker"), "{error}");
    assert!(launch.build_registry().await.is_err());
}

#[tokio::test]
async fn a_registry_that_cannot_be_written_is_an_error() {
    let error = Launch::new(WORKER, "/proc/registry").build_registry().await.unwrap_err().to_string();
    assert!(error.contains("/proc/registry"), "{error}");
}

/// What a restricted process could do, with more arguments.
async fn probe(arguments: &[&str]) -> serde_json::Value {
    let launch = launch().await;
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let probe = tokio::process::Command::new(&launch.worker)
        .arg("probe")
        .arg("--registry")
        .arg(&launch.registry)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap();
    serde_json::from_slice(&probe.stdout).expect("JSON")
}

fn lacks_landlock(report: &serde_json::Value) -> bool {
    report["missing"].as_array().unwrap().iter().any(|m| m.to_string().contains("not in"))
}

#[tokio::test]
async fn a_restricted_process_can_do_nothing_but_its_work() {
    let report = probe(&[]).await;
    let outcome = |what: &str| report["attempts"][what].as_str().unwrap_or("not tried").to_owned();
    for what in ["socket_inet", "socket_inet6", "socket_unix", "socket_netlink"] {
        assert_eq!(outcome(what), "EPERM", "{what}");
    }
    assert_eq!(outcome("create_in_tmp"), "EPERM");
    assert_eq!(outcome("write_to_registry"), "EPERM");
    assert_eq!(outcome("fork_and_exec"), "EPERM");
    assert_eq!(outcome("signal_parent"), "EPERM");
    // Landlock's part: a kernel without it says so, and then this file can be read.
    assert_eq!(outcome("read_passwd"), if lacks_landlock(&report) { "done" } else { "EACCES" });
    assert_eq!((outcome("read_libraries"), outcome("start_thread")), ("done".into(), "done".into()));
    assert_eq!(report["environment"], serde_json::json!([]));
    let descriptors = report["descriptors"].as_object().unwrap();
    assert!(descriptors["0"].as_str().unwrap().starts_with("socket:"));
    let others: Vec<_> = descriptors.keys().filter(|fd| !["0", "1", "2"].contains(&fd.as_str())).collect();
    // The one that lists them.
    assert!(others.len() <= 1, "{descriptors:?}");
}

#[tokio::test]
async fn a_process_with_devices_may_open_those_and_write_nothing_else() {
    for device in ["render", "nvidia", "video"] {
        let report = probe(&["--device", device]).await;
        let outcome = |what: &str| report["attempts"][what].as_str().unwrap_or("not tried").to_owned();
        // Landlock refuses what the filter of system calls lets pass; without it the filter refuses.
        let refused = if lacks_landlock(&report) { "EPERM" } else { "EACCES" };
        assert_eq!(outcome("write_to_registry"), refused);
        assert_eq!(outcome("create_in_tmp"), "EPERM");
        for what in ["socket_inet", "socket_inet6", "socket_unix", "socket_netlink"] {
            assert_eq!(outcome(what), "EPERM", "{what}");
        }
        assert_eq!((outcome("fork_and_exec"), outcome("signal_parent")), ("EPERM".into(), "EPERM".into()));
        assert_eq!(outcome("read_passwd"), if lacks_landlock(&report) { "done" } else { "EACCES" });
    }
}

#[tokio::test]
async fn every_encoder_is_tried_as_a_session_would_have_it() {
    let trials = launch().await.try_encoders().await.unwrap();
    let tried: Vec<&str> = trials.iter().map(|trial| trial.encoder.as_str()).collect();
    let known: Vec<&str> = pipeline::encoder::recipes().iter().map(|recipe| recipe.name).collect();
    assert_eq!(tried, known, "best first");
    for name in ["x264", "openh264", "vp8"] {
        let trial = trials.iter().find(|trial| trial.encoder == name).unwrap();
        assert!(matches!(trial.outcome, Outcome::Works { .. }), "{trial:?}");
    }
}

#[tokio::test]
async fn a_worker_that_cannot_try_encoders_is_an_error() {
    let error = Launch::new("/bin/false", "/nonexistent").try_encoders().await.unwrap_err().to_string();
    assert!(error.contains("exit status: 1"), "{error}");
}
