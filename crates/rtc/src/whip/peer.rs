use std::{collections::VecDeque, net::SocketAddr, time::Instant};

use str0m::{
    Candidate, IceConnectionState, Input, Rtc,
    change::SdpOffer,
    media::{KeyframeRequestKind, Mid, Rid},
    net::{Protocol, Receive, Transmit},
};

use super::{
    Config, Error, Event, Fragment, Local, Offer, Patched,
    engine::{candidate, configure},
    streams::Streams,
};

/// A peer connection that receives what one WHIP publisher sends.
///
/// After any call, send what [`Peer::poll_transmit`] yields, handle what [`Peer::poll_event`] yields, and call
/// [`Peer::handle_timeout`] at [`Peer::timeout`].
pub struct Peer {
    rtc: Rtc,
    offer: Offer,
    offer_text: String,
    locals: Vec<Candidate>,
    streams: Streams,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    connected: bool,
    timeout: Instant,
}

impl Peer {
    /// Answers an offer. `locals` are named in the answer, in this order.
    ///
    /// # Errors
    /// What is wrong with the offer; [`Error::is_unsupported`] when it is no mistake.
    pub fn answer(
        now: Instant,
        config: Config,
        locals: &[Local],
        offer: &Offer,
    ) -> Result<(Self, String), Error> {
        let text = offer.text.as_str();
        let locals = locals.iter().map(candidate).collect::<Result<Vec<_>, _>>()?;
        let mut rtc = configure(offer, config)?.build(now);
        for local in &locals {
            rtc.add_local_candidate(local.clone());
        }
        let sdp = SdpOffer::from_sdp_string(text).map_err(|error| Error::Sdp(error.to_string()))?;
        let answer = rtc.sdp_api().accept_offer(sdp).map_err(|error| Error::Sdp(error.to_string()))?;
        let mut peer = Self {
            rtc,
            offer: offer.clone(),
            offer_text: text.to_owned(),
            locals,
            streams: Streams::new(now),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            connected: false,
            timeout: now,
        };
        peer.settle(now)?;
        Ok((peer, answer.to_sdp_string()))
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
    pub fn patch(&mut self, now: Instant, text: &str) -> Result<Patched, Error> {
        let fragment = Fragment::read(text)?;
        let restart = fragment.ufrag.as_ref().filter(|ufrag| **ufrag != self.offer.ufrag);
        let answer = match (restart, &fragment.pwd) {
            (Some(ufrag), Some(pwd)) => Some(self.restart(ufrag, pwd)?),
            (Some(_), None) => return Err(Error::RestartWithoutPwd),
            (None, _) => None,
        };
        for candidate in &fragment.candidates {
            // Names that only the publisher's own network can resolve (mDNS) are no addresses; its checks will tell.
            if let Ok(candidate) = Candidate::from_sdp_string(candidate) {
                self.rtc.add_remote_candidate(candidate);
            }
        }
        self.settle(now)?;
        Ok(answer.map_or(Patched::Trickled, Patched::Restarted))
    }

    /// The same offer with other credentials is, to the engine, an offer that restarts ICE.
    fn restart(&mut self, ufrag: &str, pwd: &str) -> Result<String, Error> {
        let keep = |line: &&str| !line.starts_with("a=candidate:") && *line != "a=end-of-candidates";
        let renew = |line: &str| match line.split_once(':') {
            Some(("a=ice-ufrag", _)) => format!("a=ice-ufrag:{ufrag}\r\n"),
            Some(("a=ice-pwd", _)) => format!("a=ice-pwd:{pwd}\r\n"),
            _ => format!("{line}\r\n"),
        };
        let text: String = self.offer_text.lines().filter(keep).map(renew).collect();
        let sdp = SdpOffer::from_sdp_string(&text).map_err(|error| Error::Sdp(error.to_string()))?;
        self.rtc.sdp_api().accept_offer(sdp).map_err(|error| Error::Sdp(error.to_string()))?;
        self.offer_text = text;
        ufrag.clone_into(&mut self.offer.ufrag);
        let ours = self.rtc.direct_api().local_ice_credentials();
        let mid = [
            &self.offer.audio.as_ref().map(|audio| &audio.mid),
            &self.offer.video.as_ref().map(|video| &video.mid),
        ];
        let mid = mid.into_iter().flatten().next().map_or("0", |mid| mid.as_str());
        let head = format!(
            "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\n",
            ours.ufrag, ours.pass
        );
        let candidates: String =
            self.locals.iter().map(|local| format!("a={}\r\n", local.to_sdp_string())).collect();
        Ok(head + &candidates + "a=end-of-candidates\r\n")
    }

    /// Asks the publisher for a keyframe of a layer, if it sends one.
    ///
    /// # Errors
    /// The engine gave up.
    pub fn request_keyframe(&mut self, now: Instant, layer: usize) -> Result<(), Error> {
        let Some(video) = &self.offer.video else { return Ok(()) };
        let rid = video.rids.get(layer).map(|rid| Rid::from(rid.as_str()));
        let mid = Mid::from(video.mid.as_str());
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, rid) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
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
        self.rtc.handle_input(input).map_err(Error::Engine)?;
        self.drain()
    }

    /// Time passes.
    ///
    /// # Errors
    /// The engine gave up.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.settle(now)
    }

    /// When to call [`Peer::handle_timeout`].
    pub fn timeout(&self) -> Instant {
        self.timeout
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

    fn settle(&mut self, now: Instant) -> Result<(), Error> {
        self.rtc.handle_input(Input::Timeout(now)).map_err(Error::Engine)?;
        self.drain()
    }

    fn drain(&mut self) -> Result<(), Error> {
        loop {
            match self.rtc.poll_output().map_err(Error::Engine)? {
                str0m::Output::Timeout(at) => {
                    self.timeout = at;
                    return Ok(());
                }
                str0m::Output::Transmit(datagram) => self.transmits.push_back(datagram),
                str0m::Output::Event(event) => self.note(event),
            }
        }
    }

    fn note(&mut self, event: str0m::Event) {
        match event {
            str0m::Event::Connected => {
                self.connected = true;
                self.events.push_back(Event::Connected);
            }
            str0m::Event::Closed => self.events.push_back(Event::Closed),
            str0m::Event::IceConnectionStateChange(state) if self.connected => {
                self.events.push_back(Event::Path(state != IceConnectionState::Disconnected));
            }
            str0m::Event::RtpPacket(packet) => {
                if let Some((track, packet)) = self.streams.packet(&mut self.rtc, &self.offer, packet) {
                    self.events.push_back(Event::Packet(track, packet));
                }
            }
            _ => {}
        }
    }
}
