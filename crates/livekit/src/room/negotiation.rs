use std::time::{Duration, Instant};

use livekit_protocol::{
    SessionDescription, SignalTarget, SubscribedQualityUpdate, TrackPublishedResponse, TrackType,
    TrickleRequest, signal_request::Message,
};
use media::{Kind, Quality};
use rtc::room::Protocol;

use super::{Event, Options, link::Link, messages, outbox::Outbox, shared::Desired};

/// The server answers an offer within milliseconds.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// UDP that is not through by then is blocked, most likely: ICE tries TCP beside it, and takes what works.
const UDP_HEAD_START: Duration = Duration::from_secs(2);

/// How many candidates are taken from a server, ICE restarts included; each brings a handful.
const MAX_CANDIDATES: u32 = 1000;

/// How many TCP candidates of a server are kept; it has one per address family.
const MAX_TCP_CANDIDATES: usize = 4;

/// The first packets of all tracks are there by then.
pub(super) const RETELL_AFTER: Duration = Duration::from_secs(1);

/// ICE and DTLS take some 30 ms; a lossy path a few retransmissions.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);

impl Link {
    /// Publishes what is wanted and is not published yet: AddTrack for each, then an offer, without waiting for answers in
    /// between (the order on the connection is enough).
    pub(super) fn publish(
        &mut self,
        now: Instant,
        desired: &Desired,
        options: &Options,
    ) -> Result<(), rtc::room::Error> {
        if self.resuming.is_some() || self.restarting_ice || self.peer.awaits_answer() {
            return Ok(());
        }
        if let (Some(track), None) = (&desired.video, &self.told.video) {
            let cid = new_cid();
            self.peer.add_video(&track.layers, &options.stream, &cid)?;
            let request = messages::add_video(track, options.video_codec, &cid, &options.stream);
            self.say(Message::AddTrack(request));
            self.told.video = Some((cid, track.layers.clone()));
        }
        if let (Some(track), None) = (&desired.audio, &self.told.audio) {
            let cid = new_cid();
            self.peer.add_audio(&options.stream, &cid)?;
            let red = options.red && !options.forward;
            self.say(Message::AddTrack(messages::add_audio(track, red, &cid, &options.stream)));
            self.told.audio = Some(cid);
        }
        if desired.data {
            self.peer.add_data();
        }
        if let Some(sdp) = self.peer.offer(now)? {
            self.send_offer(now, sdp);
        }
        self.resize(desired);
        if self.told.attributes != desired.attributes {
            self.told.attributes.clone_from(&desired.attributes);
            self.say(Message::UpdateMetadata(messages::attributes(&desired.attributes)));
        }
        Ok(())
    }

    /// Tells the server of a new picture size, once it has given the track a sid.
    fn resize(&mut self, desired: &Desired) {
        let (Some(track), Some((cid, layers))) = (&desired.video, &mut self.told.video) else { return };
        let published = self.told.published.iter().find(|published| published.cid == *cid);
        let Some(info) = published.and_then(|published| published.track.as_ref()) else { return };
        if *layers != track.layers {
            let update = messages::resize(&info.sid, &track.layers);
            self.peer.set_bitrates(&track.layers);
            layers.clone_from(&track.layers);
            self.outgoing.push(Message::UpdateVideoTrack(update));
        }
    }

    /// Signalling is back: says what we have, and moves ICE to whatever path there is now.
    /// Returns whether an answer to that has to come.
    pub(super) fn resync(&mut self, now: Instant) -> Result<bool, rtc::room::Error> {
        let state = messages::sync_state(self.told.last_offer.clone(), &self.told.published);
        // The signalling client holds back most messages during a resume, but not these: they go first.
        self.outgoing.insert(0, Message::SyncState(state));
        // The server ties a TCP connection to the ICE session that opened it: a restart would cut it.
        let restart = self.told.last_offer.is_some() && !self.sockets.uses_tcp();
        if restart {
            self.restart_ice(now)?;
        }
        Ok(restart)
    }

    pub(super) fn restart_ice(&mut self, now: Instant) -> Result<(), rtc::room::Error> {
        if let Some(sdp) = self.peer.restart_ice(now)? {
            self.restarting_ice = true;
            self.send_offer(now, sdp);
        }
        Ok(())
    }

    fn send_offer(&mut self, now: Instant, sdp: String) {
        self.told.offers += 1;
        let offer = messages::offer(self.told.offers, sdp);
        if self.told.last_offer.is_none() {
            self.clocks.tcp = Some(now + UDP_HEAD_START);
            self.clocks.connected = Some(now + CONNECT_DEADLINE);
        }
        self.told.last_offer = Some(offer.clone());
        self.clocks.answer = Some(now + ANSWER_DEADLINE);
        self.say(Message::Offer(offer));
    }

    /// Returns whether this answer ended an ICE restart. An answer that nobody waits for is ignored.
    pub(super) fn on_answer(
        &mut self,
        now: Instant,
        answer: &SessionDescription,
    ) -> Result<bool, rtc::room::Error> {
        if !self.peer.awaits_answer() {
            tracing::debug!(id = answer.id, "answer without an offer under way, ignored");
            return Ok(false);
        }
        self.peer.answer(now, &answer.sdp)?;
        self.clocks.answer = None;
        Ok(std::mem::take(&mut self.restarting_ice))
    }

    /// Takes a candidate of the server's; binds another address of ours when it lies in another direction.
    pub(super) fn on_trickle(
        &mut self,
        now: Instant,
        trickle: &TrickleRequest,
    ) -> Result<(), rtc::room::Error> {
        if trickle.target() != SignalTarget::Publisher {
            return Ok(());
        }
        let Some(text) = messages::candidate(&trickle.candidate_init) else { return Ok(()) };
        if self.told.candidates >= MAX_CANDIDATES {
            return Ok(());
        }
        self.told.candidates += 1;
        let (proto, addr) = match self.peer.add_remote(now, &text) {
            Err(error @ rtc::room::Error::RemoteCandidate { .. }) => {
                tracing::warn!(%error, "candidate ignored");
                return Ok(());
            }
            added => added?,
        };
        if proto != Protocol::Udp {
            if proto == Protocol::Tcp && self.tcp_candidates.len() < MAX_TCP_CANDIDATES {
                self.tcp_candidates.push(addr);
            }
            return Ok(());
        }
        match self.sockets.reach(addr) {
            Ok(Some(local)) => self.peer.add_local_udp(now, local),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, %addr, "no way to this candidate");
                Ok(())
            }
        }
    }

    /// UDP is not through: opens a TCP connection, which becomes a path once it is up.
    pub(super) fn try_tcp(&mut self) {
        if let Some(remote) = self.tcp_candidates.first() {
            tracing::info!(%remote, "no media path over UDP yet, trying TCP");
            self.sockets.connect(*remote);
        }
    }

    pub(super) fn on_published(
        &mut self,
        now: Instant,
        published: TrackPublishedResponse,
        events: &mut Outbox,
    ) {
        let Some(track) = &published.track else { return };
        if !self.told.knows(&published.cid) {
            tracing::warn!(sid = track.sid, "the server announced a track that is not ours");
            return;
        }
        let kind = match track.r#type() {
            TrackType::Audio => Kind::Audio,
            TrackType::Video => Kind::Video,
            TrackType::Data => return,
        };
        self.clocks.retell = Some(now + RETELL_AFTER);
        events.push(Event::Published { kind, track_sid: track.sid.clone() });
        self.told.published.retain(|known| known.cid != published.cid);
        self.told.published.push(published);
    }

    /// Notes which layers are watched; an update that changes nothing is not told.
    pub(super) fn on_quality(
        &mut self,
        now: Instant,
        update: &SubscribedQualityUpdate,
        options: &Options,
        events: &mut Outbox,
    ) {
        let Some((cid, layers)) = &self.told.video else { return };
        let ours = |published: &&TrackPublishedResponse| published.cid == *cid;
        let info = self.told.published.iter().find(ours).and_then(|published| published.track.as_ref());
        if info.is_none_or(|info| info.sid != update.track_sid) {
            return;
        }
        let wanted = messages::wanted(update, options.video_codec, layers);
        let before = self.told.wanted.take().unwrap_or_else(|| all(layers));
        for quality in wanted.difference(&before) {
            self.peer.request_keyframe(now, *quality);
        }
        if wanted != before {
            events.push(Event::Wanted(wanted.clone()));
        }
        self.told.wanted = Some(wanted);
    }
}

fn all(layers: &[media::Layer]) -> std::collections::BTreeSet<Quality> {
    layers.iter().map(|layer| layer.quality).collect()
}

/// A track id that no other participant has.
fn new_cid() -> String {
    format!("TR_{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>())
}
