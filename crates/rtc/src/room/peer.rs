use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use media::{Codec, Encoded, Kind, Layer, MediaTime, Output, Quality};
use str0m::{
    Candidate, IceConnectionState, Input, Rtc,
    change::{SdpAnswer, SdpPendingOffer},
    media::{Frequency, KeyframeRequest, Pt},
    net::{Protocol, Receive, TcpType, Transmit},
    stats::MediaEgressStats,
};

use super::{Epoch, Error, Keyframes, Pacer, track::Track};

/// Sender reports of sound: str0m's 5 s would leave lips out of sync for that long after a join or a moved anchor.
const AUDIO_REPORTS: Duration = Duration::from_secs(1);

/// How often [`Event::Stats`] comes, for each output.
const STATS_INTERVAL: Duration = Duration::from_secs(2);

/// H.264 payload types (any dynamic ones will do), and constrained baseline 3.1, which every receiver decodes (RFC 7742).
const H264_PT: u8 = 125;
const H264_RTX_PT: u8 = 107;
const H264_PROFILE_LEVEL: u32 = 0x42e01f;

/// RTP times are unsigned while a pts may be a little below zero: this much is added to every pts.
const RTP_OFFSET_SECONDS: i64 = 3600;

/// Text of the peer's that goes into an error message.
const QUOTE_BYTES: usize = 120;

/// What has to be known before the first offer.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The codec of a picture track, should one come: [`Codec::H264`] (baseline, packetization mode 1) or [`Codec::Vp8`].
    pub video: Codec,
    /// Offer redundant sound (RFC 2198): repairs single losses, doubles the rate.
    pub red: bool,
}

/// What happened on the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// ICE and DTLS are up for the first time: frames go out from now on.
    Connected,
    /// ICE lost its path (`false`), or found one again (`true`).
    Path(bool),
    /// The peer closed DTLS. This room is over.
    Closed,
    /// The encoder of this layer is to make a keyframe.
    KeyframeNeeded(Quality),
    /// How an output fared lately.
    Stats(OutputStats),
}

/// How an output fared, from the receiver's reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutputStats {
    /// Which.
    pub output: Output,
    /// RTP payload and header bytes since the connection began, resends included.
    pub bytes: u64,
    /// Packets since the connection began, resends included.
    pub packets: u64,
    /// Packets that the SFU missed and did not get resent, since the connection began, as it says.
    pub lost: u64,
    /// The part of the packets that the receiver missed since the last such event, 0 to 1; `None` when it did not say.
    pub loss: Option<f32>,
    /// Round trip, when a report told.
    pub rtt: Option<Duration>,
}

/// A sending peer connection.
///
/// After any call, send what [`Room::poll_transmit`] yields, handle what [`Room::poll_event`] yields, and call
/// [`Room::handle_timeout`] at [`Room::timeout`].
pub struct Room {
    rtc: Rtc,
    video: Option<Track>,
    audio: Option<Track>,
    pending: Option<SdpPendingOffer>,
    connected: bool,
    keyframes: Keyframes,
    pacer: Pacer,
    epoch: Epoch,
    events: VecDeque<Event>,
    rtc_timeout: Instant,
}

impl Room {
    /// A connection without tracks and candidates. `epoch` comes from the connection before this one, if there was one.
    pub fn new(now: Instant, config: Config, epoch: Epoch) -> Result<Self, Error> {
        let mut builder = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, config.red)
            .set_rtcp_report_interval_audio(AUDIO_REPORTS)
            .set_stats_interval(Some(STATS_INTERVAL));
        // One picture codec only: the SFU takes the first that it likes, and we send what was encoded.
        match config.video {
            Codec::H264 => {
                let resend = Some(H264_RTX_PT.into());
                builder.codec_config().add_h264(H264_PT.into(), resend, true, H264_PROFILE_LEVEL);
            }
            Codec::Vp8 => builder.codec_config().enable_vp8(true),
            other => return Err(Error::Codec(other)),
        }
        Ok(Self {
            rtc: builder.build(now),
            video: None,
            audio: None,
            pending: None,
            connected: false,
            keyframes: Keyframes::default(),
            pacer: Pacer::new(now),
            epoch,
            events: VecDeque::new(),
            rtc_timeout: now,
        })
    }

    /// Adds a UDP address of ours that the caller has bound. Best before the first offer, which then names it.
    pub fn add_local_udp(&mut self, now: Instant, addr: SocketAddr) -> Result<(), Error> {
        let candidate = Candidate::host(addr, Protocol::Udp)
            .map_err(|error| Error::LocalCandidate { addr, reason: error.to_string() })?;
        self.rtc.add_local_candidate(candidate);
        self.settle(now)
    }

    /// Adds the local end of a TCP connection that the caller has opened to one of the peer's passive candidates (RFC 6544).
    pub fn add_local_tcp(&mut self, now: Instant, addr: SocketAddr) -> Result<(), Error> {
        let candidate = Candidate::builder().tcp().host(addr).tcptype(TcpType::Active).build();
        let candidate =
            candidate.map_err(|error| Error::LocalCandidate { addr, reason: error.to_string() })?;
        self.rtc.add_local_candidate(candidate);
        self.settle(now)
    }

    /// Adds one of the peer's candidates (`candidate:…`, RFC 8839 section 5.1). Says where it is: the caller may have to
    /// bind an address that leads there, or to connect when it is TCP.
    pub fn add_remote(&mut self, now: Instant, text: &str) -> Result<(Protocol, SocketAddr), Error> {
        let candidate = Candidate::from_sdp_string(text).map_err(|error| Error::RemoteCandidate {
            text: text.chars().take(QUOTE_BYTES).collect(),
            reason: error.to_string(),
        })?;
        let place = (candidate.proto(), candidate.addr());
        self.rtc.add_remote_candidate(candidate);
        self.settle(now)?;
        Ok(place)
    }

    /// Adds the picture track, to be in the next offer. `layers`: one to three, lowest first, each quality once, the last one
    /// high. `cid` is the track id that the SFU was told; `stream` groups tracks that play in sync.
    pub fn add_video(&mut self, layers: &[Layer], stream: &str, cid: &str) -> Result<(), Error> {
        let track = Track::video(layers, stream, cid)?;
        if self.video.is_some() {
            return Err(Error::TrackTwice(Kind::Video));
        }
        self.set_bitrates(layers);
        self.video = Some(track);
        Ok(())
    }

    /// Adds the sound track, to be in the next offer.
    pub fn add_audio(&mut self, stream: &str, cid: &str) -> Result<(), Error> {
        if self.audio.is_some() {
            return Err(Error::TrackTwice(Kind::Audio));
        }
        self.audio = Some(Track::audio(stream, cid));
        Ok(())
    }

    /// The layers' targets have changed: the pacing follows.
    pub fn set_bitrates(&mut self, layers: &[Layer]) {
        self.pacer.set_media_rate(layers.iter().map(|layer| u64::from(layer.bitrate_bps)).sum());
    }

    /// An SDP offer with the tracks that are not in one yet. `None` while an answer is due, or with nothing to offer.
    pub fn offer(&mut self, now: Instant) -> Result<Option<String>, Error> {
        self.negotiate(now, false)
    }

    /// An SDP offer that restarts ICE (RFC 8839 section 4.4.1.1.1), media flowing on meanwhile. `None` while an answer is due.
    pub fn restart_ice(&mut self, now: Instant) -> Result<Option<String>, Error> {
        self.negotiate(now, true)
    }

    fn negotiate(&mut self, now: Instant, restart: bool) -> Result<Option<String>, Error> {
        if self.pending.is_some() {
            return Ok(None);
        }
        let mut changes = self.rtc.sdp_api();
        for track in self.video.iter_mut().chain(&mut self.audio).filter(|track| track.mid.is_none()) {
            track.offer(&mut changes);
        }
        if restart {
            changes.ice_restart(true);
        }
        let Some((offer, pending)) = changes.apply() else { return Ok(None) };
        self.pending = Some(pending);
        self.settle(now)?;
        Ok(Some(offer.to_sdp_string()))
    }

    /// True between an offer and its answer.
    pub fn awaits_answer(&self) -> bool {
        self.pending.is_some()
    }

    /// The answer to the last offer.
    pub fn answer(&mut self, now: Instant, sdp: &str) -> Result<(), Error> {
        let pending = self.pending.take().ok_or(Error::NoOffer)?;
        let answer = SdpAnswer::from_sdp_string(sdp)
            .map_err(|error| Error::AnswerText { bytes: sdp.len(), reason: error.to_string() })?;
        self.rtc.sdp_api().accept_answer(pending, answer).map_err(Error::Answer)?;
        // Until the clock has moved once, str0m sends no ICE checks at all.
        self.settle(now)
    }

    /// True when a frame of this output would go out: connected, and its track negotiated.
    pub fn is_open(&mut self, output: Output) -> bool {
        self.connected && self.payload_type(output).is_some()
    }

    /// True while what is already under way should leave first.
    pub fn is_congested(&self) -> bool {
        self.pacer.is_full()
    }

    /// Sends a frame: an Annex B access unit, a VP8 frame or an Opus packet. Returns false when it was dropped because its
    /// output is not open.
    pub fn write(&mut self, now: Instant, frame: &Encoded) -> Result<bool, Error> {
        // Also for frames that are dropped: the anchor is the better known the more frames it has seen.
        let wallclock = self.epoch.wallclock(now, frame.pts);
        let Some(pt) = self.payload_type(frame.output).filter(|_| self.connected) else { return Ok(false) };
        let (track, rid) = match frame.output {
            Output::Audio => (&self.audio, None),
            Output::Video(quality) => (&self.video, self.video.as_ref().and_then(|t| t.rid(quality))),
        };
        let Some(mid) = track.as_ref().and_then(|track| track.mid) else { return Ok(false) };
        let Some(writer) = self.rtc.writer(mid) else { return Ok(false) };
        let writer = match rid {
            Some(rid) => writer.rid(rid),
            None => writer,
        };
        let rate = match frame.output {
            Output::Audio => Frequency::FORTY_EIGHT_KHZ,
            Output::Video(_) => Frequency::NINETY_KHZ,
        };
        let time = rtp_time(frame.pts, rate);
        writer.write(pt, wallclock, time, frame.data.as_ref()).map_err(Error::Engine)?;
        if let (Output::Video(quality), true) = (frame.output, frame.keyframe) {
            self.keyframes.sent(now, quality);
        }
        self.settle(now)?;
        Ok(true)
    }

    /// Asks for a keyframe of every layer, made at `from` or later, through the same limit as the SFU's requests.
    pub fn request_keyframes(&mut self, from: Instant) {
        for quality in self.video.iter().flat_map(|track| &track.qualities) {
            self.keyframes.request(from, *quality);
        }
    }

    /// Asks for a keyframe of one layer, now.
    pub fn request_keyframe(&mut self, now: Instant, quality: Quality) {
        self.keyframes.request(now, quality);
    }

    /// Bytes that came in. What is no WebRTC is ignored.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        proto: Protocol,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let Ok(receive) = Receive::new(proto, from, to, bytes) else { return Ok(()) };
        let input = Input::Receive(now, receive);
        if !self.rtc.accepts(&input) {
            return Ok(());
        }
        self.rtc.handle_input(input).map_err(Error::Engine)?;
        self.drain(now)
    }

    /// Time passes.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.settle(now)
    }

    /// When to call [`Room::handle_timeout`], or to poll for datagrams again.
    pub fn timeout(&self) -> Instant {
        let others = self.pacer.timeout().into_iter().chain(self.keyframes.timeout());
        others.fold(self.rtc_timeout, Instant::min)
    }

    /// The next datagram that is due.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.pacer.pop(now)
    }

    /// The next event.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.events.pop_front().or_else(|| self.keyframes.poll(now).map(Event::KeyframeNeeded))
    }

    /// Says goodbye (RTCP BYE, DTLS close): send what [`Room::poll_transmit`] yields after this.
    pub fn close(&mut self, now: Instant) {
        if self.rtc.close().is_ok() {
            // The room is given up: an error here changes nothing.
            self.drain(now).ok();
        }
    }

    /// For the connection after this one.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn payload_type(&mut self, output: Output) -> Option<Pt> {
        let track = match output {
            Output::Audio => self.audio.as_ref(),
            Output::Video(quality) => self.video.as_ref().filter(|t| t.qualities.contains(&quality)),
        };
        let writer = self.rtc.writer(track?.mid?)?;
        writer.payload_params().next().map(|params| params.pt())
    }

    fn settle(&mut self, now: Instant) -> Result<(), Error> {
        self.rtc.handle_input(Input::Timeout(now)).map_err(Error::Engine)?;
        self.drain(now)
    }

    fn drain(&mut self, now: Instant) -> Result<(), Error> {
        loop {
            match self.rtc.poll_output().map_err(Error::Engine)? {
                str0m::Output::Timeout(at) => {
                    self.rtc_timeout = at;
                    return Ok(());
                }
                str0m::Output::Transmit(datagram) => self.pacer.push(datagram),
                str0m::Output::Event(event) => self.note(now, event),
            }
        }
    }

    fn note(&mut self, now: Instant, event: str0m::Event) {
        match event {
            str0m::Event::Connected => {
                self.connected = true;
                self.request_keyframes(now);
                self.events.push_back(Event::Connected);
            }
            str0m::Event::Closed => self.events.push_back(Event::Closed),
            str0m::Event::IceConnectionStateChange(state) if self.connected => {
                self.events.push_back(Event::Path(state != IceConnectionState::Disconnected));
            }
            str0m::Event::KeyframeRequest(request) => self.note_keyframe_request(now, request),
            str0m::Event::MediaEgressStats(stats) => self.note_stats(&stats),
            _ => {}
        }
    }

    fn note_keyframe_request(&mut self, now: Instant, request: KeyframeRequest) {
        let track = self.video.as_ref().filter(|track| track.mid == Some(request.mid));
        if let Some(quality) = track.and_then(|track| track.quality(request.rid)) {
            self.keyframes.request(now, quality);
        }
    }

    fn note_stats(&mut self, stats: &MediaEgressStats) {
        let of = |track: &&Track| track.mid == Some(stats.mid);
        let output = match (self.video.as_ref().filter(of), self.audio.as_ref().filter(of)) {
            (Some(video), _) => video.quality(stats.rid).map(Output::Video),
            (None, Some(_)) => Some(Output::Audio),
            (None, None) => None,
        };
        let Some(output) = output else { return };
        self.events.push_back(Event::Stats(OutputStats {
            output,
            bytes: stats.bytes,
            packets: stats.packets,
            lost: stats.remote.as_ref().map_or(0, |remote| remote.packets_lost),
            loss: stats.loss,
            rtt: stats.rtt,
        }));
    }
}

/// The pts on the RTP clock. The same for all layers of a picture.
fn rtp_time(pts: MediaTime, rate: Frequency) -> str0m::media::MediaTime {
    let ticks = pts.ticks_at(rate.get()).saturating_add(RTP_OFFSET_SECONDS * i64::from(rate.get()));
    str0m::media::MediaTime::new(u64::try_from(ticks).unwrap_or(0), rate)
}
