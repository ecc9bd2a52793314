use media::{MediaTime, RtpPacket};
use str0m::rtp::SeqNo;

use super::send::rtp_ticks;

/// A stream that goes on so many packets later has been cut: receivers guess the upper bits of sequence numbers (RFC 3711
/// section 3.3.1), and a gap like this cannot be repaired anyway. RFC 3550 appendix A.1 has the same number.
const JUMP_LIMIT: u64 = 3000;

/// How late a packet may come, in packets: half a second at 4000 a second, longer than a publisher's resend takes.
const WINDOW: u64 = 2048;

const WORDS: usize = WINDOW as usize / 64;

/// The sequence numbers and times of one outgoing stream, which goes on whatever becomes of the streams that feed it.
///
/// Packets of one run keep their distances, so a loss on the publisher's side stays a loss and a late packet fills its gap. A new
/// run (another stream, or one that was cut) starts with the number after the highest. No number is given out twice: SRTP's
/// ciphers would lose their secrets.
#[derive(Debug)]
pub(super) struct Numbers {
    /// Of the RTP clock, Hz.
    rate: u32,
    /// The number after the highest that was given out.
    next: u64,
    run: Option<Run>,
    /// Which of the numbers below `next` are given out: bit 0 of word 0 is the highest.
    given: [u64; WORDS],
    /// The stream before this one, whose packets may still come late.
    left: Option<u32>,
    /// A packet far behind; when the one after it follows, the publisher has started to count anew.
    stray: Option<u64>,
}

/// Packets whose numbers and times are all shifted by the same.
#[derive(Debug, Clone, Copy)]
struct Run {
    stream: u32,
    /// The first packet's number, as it came and as it left.
    first: (u64, u64),
    /// What is added to times.
    shift: u32,
    /// The packet with the highest number: its number as it came, its time as it left, and when it was captured.
    highest: u64,
    timestamp: u32,
    captured: MediaTime,
    /// The next packet starts another run.
    cut: bool,
}

impl Numbers {
    /// For a track whose RTP clock has `rate` Hz.
    pub(super) fn new(rate: u32) -> Self {
        // Random, and below 2^15 (RFC 3711 section 3.3.1: the first packets may be lost or come in any order).
        let next = *SeqNo::default();
        Self { rate, next, run: None, given: [0; WORDS], left: None, stray: None }
    }

    /// What comes next does not miss what was not handed over in between.
    pub(super) fn cut(&mut self) {
        if let Some(run) = &mut self.run {
            run.cut = true;
        }
    }

    /// The sequence number and time that a packet leaves with. `None`: it comes too late, or twice.
    pub(super) fn assign(&mut self, packet: &RtpPacket) -> Option<(u64, u32)> {
        let run = match self.run {
            Some(run) if run.stream == packet.stream => self.go_on(run, packet)?,
            Some(run) => self.switch(run, packet)?,
            None => self.begin(packet, rtp_ticks(packet.captured, self.rate) as u32),
        };
        let number = run.first.1 + packet.sequence.checked_sub(run.first.0)?;
        if !self.take(number) {
            return None;
        }
        let timestamp = packet.timestamp.wrapping_add(run.shift);
        let highest = packet.sequence >= run.highest;
        self.run = Some(if highest {
            Run { highest: packet.sequence, timestamp, captured: packet.captured, ..run }
        } else {
            run
        });
        Some((number, timestamp))
    }

    /// The run of a packet of the stream that there is.
    fn go_on(&mut self, run: Run, packet: &RtpPacket) -> Option<Run> {
        let ahead = packet.sequence.checked_sub(run.highest);
        if ahead.is_none() && run.highest - packet.sequence >= WINDOW {
            let follows = self.stray.is_some_and(|stray| packet.sequence == stray.wrapping_add(1));
            self.stray = Some(packet.sequence);
            return follows.then(|| self.begin(packet, packet.timestamp.wrapping_add(run.shift)));
        }
        if ahead.is_some_and(|by| (run.cut && by > 0) || by > JUMP_LIMIT) {
            return Some(self.begin(packet, packet.timestamp.wrapping_add(run.shift)));
        }
        // What was there before the cut, and comes late, is as much past as what was not handed over.
        (!run.cut).then_some(run)
    }

    /// The run of a packet of another stream: time goes on by what passed between the captures.
    fn switch(&mut self, run: Run, packet: &RtpPacket) -> Option<Run> {
        if self.left == Some(packet.stream) && packet.captured <= run.captured {
            return None; // late, from before the change
        }
        self.left = Some(run.stream);
        let passed = packet.captured.since(run.captured).ticks_at(self.rate).max(1);
        Some(self.begin(packet, run.timestamp.wrapping_add(passed as u32)))
    }

    fn begin(&mut self, packet: &RtpPacket, timestamp: u32) -> Run {
        self.stray = None;
        Run {
            stream: packet.stream,
            first: (packet.sequence, self.next),
            shift: timestamp.wrapping_sub(packet.timestamp),
            highest: packet.sequence,
            timestamp,
            captured: packet.captured,
            cut: false,
        }
    }

    /// Gives a number out; false when it is given out already, or too far back to know.
    fn take(&mut self, number: u64) -> bool {
        let Some(ahead) = number.checked_sub(self.next) else {
            let back = self.next - 1 - number;
            let Some(word) = self.given.get_mut((back / 64) as usize) else { return false };
            let bit = 1 << (back % 64);
            let free = *word & bit == 0;
            *word |= bit;
            return free;
        };
        self.advance(ahead + 1);
        self.given[0] |= 1;
        self.next = number + 1;
        true
    }

    /// Moves the window on.
    fn advance(&mut self, by: u64) {
        if by >= WINDOW {
            self.given = [0; WORDS];
            return;
        }
        let (words, bits) = ((by / 64) as usize, by % 64);
        for index in (0..WORDS).rev() {
            let at = |index: Option<usize>| index.map_or(0, |index| self.given[index]);
            let (word, below) = (at(index.checked_sub(words)), at(index.checked_sub(words + 1)));
            self.given[index] = if bits == 0 { word } else { (word << bits) | (below >> (64 - bits)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn packet(stream: u32, sequence: u64, millis: i64) -> RtpPacket {
        RtpPacket {
            stream,
            sequence,
            timestamp: (stream.wrapping_mul(0x1234_5678)).wrapping_add((millis * 90) as u32),
            captured: MediaTime::from_millis(millis),
            marker: true,
            keyframe: false,
            level: None,
            payload: [].into(),
        }
    }

    fn numbers(next: u64) -> Numbers {
        Numbers { next, ..Numbers::new(90_000) }
    }

    /// The numbers that packets of one stream get, 33 ms apart.
    fn given(numbers: &mut Numbers, sequences: impl IntoIterator<Item = u64>) -> Vec<Option<u64>> {
        let assign = |sequence| numbers.assign(&packet(1, sequence, sequence as i64 * 33)).map(|(n, _)| n);
        sequences.into_iter().map(assign).collect()
    }

    #[test]
    fn gaps_stay_and_late_packets_fill_them_once() {
        let mut numbers = numbers(10);
        let got = given(&mut numbers, [500, 501, 504, 502, 504, 502, 503, 505, 499]);
        assert_eq!(
            got,
            [Some(10), Some(11), Some(14), Some(12), None, None, Some(13), Some(15), None],
            "resent twice, or before the first"
        );
    }

    #[test]
    fn another_stream_goes_on_with_numbers_and_time() {
        let mut numbers = numbers(10);
        let (_, first) = numbers.assign(&packet(1, 70_000, 1000)).unwrap();
        assert_eq!(first, (3600 + 1) * 90_000);
        assert_eq!(numbers.assign(&packet(2, 3, 1040)), Some((11, first + 40 * 90)));
        assert_eq!(numbers.assign(&packet(1, 70_001, 1033)), None, "late, of the stream before");
        assert_eq!(numbers.assign(&packet(2, 5, 1080)), Some((13, first + 80 * 90)));
        assert_eq!(numbers.assign(&packet(1, 70_009, 2080)), Some((14, first + 1080 * 90)), "it is back");
        assert_eq!(numbers.assign(&packet(3, 0, 0)), Some((15, first + 1080 * 90 + 1)), "never back in time");
    }

    #[test]
    fn what_was_not_handed_over_is_no_gap() {
        let mut numbers = numbers(10);
        given(&mut numbers, [500, 501]);
        numbers.cut();
        assert_eq!(given(&mut numbers, [501, 499, 9000, 8999, 9002]), [None, None, Some(12), None, Some(14)]);
        let (_, time) = numbers.assign(&packet(1, 9003, 9003 * 33)).unwrap();
        numbers.cut();
        let later = numbers.assign(&packet(1, 30_000, 30_000 * 33));
        assert_eq!(
            later,
            Some((16, time.wrapping_add((30_000 - 9003) * 33 * 90))),
            "the publisher's own clock"
        );
    }

    #[test]
    fn a_stream_that_jumps_is_followed_without_its_gap() {
        let mut numbers = numbers(10);
        assert_eq!(given(&mut numbers, [0, 3000, 6001, 6002]), [10, 3010, 3011, 3012].map(Some));
        let back = given(&mut numbers, [1, 7, 8, 9, 6003]);
        assert_eq!(back, [None, None, Some(3013), Some(3014), Some(3015)], "two in a row far behind");
    }

    #[test]
    fn a_late_packet_within_the_window_is_sent_and_none_beyond_it() {
        let mut numbers = numbers(10);
        given(&mut numbers, [0]);
        given(&mut numbers, (3..3 + WINDOW).step_by(2));
        assert_eq!(given(&mut numbers, [2, 4, 1, 2]), [Some(12), Some(14), None, None]);
    }

    proptest! {
        #[test]
        fn no_number_is_given_twice_and_none_far_from_the_one_before(
            steps in prop::collection::vec(
                (0_u32..3, prop_oneof![0_u64..50, 0_u64..10_000, any::<u64>()], any::<i64>(), 0_u8..20), 1..300,
            ),
        ) {
            let mut numbers = Numbers::new(90_000);
            let (mut seen, mut highest) = (HashSet::new(), numbers.next);
            prop_assert!(highest < 1 << 15);
            for (stream, sequence, millis, cut) in steps {
                if cut == 0 {
                    numbers.cut();
                }
                let captured = MediaTime::from_millis(millis);
                let packet = RtpPacket { stream, sequence, captured, ..packet(0, 0, 0) };
                if let Some((number, _)) = numbers.assign(&packet) {
                    prop_assert!(seen.insert(number), "{number} twice");
                    prop_assert!(number < highest + JUMP_LIMIT + 1 && number + WINDOW >= highest);
                    highest = highest.max(number);
                }
            }
        }

        #[test]
        fn packets_of_one_stream_in_any_order_keep_their_distances(
            order in Just((0_u64..200).collect::<Vec<_>>()).prop_shuffle(), lost in 0_u64..200,
        ) {
            let mut numbers = numbers(7);
            given(&mut numbers, [1000]);
            for sequence in order.into_iter().filter(|sequence| *sequence != lost) {
                let got = given(&mut numbers, [1001 + sequence]);
                prop_assert_eq!(got, [Some(8 + sequence)]);
            }
        }
    }
}
