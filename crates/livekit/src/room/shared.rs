use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use media::{Encoded, Layer, Output, RtpPacket};
use tokio::sync::Notify;

use super::{
    AudioTrack, VideoTrack,
    lanes::{Lanes, Packet},
};

/// Messages that wait for their channel; a room that takes none for longer misses the oldest.
const MAX_MESSAGES: usize = 32;

/// What the handles of a participant and its task both see.
#[derive(Debug)]
pub(super) struct Shared {
    /// Whether packets are sent, and no frames.
    pub(super) forward: bool,
    pub(super) frames: Lanes<Encoded>,
    pub(super) packets: Lanes<Packet>,
    desired: Mutex<Desired>,
    /// Encoded, oldest first.
    messages: Mutex<VecDeque<Vec<u8>>>,
    /// There is something new.
    pub(super) changed: Notify,
}

/// The tracks that the owner wants in the room.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Desired {
    /// Changes with the rest.
    version: u64,
    pub(super) video: Option<VideoTrack>,
    pub(super) audio: Option<AudioTrack>,
    /// A channel for messages.
    pub(super) data: bool,
    /// Our own, beside those that the participant joined with. Empty ones are removed.
    pub(super) attributes: BTreeMap<String, String>,
}

impl Shared {
    pub(super) fn new(forward: bool) -> Self {
        Self {
            forward,
            frames: Lanes::new(),
            packets: Lanes::new(),
            desired: Mutex::default(),
            messages: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Queues a frame. Returns whether it is in; a layer that lost frames lets none in before its next keyframe.
    pub(super) fn write(&self, frame: Encoded) -> bool {
        let queued = !self.forward && self.frames.push(frame.output, frame);
        self.changed.notify_one();
        queued
    }

    /// Queues a packet, in the same way.
    pub(super) fn forward(&self, output: Output, rtp: RtpPacket) -> bool {
        let queued = self.forward && self.packets.push(output, Packet { kind: output.kind(), rtp });
        self.changed.notify_one();
        queued
    }

    /// Forgets what waits of an output; a layer starts again with a keyframe.
    pub(super) fn clear(&self, output: Output) {
        self.frames.clear(output);
        self.packets.clear(output);
    }

    /// Whether a layer has dropped something and waits for a keyframe since the last call.
    pub(super) fn take_starved(&self, output: Output) -> bool {
        self.frames.take_starved(output) | self.packets.take_starved(output)
    }

    /// Frames or packets dropped so far by all the queues.
    pub(super) fn dropped(&self) -> u64 {
        self.frames.dropped() + self.packets.dropped()
    }

    /// Brings a copy up to date.
    pub(super) fn read_desired(&self, copy: &mut Desired) {
        let desired = self.lock();
        if copy.version != desired.version {
            copy.clone_from(&desired);
        }
    }

    pub(super) fn wants_tracks(&self) -> bool {
        let desired = self.lock();
        desired.video.is_some() || desired.audio.is_some()
    }

    /// Wants a track too; false when one is wanted already.
    pub(super) fn want_video(&self, track: VideoTrack) -> bool {
        let mut desired = self.lock();
        let new = desired.video.is_none();
        if new {
            desired.video = Some(track);
        }
        self.note(desired, new)
    }

    /// Wants a track too; false when one is wanted already.
    pub(super) fn want_audio(&self, track: AudioTrack) -> bool {
        let mut desired = self.lock();
        let new = desired.audio.is_none();
        if new {
            desired.audio = Some(track);
        }
        self.note(desired, new)
    }

    /// The sizes changed; false when no picture track is wanted, or it has other layers.
    pub(super) fn resize(&self, layers: Vec<Layer>) -> bool {
        let same = |old: &[Layer]| old.iter().map(|l| l.quality).eq(layers.iter().map(|l| l.quality));
        let mut desired = self.lock();
        let known = match &mut desired.video {
            Some(track) if same(&track.layers) => {
                track.layers = layers;
                true
            }
            _ => false,
        };
        self.note(desired, known)
    }

    /// Sets one of our attributes; an empty value removes it.
    pub(super) fn set_attribute(&self, name: &str, value: &str) {
        let mut desired = self.lock();
        let old = desired.attributes.insert(name.to_owned(), value.to_owned());
        let changed = old.as_deref() != Some(value);
        self.note(desired, changed);
    }

    /// Queues a message; the oldest makes room where there is none.
    pub(super) fn send(&self, message: Vec<u8>) {
        let mut messages = self.messages();
        if messages.len() >= MAX_MESSAGES {
            messages.pop_front();
        }
        messages.push_back(message);
        drop(messages);
        let mut desired = self.lock();
        let new = !std::mem::replace(&mut desired.data, true);
        self.note(desired, new);
        self.changed.notify_one();
    }

    /// Gives the messages to `take`, oldest first, until it says no; that one is kept.
    pub(super) fn take_messages<E>(&self, mut take: impl FnMut(&[u8]) -> Result<bool, E>) -> Result<(), E> {
        let mut messages = self.messages();
        while let Some(message) = messages.front() {
            if !take(message)? {
                break;
            }
            messages.pop_front();
        }
        Ok(())
    }

    fn messages(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, mut desired: MutexGuard<'_, Desired>, changed: bool) -> bool {
        if changed {
            desired.version += 1;
            self.changed.notify_one();
        }
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Desired> {
        // A panic elsewhere leaves nothing half done here.
        self.desired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::{MediaTime, Quality};

    #[test]
    fn frames_and_packets_are_never_both_taken() {
        let frame =
            Encoded { output: Output::Audio, pts: MediaTime::ZERO, keyframe: true, data: Default::default() };
        let packet = RtpPacket {
            stream: 1,
            sequence: 1,
            timestamp: 1,
            captured: MediaTime::ZERO,
            marker: true,
            keyframe: true,
            level: None,
            payload: [].into(),
        };
        for forward in [false, true] {
            let shared = Shared::new(forward);
            assert_eq!(shared.write(frame.clone()), !forward);
            assert_eq!(shared.forward(Output::Audio, packet.clone()), forward);
        }
    }

    #[test]
    fn messages_wait_in_order_and_the_oldest_makes_room() {
        let shared = Shared::new(false);
        (0..40).for_each(|number| shared.send(vec![number]));
        let mut taken = vec![];
        let mut take = |message: &[u8]| {
            taken.push(message[0]);
            Ok::<bool, ()>(taken.len() != 2)
        };
        shared.take_messages(&mut take).unwrap();
        shared.take_messages(&mut take).unwrap();
        assert_eq!((taken.len(), &taken[..4]), (33, &[8, 9, 9, 10][..]), "one that was not taken is kept");
        let mut desired = Desired::default();
        shared.read_desired(&mut desired);
        assert!(desired.data);
    }

    #[test]
    fn sizes_may_change_but_not_the_set_of_layers() {
        let shared = Shared::new(false);
        let layer = |quality, width| Layer { quality, width, height: 2, bitrate_bps: 1 };
        let layers = vec![layer(Quality::Medium, 10), layer(Quality::High, 20)];
        assert!(!shared.resize(layers.clone()), "nothing is published");
        let source = super::super::TrackSource::Camera;
        let track = VideoTrack { name: String::new(), source, layers };
        assert!(shared.want_video(track.clone()));
        assert!(!shared.want_video(track), "once is enough");
        assert!(!shared.resize(vec![layer(Quality::High, 20)]));
        assert!(shared.resize(vec![layer(Quality::Medium, 12), layer(Quality::High, 24)]));
        let mut desired = Desired::default();
        shared.read_desired(&mut desired);
        assert_eq!(desired.video.unwrap().layers[1].width, 24);
    }
}
