use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use str0m::{
    Candidate, Input, Rtc,
    change::SdpOffer,
    net::{Protocol, Receive, Transmit},
};

use super::{
    Config, Error, Event, Fragment, Local, Mode, Offer, Patched, Track,
    engine::{configure, local_candidate, remote_candidate},
    frames::Frames,
    offer::{MAX_CANDIDATES, is_ice_secret},
    streams::Streams,
    way::Way,
};

/// Without a datagram of the publisher's for so long the path is gone: ICE alone has it check each 2 to 5 s. str0m's own word
/// comes 20 s late, and comes for publishers that send media but answer no checks.
const SILENCE: Duration = Duration::from_secs(6);

/// Generations of credentials that are remembered: a PATCH that was overtaken by a restart is not a restart back.
const MAX_PAST: usize = 16;

/// A peer connection that receives what one WHIP publisher sends.
///
/// After any call, send what [`Peer::poll_transmit`] yields, handle what [`Peer::poll_event`] yields, and call
/// [`Peer::handle_timeout`] at [`Peer::timeout`].
pub struct Peer {
    rtc: Rtc,
    offer: Offer,
    locals: Vec<Candidate>,
    /// Candidates of the publisher's present generation.
    remotes: usize,
    /// The ufrags of generations before it.
    past: VecDeque<String>,
    streams: Streams,
    /// In [`Mode::Frames`].
    frames: Option<BTreeMap<Track, Frames>>,
    way: Way,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    /// Since DTLS was up, and whether there is a path now.
    path: Option<bool>,
    /// When the publisher's last datagram came.
    heard: Instant,
    rtt: Option<Duration>,
    now: Instant,
    timeout: Instant,
}

impl Peer {
    /// Answers an offer. `locals` are named in the answer, in this order.
    ///
    /// # Errors
    /// What is wrong with the offer or with our addresses.
    pub fn answer(
        now: Instant,
        config: Config,
        locals: &[Local],
        offer: &Offer,
    ) -> Result<(Self, String), Error> {
        let locals = locals.iter().map(local_candidate).collect::<Result<Vec<_>, _>>()?;
        let mut rtc = configure(&offer.plain, config).build(now);
        for local in &locals {
            rtc.add_local_candidate(local.clone());
        }
        let answer = accept(&mut rtc, &offer.plain.offer(&offer.ufrag, &offer.plain.pwd))?;
        let streams = Streams::new(now, &offer.plain, &mut rtc);
        let mut peer = Self {
            rtc,
            offer: offer.clone(),
            locals,
            remotes: 0,
            past: VecDeque::new(),
            streams,
            frames: (config.mode == Mode::Frames).then(BTreeMap::new),
            way: Way::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            path: None,
            heard: now,
            rtt: None,
            now,
            timeout: now,
        };
        peer.add_remotes(&offer.plain.candidates);
        peer.settle(now)?;
        Ok((peer, offer.plain.answer(&answer)))
    }

    /// What the publisher offered.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Our part of the USERNAME of the publisher's connectivity checks (RFC 8445 section 7.2.2). Changes with a restart.
    pub fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// A PATCH: candidates for the present generation of credentials, or a new generation.
    ///
    /// # Errors
    /// What is wrong with the fragment. The connection is as well as before.
    pub fn patch(&mut self, now: Instant, fragment: &str) -> Result<Patched, Error> {
        let fragment = Fragment::read(fragment)?;
        let restart = fragment.ufrag.as_ref().filter(|ufrag| **ufrag != self.offer.ufrag);
        if restart.is_some_and(|ufrag| self.past.contains(ufrag)) {
            return Err(Error::Stale);
        }
        let answer = match (restart, &fragment.pwd) {
            (Some(ufrag), Some(pwd)) => Some(self.restart(ufrag, pwd)?),
            (Some(_), None) => return Err(Error::RestartWithoutPwd),
            (None, _) => None,
        };
        self.add_remotes(&fragment.candidates);
        self.settle(now)?;
        Ok(answer.map_or(Patched::Trickled, Patched::Restarted))
    }

    /// The same offer with other credentials is, to the engine, an offer that restarts ICE.
    fn restart(&mut self, ufrag: &str, pwd: &str) -> Result<String, Error> {
        if !is_ice_secret(ufrag) || !is_ice_secret(pwd) {
            return Err(Error::Credentials);
        }
        accept(&mut self.rtc, &self.offer.plain.offer(ufrag, pwd))?;
        self.past.push_back(std::mem::replace(&mut self.offer.ufrag, ufrag.to_owned()));
        if self.past.len() > MAX_PAST {
            self.past.pop_front();
        }
        pwd.clone_into(&mut self.offer.plain.pwd);
        self.remotes = 0;
        let ours = self.rtc.direct_api().local_ice_credentials();
        let candidates = self.locals.iter().map(Candidate::to_sdp_string);
        Ok(self.offer.plain.restarted(&ours.ufrag, &ours.pass, candidates))
    }

    fn add_remotes(&mut self, candidates: &[String]) {
        for candidate in candidates.iter().filter_map(|text| remote_candidate(text)) {
            if self.remotes < MAX_CANDIDATES {
                self.remotes += 1;
                self.rtc.add_remote_candidate(candidate);
            }
        }
    }

    /// Asks the publisher for a keyframe of a layer, if it sends one.
    ///
    /// # Errors
    /// The engine gave up.
    pub fn request_keyframe(&mut self, now: Instant, layer: usize) -> Result<(), Error> {
        self.streams.request_keyframe(&mut self.rtc, layer);
        self.settle(now)
    }

    /// Bytes that came in. What is no WebRTC, or not for this connection, is ignored.
    ///
    /// # Errors
    /// The engine gave up.
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
        if self.path.is_some() {
            self.streams.guess(&mut self.rtc, bytes);
        }
        self.heard = self.heard.max(now);
        self.watch(now);
        self.way.reads(proto, from, to);
        self.rtc.handle_input(input).map_err(Error::Engine)?;
        self.now = self.now.max(now);
        let drained = self.drain();
        self.way.has_read();
        drained
    }

    /// Time passes.
    ///
    /// # Errors
    /// The engine gave up.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let mut given = Vec::new();
        for (track, frames) in self.frames.iter_mut().flatten() {
            while let Some(frame) = frames.poll(now) {
                given.push(Event::Frame(*track, frame));
            }
        }
        self.events.extend(given);
        self.watch(now);
        self.streams.tell_bandwidth(&mut self.rtc, now);
        self.settle(now)
    }

    /// When to call [`Peer::handle_timeout`].
    pub fn timeout(&self) -> Instant {
        let frames = self.frames.iter().flat_map(BTreeMap::values).filter_map(Frames::deadline);
        let silent = (self.path == Some(true)).then(|| self.heard + SILENCE);
        frames.chain(silent).chain(self.streams.bandwidth_due()).fold(self.timeout, Instant::min)
    }

    /// The next datagram to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Says goodbye: send what [`Peer::poll_transmit`] yields after this.
    pub fn close(&mut self) {
        if self.rtc.close().is_ok() {
            // The connection is given up: an error here changes nothing.
            self.drain().ok();
        }
    }

    /// Tells that the path went or came.
    fn watch(&mut self, now: Instant) {
        let path = now < self.heard + SILENCE;
        if self.path.is_some_and(|before| before != path) {
            self.path = Some(path);
            self.events.push_back(Event::Path(path));
        }
    }

    fn settle(&mut self, now: Instant) -> Result<(), Error> {
        self.rtc.handle_input(Input::Timeout(now)).map_err(Error::Engine)?;
        self.now = self.now.max(now);
        self.drain()
    }

    fn drain(&mut self) -> Result<(), Error> {
        loop {
            match self.rtc.poll_output().map_err(Error::Engine)? {
                str0m::Output::Timeout(at) => {
                    self.timeout = at;
                    return Ok(());
                }
                str0m::Output::Transmit(datagram) => self.transmits.push_back(self.way.back(datagram)),
                str0m::Output::Event(event) => self.note(event),
            }
        }
    }

    fn note(&mut self, event: str0m::Event) {
        match event {
            str0m::Event::Connected => {
                self.path = Some(true);
                self.events.push_back(Event::Connected);
            }
            str0m::Event::Closed => self.events.push_back(Event::Closed),
            str0m::Event::RtpPacket(packet) => {
                self.way.is_good();
                if let Some((track, packet)) = self.streams.packet(&mut self.rtc, packet) {
                    self.deliver(track, packet);
                }
            }
            str0m::Event::PeerStats(stats) => {
                let pair = stats.selected_candidate_pair;
                self.rtt = pair.and_then(|pair| pair.current_round_trip_time).or(self.rtt);
                self.events.extend(self.streams.stats(self.rtt).map(Event::Stats));
            }
            _ => {}
        }
    }

    fn deliver(&mut self, track: Track, packet: media::RtpPacket) {
        let now = self.now;
        let Some(frames) = &mut self.frames else {
            self.events.push_back(Event::Packet(track, packet));
            return;
        };
        let codec = match track {
            Track::Audio => None,
            Track::Video(_) => self.offer.video.as_ref().map(|video| video.codec),
        };
        let frames = frames.entry(track).or_insert_with(|| Frames::new(codec));
        frames.push(now, packet);
        while let Some(frame) = frames.poll(now) {
            self.events.push_back(Event::Frame(track, frame));
        }
        if let Track::Video(layer) = track
            && frames.asks(now)
        {
            // The engine is due at once then, as `timeout` says.
            self.streams.request_keyframe(&mut self.rtc, layer);
        }
    }
}

fn accept(rtc: &mut Rtc, offer: &str) -> Result<String, Error> {
    let sdp = SdpOffer::from_sdp_string(offer).map_err(|error| Error::Sdp(error.to_string()))?;
    let answer = rtc.sdp_api().accept_offer(sdp).map_err(|error| Error::Sdp(error.to_string()))?;
    Ok(answer.to_sdp_string())
}
