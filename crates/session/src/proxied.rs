use std::time::Instant;

use media::Kind;

use crate::ingress::State;
use crate::{AudioState, Ingress, Reason, VideoState};

/// A session whose publisher sends its media to the SFU itself: what is known of it is what the SFU tells.
impl Ingress {
    /// See [`Settings::proxied`](crate::Settings::proxied).
    pub fn is_proxied(&self) -> bool {
        self.settings.proxied
    }

    pub(crate) fn begin_proxied(&mut self, now: Instant) {
        self.state = State::Buffering;
        self.report(now);
        self.await_notices(now);
    }

    /// Nothing is known of the present publisher.
    pub(crate) fn await_notices(&mut self, now: Instant) {
        self.media_by = Some(now + self.budget.proxied_media);
        self.silent_at = Some(now + self.budget.proxied_silence);
    }

    /// The SFU receives these.
    pub(crate) fn proxied(&mut self, now: Instant, video: Option<VideoState>, audio: Option<AudioState>) {
        if !self.settings.proxied {
            return;
        }
        self.silent_at = Some(now + self.budget.proxied_silence);
        if video.is_none() && audio.is_none() {
            return;
        }
        self.media_by = None;
        for (is, kind) in [(video.is_some(), Kind::Video), (audio.is_some(), Kind::Audio)] {
            if is {
                self.tracks.proxied(kind);
            }
        }
        (self.facts.video, self.facts.audio) = (video, audio);
        self.state = State::Live;
        self.report(now);
    }

    /// What it means that nothing came for too long.
    pub(crate) fn silence(&self) -> Reason {
        if self.settings.proxied { Reason::RoomLost } else { Reason::Silent }
    }
}
