use std::{net::SocketAddr, time::Duration};

use media::RtpPacket;
use str0m::net::Protocol;

/// An address of ours as the publisher is told it. Datagrams come to it and leave from it; where it really is bound is the
/// caller's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// UDP, or TCP for a listener (RFC 6544, passive).
    pub protocol: Protocol,
    /// IP address and port.
    pub address: SocketAddr,
}

/// What becomes of the publisher's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// They are given on as they came, each at once ([`Event::Packet`]).
    #[default]
    Packets,
    /// They are put in order and together into pictures ([`Event::Frame`]), for somebody who decodes them.
    Frames,
}

/// How publishers are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Config {
    /// What comes out.
    pub mode: Mode,
    /// Only answer connectivity checks (RFC 8445 section 2.5). A publisher that has no candidates, and trickles none, gets that anyway.
    pub ice_lite: bool,
}

/// Where a packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Track {
    /// Sound.
    Audio,
    /// A picture layer, by its place in the offer (`Video::layers`); 0 where there is one only.
    Video(usize),
}

/// What happened on the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// ICE and DTLS are up.
    Connected,
    /// Nothing came for 6 s (`false`), or something came again (`true`).
    Path(bool),
    /// The publisher closed the connection.
    Closed,
    /// [`Mode::Packets`]: an RTP packet as the publisher cut it. Resent ones come late, with their own number.
    /// `captured` counts from the answer, on one clock for sound and pictures.
    Packet(Track, RtpPacket),
    /// [`Mode::Frames`]: a picture or a sound frame, in order. After a loss nothing of a layer comes until its next keyframe.
    /// Both times are the time of capture, which counts from the answer, on one clock for sound and pictures.
    Frame(Track, media::Packet),
    /// How well a track is received, about every 2 s while it comes.
    Stats(Stats),
}

/// What was received of a track since the connection began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// The track.
    pub track: Track,
    /// Packets.
    pub packets: u64,
    /// Bytes in them, without headers.
    pub bytes: u64,
    /// Packets that did not come, nor again when they were asked for.
    pub lost: u64,
    /// There and back, as the last connectivity check of ours took it; `None` with ICE lite, which makes none.
    pub rtt: Option<Duration>,
}

/// What a PATCH did (RFC 9725 section 4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patched {
    /// Candidates were added.
    Trickled,
    /// ICE begins anew: this fragment goes back.
    Restarted(String),
}
