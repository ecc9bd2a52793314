//! A WHIP publisher that encodes nothing, to measure with: plays H.264 files (Annex B with access unit delimiters) in a loop,
//! one for each simulcast layer, lowest first, beside a silent Opus track.
//!
//! ```text
//! cargo run --release -p sluicegate-rtc --example push_whip -- http://127.0.0.1:8080/w KEY 30 low.h264 medium.h264 high.h264
//! ```
//!
//! `--silent` before the files leaves the sound out.
//!
//! Lines on standard output: `{"e": "started", "t": epoch}` when media flows, then
//! `{"e": "sent", "t": epoch, "n": 7, "at": epoch}` for each picture as it leaves. Ends with standard input, taking its leave. Servers on loopback only.
#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::{
    env,
    error::Error,
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use media::{Codec, Encoded, Layer, MediaTime, Output, Quality};
use sluicegate_rtc::room::{Config, Epoch, Protocol, Room};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SOUND: Duration = Duration::from_millis(20);
/// An Opus packet of 20 ms of silence.
const SILENCE: &[u8] = &[0xfc, 0xff, 0xfe];

struct Tape {
    quality: Quality,
    pictures: Vec<(bool, Bytes)>,
}

impl Tape {
    fn read(quality: Quality, path: &str) -> Outcome<Self> {
        let data = fs::read(path)?;
        let starts: Vec<usize> = (0..data.len().saturating_sub(5))
            .filter(|at| data[*at..].starts_with(&[0, 0, 0, 1]) && data[at + 4] & 0x1f == 9)
            .collect();
        let ends = starts.iter().skip(1).copied().chain([data.len()]);
        let picture = |(from, to): (usize, usize)| {
            let unit = &data[from..to];
            let key = unit.windows(5).any(|w| w[..3] == [0, 0, 1] && matches!(w[3] & 0x1f, 5 | 7));
            (key, Bytes::copy_from_slice(unit))
        };
        let pictures: Vec<_> = starts.iter().copied().zip(ends).map(picture).collect();
        if pictures.is_empty() {
            return Err(format!("{path} has no access unit delimiters").into());
        }
        Ok(Self { quality, pictures })
    }
}

fn request(url: &str, method: &str, key: &str, body: &str) -> Outcome<(String, String)> {
    let (host, path) = url.trim_start_matches("http://").split_once('/').ok_or("a URL with a path")?;
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    if !head.starts_with("HTTP/1.1 20") {
        return Err(format!("{method}: {} {body}", head.lines().next().unwrap_or_default()).into());
    }
    Ok((head.to_owned(), body.to_owned()))
}

fn epoch() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn say(event: &str, more: &str) {
    println!("{{\"e\": \"{event}\", \"t\": {:.6}{more}}}", epoch());
}

struct Push {
    room: Room,
    socket: UdpSocket,
    tapes: Vec<Tape>,
    frame: Duration,
    began: Option<Instant>,
    with_sound: bool,
    pictures: u32,
    sounds: u32,
}

impl Push {
    fn step(&mut self) -> Outcome<()> {
        let now = Instant::now();
        self.room.handle_timeout(now)?;
        while let Some(event) = self.room.poll_event(now) {
            if event == sluicegate_rtc::room::Event::Connected {
                self.began = Some(now);
                say("started", "");
            }
        }
        let mut next = self.room.timeout();
        if let Some(began) = self.began {
            next = next.min(self.play(now, began)?);
        }
        while let Some(datagram) = self.room.poll_transmit(now) {
            self.socket.send_to(&datagram.contents, datagram.destination)?;
        }
        let wait = next.min(self.room.timeout()).saturating_duration_since(Instant::now());
        self.socket.set_read_timeout(Some(wait.clamp(Duration::from_millis(1), SOUND)))?;
        let mut buffer = [0; 2048];
        match self.socket.recv_from(&mut buffer) {
            Ok((count, from)) => {
                let to = self.socket.local_addr()?;
                self.room.handle_datagram(Instant::now(), Protocol::Udp, from, to, &buffer[..count])?;
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what is due; when the next is.
    fn play(&mut self, now: Instant, began: Instant) -> Outcome<Instant> {
        while self.with_sound && began + SOUND * self.sounds <= now {
            let pts = MediaTime::from_duration(SOUND * self.sounds);
            let data = Bytes::from_static(SILENCE);
            self.room.write(now, &Encoded { output: Output::Audio, pts, keyframe: true, data })?;
            self.sounds += 1;
        }
        while began + self.frame * self.pictures <= now {
            let pts = MediaTime::from_duration(self.frame * self.pictures);
            let (mut number, at) = (0, epoch());
            for tape in &self.tapes {
                number = self.pictures as usize % tape.pictures.len();
                let (keyframe, data) = tape.pictures[number].clone();
                self.room
                    .write(now, &Encoded { output: Output::Video(tape.quality), pts, keyframe, data })?;
            }
            say("sent", &format!(", \"n\": {number}, \"at\": {at:.6}"));
            self.pictures += 1;
        }
        let next = began + self.frame * self.pictures;
        Ok(if self.with_sound { next.min(began + SOUND * self.sounds) } else { next })
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, key, fps, files @ ..] = arguments.as_slice() else {
        return Err("usage: push_whip URL KEY FPS [--silent] FILE...".into());
    };
    // A receiver holds pictures back for the sound that belongs to them: without any, the way itself is measured.
    let silent = files.first().is_some_and(|file| file == "--silent");
    let files = &files[usize::from(silent)..];
    let qualities = Quality::ALL.into_iter().skip(3 - files.len().min(3));
    let tapes = qualities.zip(files).map(|(quality, file)| Tape::read(quality, file));
    let tapes = tapes.collect::<Outcome<Vec<_>>>()?;
    let now = Instant::now();
    let config = Config { video: Codec::H264, red: false, forward: false };
    let mut room = Room::new(now, config, Epoch::default())?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    room.add_local_udp(now, socket.local_addr()?)?;
    let layer = |tape: &Tape| Layer { quality: tape.quality, width: 2, height: 2, bitrate_bps: 5_000_000 };
    room.add_video(&tapes.iter().map(layer).collect::<Vec<_>>(), "stream", "picture")?;
    if !silent {
        room.add_audio("stream", "sound")?;
    }
    let offer = room.offer(now)?.ok_or("no offer")?;
    let (head, answer) = request(url, "POST", key, &offer)?;
    room.answer(Instant::now(), &answer)?;
    let location = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("location").then(|| value.to_owned())
    });
    let over = Arc::new(AtomicBool::new(false));
    let ends = over.clone();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        ends.store(true, Ordering::Relaxed);
    });
    let frame = Duration::from_secs_f64(1.0 / fps.parse::<f64>()?);
    let mut push =
        Push { room, socket, tapes, frame, began: None, with_sound: !silent, pictures: 0, sounds: 0 };
    while !over.load(Ordering::Relaxed) {
        push.step()?;
    }
    let (host, _) = url.trim_start_matches("http://").split_once('/').ok_or("a URL with a path")?;
    request(&format!("http://{host}{}", location.ok_or("no Location")?), "DELETE", key, "")?;
    Ok(())
}
