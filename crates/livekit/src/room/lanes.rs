use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use media::{Bound, Kind, MediaTime, Output, Quality, Queue, RtpPacket, queue::Item};

/// Queue B, one for each output: frames or packets on their way to the network. One that waits longer than this is
/// too late to be worth the delay it brings; 4 MB is a second at 32 Mbit/s, more than any layer has.
const QUEUE_B: Bound = Bound { span: Duration::from_secs(1), bytes: 4 << 20 };

/// Sound, and the layers lowest first.
pub(super) const OUTPUTS: [Output; 4] = [
    Output::Audio,
    Output::Video(Quality::Low),
    Output::Video(Quality::Medium),
    Output::Video(Quality::High),
];

/// Queue B of each output.
#[derive(Debug)]
pub(super) struct Lanes<T>(Mutex<[Lane<T>; OUTPUTS.len()]>);

#[derive(Debug)]
struct Lane<T> {
    queue: Queue<Waiting<T>>,
    /// It has dropped something and waits for a keyframe.
    starved: bool,
    /// What the queue had dropped when something last left it.
    dropped: u64,
    /// What comes next does not follow what came before.
    cut: bool,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    cut: bool,
}

impl<T: Item> Item for Waiting<T> {
    fn media(&self) -> Option<(Kind, MediaTime, bool)> {
        self.item.media()
    }

    fn bytes(&self) -> usize {
        self.item.bytes()
    }
}

/// A publisher's packet on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) kind: Kind,
    pub(super) rtp: RtpPacket,
}

impl Item for Packet {
    fn media(&self) -> Option<(Kind, MediaTime, bool)> {
        Some((self.kind, self.rtp.captured, self.rtp.keyframe))
    }

    fn bytes(&self) -> usize {
        self.rtp.payload.len()
    }
}

impl<T: Item> Lanes<T> {
    pub(super) fn new() -> Self {
        let lane = |_| Lane { queue: Queue::new(QUEUE_B), starved: false, dropped: 0, cut: false };
        Self(Mutex::new([0; OUTPUTS.len()].map(lane)))
    }

    /// Queues an item. Returns whether it is in; a layer that lost something lets nothing in before its next keyframe.
    pub(super) fn push(&self, output: Output, item: T) -> bool {
        let mut lanes = self.lock();
        let lane = &mut lanes[index(output)];
        let cut = std::mem::take(&mut lane.cut);
        lane.queue.push(Waiting { item, cut });
        let starved = output != Output::Audio && lane.queue.awaits_keyframe();
        lane.starved |= starved;
        !starved
    }

    /// The oldest item of an output, and whether something is missing before it.
    pub(super) fn pop(&self, output: Output) -> Option<(T, bool)> {
        let mut lanes = self.lock();
        let lane = &mut lanes[index(output)];
        let Waiting { item, cut } = lane.queue.pop()?;
        let lost = std::mem::replace(&mut lane.dropped, lane.queue.dropped()) != lane.queue.dropped();
        Some((item, cut || lost))
    }

    /// What is pushed next does not follow what was pushed last.
    pub(super) fn cut(&self, output: Output) {
        self.lock()[index(output)].cut = true;
    }

    /// Forgets the items of an output; a layer starts again with a keyframe.
    pub(super) fn clear(&self, output: Output) {
        let lane = &mut self.lock()[index(output)];
        lane.queue.clear();
        (lane.starved, lane.cut) = (false, true);
    }

    /// Whether a layer has dropped something and waits for a keyframe since the last call.
    pub(super) fn take_starved(&self, output: Output) -> bool {
        std::mem::take(&mut self.lock()[index(output)].starved)
    }

    /// Items dropped so far by all the queues.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().iter().map(|lane| lane.queue.dropped()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, [Lane<T>; OUTPUTS.len()]> {
        // A panic elsewhere leaves nothing half done here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    use media::Encoded;

    const HIGH: Output = Output::Video(Quality::High);

    fn frame(output: Output, millis: i64, keyframe: bool) -> Encoded {
        Encoded { output, pts: MediaTime::from_millis(millis), keyframe, data: Bytes::from_static(&[0; 100]) }
    }

    fn push(lanes: &Lanes<Encoded>, frame: Encoded) -> bool {
        lanes.push(frame.output, frame)
    }

    #[test]
    fn a_layer_that_is_not_sent_drops_to_the_next_keyframe_and_asks_once() {
        let lanes = Lanes::new();
        assert!(push(&lanes, frame(HIGH, 0, true)));
        for i in 1..=30 {
            assert!(push(&lanes, frame(HIGH, i * 33, false)), "frame {i}");
        }
        assert!(!lanes.take_starved(HIGH));
        assert!(!push(&lanes, frame(HIGH, 1023, false)), "a second is full");
        assert!(lanes.take_starved(HIGH));
        assert!(!lanes.take_starved(HIGH));
        assert_eq!(lanes.pop(HIGH), None);
        assert!(!push(&lanes, frame(HIGH, 1056, false)));
        assert!(push(&lanes, frame(HIGH, 1089, true)));
        assert_eq!(lanes.pop(HIGH), Some((frame(HIGH, 1089, true), true)), "what was before is missing");
        assert_eq!(lanes.dropped(), 33);
    }

    #[test]
    fn what_does_not_follow_says_so_once() {
        let lanes = Lanes::new();
        let order: Vec<_> = (0..5)
            .map(|i| {
                if i == 2 {
                    lanes.cut(HIGH);
                }
                push(&lanes, frame(HIGH, i * 33, true))
            })
            .collect();
        assert_eq!(order, [true; 5]);
        let cuts: Vec<_> = std::iter::from_fn(|| lanes.pop(HIGH)).map(|(_, cut)| cut).collect();
        assert_eq!(cuts, [false, false, true, false, false]);
    }

    #[test]
    fn outputs_do_not_fill_each_other() {
        let lanes = Lanes::new();
        for i in 0..100 {
            push(&lanes, frame(HIGH, i * 33, false));
        }
        assert!(push(&lanes, frame(Output::Audio, 0, true)));
        assert_eq!(lanes.pop(Output::Audio), Some((frame(Output::Audio, 0, true), false)));
    }

    #[test]
    fn a_cleared_layer_starts_with_a_keyframe() {
        let lanes = Lanes::new();
        lanes.clear(HIGH);
        assert!(!push(&lanes, frame(HIGH, 0, false)));
        assert!(push(&lanes, frame(HIGH, 33, true)));
        lanes.clear(Output::Audio);
        assert!(push(&lanes, frame(Output::Audio, 0, true)), "sound starts anywhere");
    }

    #[test]
    fn a_picture_of_many_packets_goes_as_one() {
        let lanes = Lanes::new();
        let packet = |sequence: u64, keyframe| {
            let rtp = RtpPacket {
                stream: 1,
                sequence,
                timestamp: 0,
                captured: MediaTime::from_millis(sequence as i64),
                marker: false,
                keyframe,
                level: None,
                payload: vec![0; 1000].into(),
            };
            Packet { kind: Kind::Video, rtp }
        };
        for sequence in 0..900 {
            assert!(lanes.push(HIGH, packet(sequence, matches!(sequence, 0 | 700))));
        }
        for sequence in 900..1101 {
            lanes.push(HIGH, packet(sequence, false));
        }
        assert_eq!(lanes.pop(HIGH), Some((packet(700, true), true)), "from the keyframe's first packet");
        assert_eq!(lanes.pop(HIGH), Some((packet(701, false), false)));
        assert_eq!((lanes.dropped(), lanes.take_starved(HIGH)), (700, false));
    }
}
