use std::time::Instant;

use media::Layer;

use crate::{Ingress, SourceInfo};

/// A session whose publisher's packets go to the room as they are. The publisher makes the keyframes; a layer that nobody
/// watches is kept back.
impl Ingress {
    /// Somebody can be asked for a keyframe.
    pub(crate) fn makes_keyframes(&self) -> bool {
        self.settings.forward || self.workers.is_running()
    }

    /// The publisher's pictures are these.
    pub(crate) fn forwarded(&mut self, now: Instant, info: SourceInfo, layers: Vec<Layer>) {
        if !self.settings.forward || !self.settings.video || layers.is_empty() {
            return;
        }
        self.describe(info);
        self.layers_ready(now, layers);
        self.keyframes(now);
        self.refresh(now);
    }
}
