//! A publisher: a room that sends, its sockets and its clock.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::Bytes;
use media::{Codec, Encoded, Layer, MediaTime, Output, Quality};
use rtc::room::{self, Epoch, Protocol, Room};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    task::JoinHandle,
    time::sleep_until,
};

const SOUND: Duration = Duration::from_millis(20);

pub struct Encoder {
    pub room: Room,
    udp: Option<UdpSocket>,
    tcp: Option<TcpStream>,
    local: SocketAddr,
    layers: usize,
    pending: Vec<u8>,
}

/// A publisher's task. Dropping it lets the publisher vanish.
pub struct Running {
    task: JoinHandle<()>,
    commands: mpsc::Sender<Command>,
    /// Of which the server wanted a keyframe.
    pub wanted: mpsc::Receiver<Quality>,
    pub local: SocketAddr,
}

enum Command {
    Close,
    /// The room's new offer goes back.
    Restart(tokio::sync::oneshot::Sender<String>),
    Answer(String),
    /// Leaves from the publisher's own socket.
    Junk(SocketAddr, Vec<u8>),
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Says goodbye (DTLS).
    pub async fn close(&self) {
        self.commands.send(Command::Close).await.unwrap();
    }

    pub async fn restart(&self) -> String {
        let (offer, offered) = tokio::sync::oneshot::channel();
        self.commands.send(Command::Restart(offer)).await.unwrap();
        offered.await.unwrap()
    }

    pub async fn junk(&self, to: SocketAddr, bytes: Vec<u8>) {
        self.commands.send(Command::Junk(to, bytes)).await.unwrap();
    }

    pub async fn answer(&self, sdp: String) {
        self.commands.send(Command::Answer(sdp)).await.unwrap();
    }
}

fn layers(count: usize) -> Vec<Layer> {
    let all = [(Quality::Low, 320), (Quality::Medium, 640), (Quality::High, 1280)];
    let layer = |(quality, width)| Layer { quality, width, height: width / 2, bitrate_bps: 500_000 };
    all.into_iter().skip(3 - count).map(layer).collect()
}

impl Encoder {
    fn new(local: SocketAddr, count: usize) -> Self {
        let config = room::Config { video: Codec::H264, red: false, forward: false };
        let mut room = Room::new(Instant::now(), config, Epoch::default()).unwrap();
        room.add_video(&layers(count), "stream", "picture").unwrap();
        room.add_audio("stream", "sound").unwrap();
        Self { room, udp: None, tcp: None, local, layers: count, pending: Vec::new() }
    }

    pub async fn udp(ip: IpAddr, layers: usize) -> Self {
        let udp = UdpSocket::bind((ip, 0)).await.unwrap();
        let mut encoder = Self::new(udp.local_addr().unwrap(), layers);
        encoder.room.add_local_udp(Instant::now(), encoder.local).unwrap();
        encoder.udp = Some(udp);
        encoder
    }

    /// Over TCP only, to be connected to what the answer names.
    pub async fn tcp(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut encoder = Self::new(stream.local_addr().unwrap(), 1);
        encoder.room.add_local_tcp(Instant::now(), encoder.local).unwrap();
        encoder.tcp = Some(stream);
        encoder
    }

    pub fn offer(&mut self) -> String {
        self.room.offer(Instant::now()).unwrap().unwrap()
    }

    pub fn answer(&mut self, sdp: &str) {
        self.room.answer(Instant::now(), sdp).unwrap();
    }

    /// Connects, and sends sound and pictures in real time.
    pub fn run(self) -> Running {
        let (commands, receiver) = mpsc::channel(8);
        let (wanted, wants) = mpsc::channel(64);
        let local = self.local;
        let task = tokio::spawn(self.drive(receiver, wanted));
        Running { task, commands, wanted: wants, local }
    }

    async fn drive(mut self, mut commands: mpsc::Receiver<Command>, wanted: mpsc::Sender<Quality>) {
        let (start, mut ticks, mut closed) = (Instant::now(), 0_u32, false);
        let (mut buffer, mut tcp) = (vec![0; 2048], vec![0; 4096]);
        loop {
            let now = Instant::now();
            self.room.handle_timeout(now).unwrap();
            if !closed && now >= start + SOUND * ticks {
                self.play(now, ticks);
                ticks += 1;
            }
            while let Some(event) = self.room.poll_event(now) {
                if let room::Event::KeyframeNeeded(quality) = event {
                    wanted.try_send(quality).ok();
                }
            }
            self.transmit(now).await;
            // Past the goodbye only what waits is sent.
            let tick = if closed { now + SOUND } else { start + SOUND * ticks };
            let due = self.room.timeout().min(tick);
            tokio::select! {
                Some(command) = commands.recv() => closed |= self.obey(command),
                (len, from) = recv_udp(self.udp.as_ref(), &mut buffer) => {
                    self.room.handle_datagram(Instant::now(), Protocol::Udp, from, self.local, &buffer[..len]).unwrap();
                }
                len = recv_tcp(self.tcp.as_mut(), &mut tcp) => self.take_tcp(&tcp[..len]),
                () = sleep_until(due.into()) => {}
            }
        }
    }

    /// True when it was the last one.
    fn obey(&mut self, command: Command) -> bool {
        let last = matches!(command, Command::Close);
        match command {
            Command::Close => self.room.close(Instant::now()),
            Command::Restart(offer) => {
                offer.send(self.room.restart_ice(Instant::now()).unwrap().unwrap()).unwrap();
            }
            Command::Answer(sdp) => self.answer(&sdp),
            Command::Junk(to, bytes) => drop(self.udp.as_ref().unwrap().try_send_to(&bytes, to)),
        }
        last
    }

    async fn transmit(&mut self, now: Instant) {
        while let Some(datagram) = self.room.poll_transmit(now) {
            match (&self.udp, &mut self.tcp) {
                (Some(udp), _) => drop(udp.send_to(&datagram.contents, datagram.destination).await),
                (_, Some(tcp)) => {
                    let length = (datagram.contents.len() as u16).to_be_bytes();
                    // The server may have closed: the test says whether that is right.
                    let _ = tcp.write_all(&[&length[..], &datagram.contents].concat()).await;
                }
                _ => {}
            }
        }
    }

    fn take_tcp(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
        let from = self.tcp.as_ref().unwrap().peer_addr().unwrap();
        while let Some((head, rest)) = self.pending.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*head));
            let Some(datagram) = rest.get(..length) else { return };
            self.room.handle_datagram(Instant::now(), Protocol::Tcp, from, self.local, datagram).unwrap();
            self.pending.drain(..2 + length);
        }
    }

    fn play(&mut self, now: Instant, ticks: u32) {
        let pts = MediaTime::from_millis(i64::from(ticks) * 20);
        let mut write = |output, keyframe, data: Vec<u8>| {
            let frame = Encoded { output, pts, keyframe, data: Bytes::from(data) };
            self.room.write(now, &frame).unwrap();
        };
        write(Output::Audio, true, vec![0xfc, 0xff, 0xfe]);
        if ticks.is_multiple_of(2) {
            let keyframe = ticks.is_multiple_of(20);
            for quality in Quality::ALL.into_iter().skip(3 - self.layers) {
                write(Output::Video(quality), keyframe, picture(keyframe));
            }
        }
    }
}

async fn recv_udp(udp: Option<&UdpSocket>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    match udp {
        Some(udp) => udp.recv_from(buffer).await.unwrap(),
        None => std::future::pending().await,
    }
}

async fn recv_tcp(tcp: Option<&mut TcpStream>, buffer: &mut [u8]) -> usize {
    match tcp {
        Some(tcp) => match tcp.read(buffer).await.unwrap_or(0) {
            0 => std::future::pending().await,
            len => len,
        },
        None => std::future::pending().await,
    }
}

/// Annex B: with parameter sets a keyframe; more than one packet long.
fn picture(keyframe: bool) -> Vec<u8> {
    let start = [0, 0, 0, 1];
    let slice = |kind: u8| [&start[..], &[kind], &[0x5a; 3000]].concat();
    if keyframe {
        let sets = [&start[..], &[0x67, 0x42, 0xe0, 0x1f, 1], &start, &[0x68, 0xce, 6]].concat();
        [sets, slice(0x65)].concat()
    } else {
        slice(0x41)
    }
}
