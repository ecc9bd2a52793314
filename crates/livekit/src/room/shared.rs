use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use media::{Bound, Encoded, Layer, Output, Quality, Queue};
use tokio::sync::Notify;

use super::{AudioTrack, VideoTrack};

/// Queue B, one for each output: frames on their way from the encoder to the network. A frame that waits longer than this is
/// too late to be worth the delay it brings; 4 MB is a second at 32 Mbit/s, more than any layer has.
const QUEUE_B: Bound = Bound { span: Duration::from_secs(1), bytes: 4 << 20 };

/// Sound, and the layers lowest first.
pub(super) const OUTPUTS: [Output; 4] = [
    Output::Audio,
    Output::Video(Quality::Low),
    Output::Video(Quality::Medium),
    Output::Video(Quality::High),
];

/// What the handles of a participant and its task both see.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is something new in the state.
    pub(super) changed: Notify,
}

#[derive(Debug)]
struct State {
    queues: [Queue<Encoded>; 4],
    starved: [bool; 4],
    desired: Desired,
}

/// The tracks that the owner wants in the room.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Desired {
    /// Changes with the rest.
    version: u64,
    pub(super) video: Option<VideoTrack>,
    pub(super) audio: Option<AudioTrack>,
}

impl Shared {
    pub(super) fn new() -> Self {
        let state = State {
            queues: [(); 4].map(|()| Queue::new(QUEUE_B)),
            starved: [false; 4],
            desired: Desired::default(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Queues a frame. Returns whether it is in; a layer that lost frames lets none in before its next keyframe.
    pub(super) fn write(&self, frame: Encoded) -> bool {
        let output = frame.output;
        let index = index(output);
        let mut state = self.lock();
        state.queues[index].push(frame);
        let starved = output != Output::Audio && state.queues[index].awaits_keyframe();
        state.starved[index] |= starved;
        drop(state);
        self.changed.notify_one();
        !starved
    }

    /// The oldest frame of an output.
    pub(super) fn pop(&self, output: Output) -> Option<Encoded> {
        self.lock().queues[index(output)].pop()
    }

    /// Forgets the frames of an output; a layer starts again with a keyframe.
    pub(super) fn clear(&self, output: Output) {
        let mut state = self.lock();
        state.queues[index(output)].clear();
        state.starved[index(output)] = false;
    }

    /// Whether a layer has dropped frames and waits for a keyframe since the last call.
    pub(super) fn take_starved(&self, output: Output) -> bool {
        std::mem::take(&mut self.lock().starved[index(output)])
    }

    /// Frames dropped so far by all the queues.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().queues.iter().map(Queue::dropped).sum()
    }

    /// Brings a copy up to date.
    pub(super) fn read_desired(&self, copy: &mut Desired) {
        let state = self.lock();
        if copy.version != state.desired.version {
            copy.clone_from(&state.desired);
        }
    }

    pub(super) fn wants_tracks(&self) -> bool {
        let desired = &self.lock().desired;
        desired.video.is_some() || desired.audio.is_some()
    }

    /// Wants a track too; false when one is wanted already.
    pub(super) fn want_video(&self, track: VideoTrack) -> bool {
        let mut state = self.lock();
        let new = state.desired.video.is_none();
        if new {
            state.desired.video = Some(track);
        }
        self.note(state, new)
    }

    /// Wants a track too; false when one is wanted already.
    pub(super) fn want_audio(&self, track: AudioTrack) -> bool {
        let mut state = self.lock();
        let new = state.desired.audio.is_none();
        if new {
            state.desired.audio = Some(track);
        }
        self.note(state, new)
    }

    /// The sizes changed; false when no picture track is wanted, or it has other layers.
    pub(super) fn resize(&self, layers: Vec<Layer>) -> bool {
        let same = |old: &[Layer]| old.iter().map(|l| l.quality).eq(layers.iter().map(|l| l.quality));
        let mut state = self.lock();
        let known = match &mut state.desired.video {
            Some(track) if same(&track.layers) => {
                track.layers = layers;
                true
            }
            _ => false,
        };
        self.note(state, known)
    }

    fn note(&self, mut state: MutexGuard<'_, State>, changed: bool) -> bool {
        if changed {
            state.desired.version += 1;
            self.changed.notify_one();
        }
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves nothing half done here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn index(output: Output) -> usize {
    match output {
        Output::Audio => 0,
        Output::Video(quality) => 1 + usize::from(quality.number()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::MediaTime;

    const HIGH: Output = Output::Video(Quality::High);

    fn frame(output: Output, millis: i64, keyframe: bool) -> Encoded {
        Encoded { output, pts: MediaTime::from_millis(millis), keyframe, data: Bytes::from_static(&[0; 100]) }
    }

    #[test]
    fn a_layer_that_is_not_sent_drops_to_the_next_keyframe_and_asks_once() {
        let shared = Shared::new();
        assert!(shared.write(frame(HIGH, 0, true)));
        for i in 1..=30 {
            assert!(shared.write(frame(HIGH, i * 33, false)), "frame {i}");
        }
        assert!(!shared.take_starved(HIGH));
        assert!(!shared.write(frame(HIGH, 1023, false)), "a second is full");
        assert!(shared.take_starved(HIGH));
        assert!(!shared.take_starved(HIGH));
        assert_eq!(shared.pop(HIGH), None);
        assert!(!shared.write(frame(HIGH, 1056, false)));
        assert!(shared.write(frame(HIGH, 1089, true)));
        assert_eq!(shared.pop(HIGH), Some(frame(HIGH, 1089, true)));
        assert_eq!(shared.dropped(), 33);
    }

    #[test]
    fn outputs_do_not_fill_each_other() {
        let shared = Shared::new();
        for i in 0..100 {
            shared.write(frame(HIGH, i * 33, false));
        }
        assert!(shared.write(frame(Output::Audio, 0, true)));
        assert_eq!(shared.pop(Output::Audio), Some(frame(Output::Audio, 0, true)));
    }

    #[test]
    fn a_cleared_layer_starts_with_a_keyframe() {
        let shared = Shared::new();
        shared.clear(HIGH);
        assert!(!shared.write(frame(HIGH, 0, false)));
        assert!(shared.write(frame(HIGH, 33, true)));
        shared.clear(Output::Audio);
        assert!(shared.write(frame(Output::Audio, 0, true)), "sound starts anywhere");
    }

    #[test]
    fn sizes_may_change_but_not_the_set_of_layers() {
        let shared = Shared::new();
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
