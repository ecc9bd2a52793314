use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use media::{Kind, Layer, Output, Quality};
use str0m::{
    IceConnectionState, Input, Rtc,
    change::{SdpAnswer, SdpPendingOffer},
    media::KeyframeRequest,
    net::{Protocol, Receive, Transmit},
    stats::MediaEgressStats,
};

use super::{
    Config, Epoch, Error, Event, Keyframes, OutputStats, Pacer, data::DataChannel, send::Forward,
    track::Track,
};

/// Packets of a layer that can be sent again, and for how long.
const RESENDS_KEPT: usize = 2048;
const RESENDS_KEPT_FOR: Duration = Duration::from_secs(3);

/// Of the bytes of a layer in a second, resends are at most this part: on a path that loses more they make it worse.
const MOST_RESENDS: f32 = 0.5;

/// A sending peer connection.
///
/// After any call, send what [`Room::poll_transmit`] yields, handle what [`Room::poll_event`] yields, and call
/// [`Room::handle_timeout`] at [`Room::timeout`].
pub struct Room {
    pub(super) rtc: Rtc,
    pub(super) video: Option<Track>,
    pub(super) audio: Option<Track>,
    pub(super) data: DataChannel,
    pending: Option<SdpPendingOffer>,
    pub(super) connected: bool,
    /// There when packets are forwarded, and frames are not.
    pub(super) forward: Option<Forward>,
    pub(super) keyframes: Keyframes,
    pacer: Pacer,
    pub(super) epoch: Epoch,
    events: VecDeque<Event>,
    rtc_timeout: Instant,
}

impl Room {
    /// A connection without tracks and candidates. `epoch` comes from the connection before this one, if there was one.
    pub fn new(now: Instant, config: Config, epoch: Epoch) -> Result<Self, Error> {
        Ok(Self {
            rtc: config.build(now)?,
            video: None,
            audio: None,
            data: DataChannel::None,
            pending: None,
            connected: false,
            forward: config.forward.then(Forward::new),
            keyframes: Keyframes::default(),
            pacer: if config.forward { Pacer::forwarding(now) } else { Pacer::new(now) },
            epoch,
            events: VecDeque::new(),
            rtc_timeout: now,
        })
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
        self.data.offer(&mut changes);
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
        self.keep_for_resends();
        // Until the clock has moved once, str0m sends no ICE checks at all.
        self.settle(now)
    }

    /// str0m drops what it is asked for again from 15 % of a layer's bytes in a second on. The SFU asks three times or so, and then
    /// for a keyframe, which costs more than the packets: they go out.
    fn keep_for_resends(&mut self) {
        let Some(track) = self.video.as_mut().filter(|track| !track.resends) else { return };
        let Some(mid) = track.mid else { return };
        track.resends = true;
        for quality in &track.qualities {
            if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, track.rid(*quality)) {
                stream.set_rtx_cache(RESENDS_KEPT, RESENDS_KEPT_FOR, Some(MOST_RESENDS));
            }
        }
    }

    /// True when a frame or packet of this output would go out: connected, and its track negotiated.
    pub fn is_open(&self, output: Output) -> bool {
        self.lane(output).is_some()
    }

    /// True while what is already under way should leave first.
    pub fn is_congested(&self) -> bool {
        self.pacer.is_full()
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

    pub(super) fn settle(&mut self, now: Instant) -> Result<(), Error> {
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
            str0m::Event::ChannelOpen(id, _) => self.data.opened(id),
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
